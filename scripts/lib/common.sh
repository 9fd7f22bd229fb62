# What every script starts with: messages, --help, and the folder that holds a run.
# shellcheck shell=bash

# Everything of a run (data, logs, process ids, `env`); another folder is another, independent run.
RUN_DIR=${RUN_DIR:-.run}
[[ $RUN_DIR == /* ]] || RUN_DIR=$PWD/$RUN_DIR
export RUN_DIR

say() {
  printf '%s\n' "$*"
}

die() {
  printf 'scripts/%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# poll SECONDS COMMAND...: repeats COMMAND until it succeeds; fails when the time is over.
poll() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# A script's help is the comment it begins with.
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
  exit 0
fi
