# Stand-ins for the base images, under the names that Dockerfile and docker-compose.yml use: Debian's packages, this
# machine's Rust, and the local stack's servers. For a machine that reaches no image registry.
# shellcheck shell=bash

# Makes the file trees of two images under $RUN_DIR: `slim` is Debian as it ships, `full` has everything else in it.
# Needs the network; nothing after it does.
make_trees() {
  local slim=$RUN_DIR/slim full=$RUN_DIR/full
  say "installing Debian into two folders"
  debootstrap --variant=minbase bookworm "$slim" >"$RUN_DIR/debootstrap.log"
  cp -a "$slim" "$full"

  # What the Dockerfile installs: `apt-get update` may then fail, and does so with a warning only.
  in_tree "$slim" update
  in_tree "$slim" install --download-only ca-certificates libssl3

  in_tree "$full" update
  mount -t proc proc "$full/proc"
  in_tree "$full" install g++ libssl-dev make pkg-config zlib1g-dev \
    default-jre-headless netcat-openbsd postgresql-client
  umount "$full/proc"

  cargo fetch --locked --quiet
  mkdir -p "$full"/opt/{rust,cargo/registry,kafka/config} "$full"/etc/kafka/docker "$full"/mnt/shared/config
  cp -a "$(rustc --print sysroot)"/{bin,lib} "$full/opt/rust"
  cp -a "${CARGO_HOME:-$HOME/.cargo}"/registry/{cache,index} "$full/opt/cargo/registry"
  cp -a "$SERVERS/postgres" "$full/opt"
  cp -a "$SERVERS/kafka" "$full/opt/kafka/libs"
  cp -a scripts/lib/images "$full/opt"
}

# in_tree TREE ARGS...: apt-get in TREE.
in_tree() {
  DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get -y -q --no-install-recommends "${@:2}" >>"$RUN_DIR/apt.log"
}

make_images() {
  local path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  say "importing them as base images"
  tar -C "$RUN_DIR/slim" -c . | docker import --change "ENV PATH=$path" - "$(used FROM debian)" >"$RUN_DIR/import.log"
  tar -C "$RUN_DIR/full" -c . | docker import --change "ENV PATH=$path" - full >>"$RUN_DIR/import.log"

  make_image "$(used FROM rust)" <<'END'
ENV PATH=/opt/rust/bin:$PATH CARGO_HOME=/opt/cargo CARGO_NET_OFFLINE=true
END
  make_image "$(used image: postgres)" <<'END'
RUN useradd --system postgres
ENV PATH=/opt/postgres/bin:/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["/opt/images/postgres"]
END
  make_image "$(used image: apache/kafka)" <<'END'
RUN useradd appuser && mkdir -p /var/lib/kafka/data && chown appuser /var/lib/kafka/data /opt/kafka/config
USER appuser
VOLUME /var/lib/kafka/data
CMD ["/opt/images/kafka"]
END
}

# used KEYWORD NAME: how the image NAME is called, tag and all, where it is used.
used() {
  sed -nE "s|^ *$1 ($2:[^ ]+).*|\1|p" Dockerfile docker-compose.yml
}

# make_image NAME: `full` with the instructions on standard input.
make_image() {
  (echo 'FROM full' && cat) | docker build --tag "$1" - >>"$RUN_DIR/import.log"
}
