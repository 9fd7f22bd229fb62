# The two servers' programs, brought once per version by Maven and shared by all runs.
# shellcheck shell=bash

# What Postgres touches must be open to the user it runs as (postgres.sh). For root that is not root, and a checkout's
# parent folders (/root, say) may shut that user out: root keeps the programs and Postgres' data in a public place.
OPEN_DIR=$PWD/.run
((EUID != 0)) || OPEN_DIR=/var/lib/wallet-stack

# Whether the servers are for tests, which make and remove a database every second, and look at no speed.
for_tests() {
  [[ -n ${SERVERS_FOR_TESTS:-} ]]
}

# Where a new Postgres keeps its data. That of tests is in memory, where there is enough of it: each database that is removed
# has all of them written to the disk, which took more than the tests did. What a killed server wrote is there as well.
data_dir() {
  local memory=/dev/shm free=0
  if for_tests && [[ $(stat -f -c %T $memory 2>/dev/null) == tmpfs && -w $memory ]]; then
    free=$(awk '/^MemAvailable:/ { print int($2 / 1024 / 1024) }' /proc/meminfo)
  fi
  if ((free >= 8)); then echo $memory; else echo "$OPEN_DIR"; fi
}

SERVERS_POM=scripts/lib/servers/pom.xml
SERVERS=$OPEN_DIR/servers/$(cksum <$SERVERS_POM | cut -d' ' -f1)

fetch_servers() {
  [[ ! -d $SERVERS ]] || return 0
  command -v mvn >/dev/null || die "Maven is missing: run scripts/install"
  say "fetching Postgres and Kafka"
  local new=$SERVERS.$$
  (umask 022 && bring_servers "$new") || {
    rm -rf "$new"
    die "Postgres and Kafka could not be brought by Maven"
  }
  # Another run may have been faster.
  if [[ -d $SERVERS ]]; then rm -r "$new"; else mv "$new" "$SERVERS"; fi
}

bring_servers() {
  mvn --batch-mode --quiet -Dstyle.color=never --file "$SERVERS_POM" package \
    -Dpostgres.platform="$(postgres_platform)" -Dservers="$1" &&
    mkdir "$1/postgres" &&
    tar -xf "$1"/build/*.txz -C "$1/postgres" &&
    rm -r "$1/build"
}

postgres_platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux-amd64 ;;
    Linux-aarch64) echo linux-arm64v8 ;;
    Darwin-x86_64) echo darwin-amd64 ;;
    Darwin-arm64) echo darwin-arm64v8 ;;
    *) die "there is no Postgres for $(uname -s) on $(uname -m)" ;;
  esac
}
