# Long commands that a signal to the script ends at once.
# shellcheck shell=bash

# Runs in the background, in a process group of its own, so that a signal to this script is acted on at once. Ends as
# the command does, also where `set -e` does not count.
run() {
  local status=0
  set -m
  "$@" &
  running_job=$!
  set +m
  wait "$running_job" || status=$?
  running_job=
  return "$status"
}

# Ends what `run` is still running, and waits for all that the script has begun.
end_job() {
  [[ -z ${running_job:-} ]] || kill -s TERM -- "-$running_job" 2>/dev/null || true
  wait
}
