# One image with wallet-service, history-service and walletctl; the command says which of them runs.

FROM rust:1.95-bookworm AS build
WORKDIR /build

# First the dependencies alone, under empty crates: a layer that stays until a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY shared/Cargo.toml shared/
COPY wallet-service/Cargo.toml wallet-service/
COPY history-service/Cargo.toml history-service/
COPY walletctl/Cargo.toml walletctl/
COPY bench/Cargo.toml bench/
RUN for crate in */; do \
      mkdir "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs"; \
    done && \
    cargo build --release --locked -p wallet-service -p history-service -p walletctl && \
    rm -r */src

COPY migrations migrations
COPY shared shared
COPY wallet-service wallet-service
COPY history-service history-service
COPY walletctl walletctl
COPY bench bench
# Which commit it is, for `/metrics`: docker build --build-arg BUILD_COMMIT=$(git rev-parse HEAD)
ARG BUILD_COMMIT
# Cargo goes by time stamps: the crates must be younger than the empty ones.
RUN touch */src/*.rs && \
    cargo build --release --locked -p wallet-service -p history-service -p walletctl

FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates libssl3 && \
    rm -rf /var/lib/apt/lists/*
COPY --from=build \
    /build/target/release/wallet-service /build/target/release/history-service /build/target/release/walletctl \
    /usr/local/bin/
USER 10001:10001
# The loopback address, their default, would be the container's own.
ENV WALLET_HOST=0.0.0.0 HISTORY_HOST=0.0.0.0
EXPOSE 3000 3001
CMD ["wallet-service"]
