# A run's settings: the environment first, then .env, then what the run used before, then the defaults.
# shellcheck shell=bash

load_settings() {
  defaults_from .env
  defaults_from "$RUN_DIR/env"
  export WALLET_PORT=${WALLET_PORT:-3000}
  export HISTORY_PORT=${HISTORY_PORT:-3001}
  export POSTGRES_PORT=${POSTGRES_PORT:-15432}
  export KAFKA_PORT=${KAFKA_PORT:-19092}
  # Becomes part of a URL and is fixed when Postgres is first made.
  export POSTGRES_PASSWORD=${POSTGRES_PASSWORD:-wallet_system}
}

# defaults_from FILE: takes each KEY=VALUE line whose KEY the environment does not have yet.
defaults_from() {
  local key value
  [[ -f $1 ]] || return 0
  while IFS='=' read -r key value || [[ -n $key ]]; do
    key=${key#export }
    [[ $key =~ ^[A-Za-z_][A-Za-z0-9_]*$ && -z ${!key+set} ]] || continue
    value=${value#\"} value=${value%\"}
    export "$key=$value"
  done <"$1"
}

# Leaves the settings where people, the services and the next start find them.
save_settings() {
  # Up to the role's name, on from it, and behind the database's.
  local as=postgres:/ on=$POSTGRES_PASSWORD@127.0.0.1:$POSTGRES_PORT to='' http=http kafka=127.0.0.1
  if [[ -n ${TLS_DIR:-} ]]; then
    to="?sslmode=verify-full&sslrootcert=$TLS_DIR/ca.pem" http=https kafka=localhost
  fi
  mkdir -p "$RUN_DIR"
  cat >"$RUN_DIR/env" <<EOF
export POSTGRES_PORT=$POSTGRES_PORT
export POSTGRES_PASSWORD=$POSTGRES_PASSWORD
export KAFKA_PORT=$KAFKA_PORT
export WALLET_PORT=$WALLET_PORT
export HISTORY_PORT=$HISTORY_PORT
export WALLET_DATABASE_URL="$as/wallet_service:$on/wallet$to"
export HISTORY_DATABASE_URL="$as/history_service:$on/history$to"
export OWNER_WALLET_DATABASE_URL="$as/wallet_owner:$on/wallet$to"
export OWNER_HISTORY_DATABASE_URL="$as/history_owner:$on/history$to"
export AUDITOR_WALLET_DATABASE_URL="$as/wallet_auditor:$on/wallet$to"
export AUDITOR_HISTORY_DATABASE_URL="$as/history_auditor:$on/history$to"
export ADMIN_DATABASE_URL="$as/wallet_system:$on/postgres$to"
export KAFKA_BROKERS=$kafka:$KAFKA_PORT
export WALLET_URL=$http://127.0.0.1:$WALLET_PORT
export HISTORY_URL=$http://127.0.0.1:$HISTORY_PORT
export PATH="$(binaries local):\$PATH"
EOF
  [[ -z ${TLS_DIR:-} ]] || echo "export TLS_DIR=$TLS_DIR" >>"$RUN_DIR/env"
  [[ ! -f ${TLS_DIR:-}/service.token ]] || cat >>"$RUN_DIR/env" <<EOF
export WALLET_TOKEN_FILE=$TLS_DIR/service.token
export WALLET_CA_FILE=$TLS_DIR/ca.pem
EOF
  [[ -z ${POSTGRES_HOME:-} ]] || echo "export POSTGRES_HOME=$POSTGRES_HOME" >>"$RUN_DIR/env"
}

# binaries PROFILE: where cargo puts what it builds with PROFILE.
binaries() {
  local target=${CARGO_TARGET_DIR:-target}
  [[ $target == /* ]] || target=$PWD/$target
  echo "$target/$1"
}

# claim_port NAME VARIABLE: dies unless NAME runs on the port in VARIABLE already or can be started on it.
claim_port() {
  local name=$1 variable=$2
  if ! running "$name"; then
    ! port_taken "${!variable}" || die "port ${!variable} is taken by another program: set $variable to a free port"
  elif [[ ${!variable} != "$(port_of "$name")" ]]; then
    die "$name runs on port $(port_of "$name"): stop it (scripts/down) before it can start on $variable=${!variable}"
  fi
}

port_taken() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the range that systems hand out to outgoing connections.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)) && port_taken "$port"; do :; done
  echo "$port"
}
