# Postgres: made on the first start; started, and started again after any kind of end. With TLS_DIR, it shows tls.pem of
# that folder, and takes encrypted connections only.
# shellcheck shell=bash

# Postgres refuses to run as root. A root run starts it as `nobody` and only links to its data (data_dir).
AS_POSTGRES=(env)
((EUID != 0)) || AS_POSTGRES=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)

# Tests open thousands of connections, and a build that is not optimised is slow to prove a password as often as is usual.
POSTGRES_SETTINGS=()
! for_tests || POSTGRES_SETTINGS+=(-c scram_iterations=1 -c min_wal_size=128MB -c max_wal_size=1GB)

# postgres_program NAME: of one's own Postgres in POSTGRES_HOME, or of the one that Maven brings.
postgres_program() {
  echo "${POSTGRES_HOME:-$SERVERS/postgres}/bin/$1"
}

# One's own has to know the locale that the databases are made with, which came with version 17.
check_postgres_home() {
  local said
  [[ -n ${POSTGRES_HOME:-} ]] || return 0
  POSTGRES_HOME=$(cd "$POSTGRES_HOME" 2>/dev/null && pwd) || die "POSTGRES_HOME is no folder"
  said=$(cd / && "${AS_POSTGRES[@]}" "$(postgres_program postgres)" --version 2>&1) || die "POSTGRES_HOME: $said"
  [[ $said =~ \)\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= 17)) || die "POSTGRES_HOME: $said is older than 17"
}

postgres_start() {
  local home deadline=$((SECONDS + 60))
  running postgres || postgres_create
  home=$(cd "$RUN_DIR/postgres" && pwd -P)
  until postgres_try "$home"; do
    # A killed server's children hold its memory and lock for a moment; the next server says so and gives up.
    if ((SECONDS >= deadline)) || ! grep -qE 'still in use|already exists' <(fresh_log postgres); then
      die_with_log postgres "postgres ended instead of starting"
    fi
  done
  say "postgres is ready on port $POSTGRES_PORT"
}

# Fails when the server ends before it is ready.
postgres_try() {
  local home=$1
  if ! running postgres; then
    postgres_configure "$home/data"
    spawn postgres "$POSTGRES_PORT" "${AS_POSTGRES[@]}" "$(postgres_program postgres)" \
      -D "$home/data" -p "$POSTGRES_PORT" -k "$(socket_dir "$home")" "${POSTGRES_SETTINGS[@]}"
  fi
  poll 120 postgres_settled "$home" || die_with_log postgres "postgres was not ready in time"
  running postgres
}

# Either ready, by the status in its lock file that pg_ctl reads too, or gone.
postgres_settled() {
  local lock=$1/data/postmaster.pid
  gone postgres || [[ $(sed -n '1p;8p' "$lock" 2>/dev/null | tr -d ' \n') == "$(pid_of postgres)ready" ]]
}

# Beside the data, or nowhere when the path would be longer than a socket's may be.
socket_dir() {
  local socket=$1/.s.PGSQL.$POSTGRES_PORT
  ((${#socket} > 100)) || echo "$1"
}

# Fast shutdown: does not wait for clients to leave.
postgres_stop() {
  end postgres INT 60
}

postgres_create() {
  local home
  [[ ! -d $RUN_DIR/postgres/data ]] || return 0
  say "creating the databases"
  home=$(postgres_home)
  as_postgres initdb -D "$home/new" --username=postgres --auth=trust --no-instructions --encoding=UTF8 \
    --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
  cat scripts/lib/servers/postgresql.conf >"$home/new/postgresql.conf"
  as_postgres postgres --single -D "$home/new" -c exit_on_error=on "${POSTGRES_SETTINGS[@]}" postgres < <(postgres_contents)
  mv "$home/new" "$home/data"
}

# Into the data folder, at every start: the settings, who is let in, and the certificate, which has to be Postgres' own.
postgres_configure() {
  local data=$1 by_network=host
  cat scripts/lib/servers/postgresql.conf >"$data/postgresql.conf"
  [[ -z ${SHARED_BUFFERS:-} ]] || echo "shared_buffers = $SHARED_BUFFERS" >>"$data/postgresql.conf"
  if [[ -n ${TLS_DIR:-} ]]; then
    by_network=hostssl
    cp "$TLS_DIR/tls.pem" "$data/server.crt"
    (umask 077 && cp "$TLS_DIR/tls.key" "$data/server.key")
    chmod 600 "$data/server.key"
    ((EUID != 0)) || chown nobody "$data/server.crt" "$data/server.key"
    echo 'ssl = on' >>"$data/postgresql.conf"
  fi
  printf '%s\n' 'local all all scram-sha-256' "$by_network all all 127.0.0.1/32 scram-sha-256" >"$data/pg_hba.conf"
}

# The first statements, one a line; migrations/databases.sql has the same for containers, but for the role that tests and
# benchmarks make databases of their own with. The log is filled ahead only where speed is looked at: that takes seconds and 1 GB.
postgres_contents() {
  local service role roles=()
  for service in wallet history; do
    for role in owner service auditor; do
      echo "CREATE ROLE ${service}_$role LOGIN PASSWORD '${POSTGRES_PASSWORD//\'/\'\'}'"
      roles+=("${service}_$role")
    done
    echo "CREATE DATABASE $service OWNER ${service}_owner"
  done
  echo "CREATE ROLE wallet_system LOGIN CREATEDB PASSWORD '${POSTGRES_PASSWORD//\'/\'\'}'"
  # How Postgres was built, for the page of a benchmark.
  echo "GRANT SELECT ON pg_config TO wallet_system"
  echo "GRANT EXECUTE ON FUNCTION pg_config() TO wallet_system"
  for role in "${roles[@]}"; do
    echo "GRANT $role TO wallet_system"
  done
  [[ -z ${WAL_AHEAD:-} ]] || cat scripts/lib/servers/wal-ahead.sql
}

# The folder of this run's Postgres, empty and owned by whoever runs it.
postgres_home() {
  local data_dir
  data_dir=$(data_dir)
  postgres_wipe
  if ((EUID == 0)) || [[ $data_dir != "$OPEN_DIR" ]]; then
    ln -s "$(mktemp -d "$data_dir/postgres.XXXXXX")" "$RUN_DIR/postgres"
    ((EUID != 0)) || chown nobody "$RUN_DIR/postgres/"
  else
    mkdir "$RUN_DIR/postgres"
  fi
  (cd "$RUN_DIR/postgres" && pwd -P)
}

postgres_wipe() {
  [[ ! -L $RUN_DIR/postgres ]] || rm -rf "$(readlink "$RUN_DIR/postgres")"
  rm -rf "$RUN_DIR/postgres"
}

# as_postgres PROGRAM ARGS...: runs one of Postgres' programs to its end; shows what it said only when it fails.
as_postgres() {
  local said
  said=$(cd / && "${AS_POSTGRES[@]}" "$(postgres_program "$1")" "${@:2}" 2>&1) || die "$1 failed: $said"
}
