# Background processes by name: start, recognise, await, end.
# $RUN_DIR/pids/NAME holds the process id alone, so that people may use it; NAME.facts beside it holds three lines: when it
# started, its port, and the log's size before it started.
# shellcheck shell=bash

# spawn NAME PORT COMMAND...: runs COMMAND so that it survives the script and its terminal.
spawn() {
  local name=$1 port=$2 log pid log_size
  shift 2
  log=$(log_of "$name")
  mkdir -p "$RUN_DIR/logs" "$RUN_DIR/pids"
  log_size=$(wc -c 2>/dev/null <"$log" || echo 0)
  set -m # gives it a process group of its own, so that Ctrl-C meant for the script does not reach it
  nohup "$@" </dev/null >>"$log" 2>&1 &
  pid=$!
  disown
  set +m
  printf '%s\n' "$(started_at "$pid")" "$port" "$log_size" >"$RUN_DIR/pids/$name.facts"
  echo "$pid" >"$RUN_DIR/pids/$name"
}

# Tells a process from a later one that was given the same id; says nothing for one that is gone.
started_at() {
  local fields
  if [[ -d /proc/self ]]; then
    fields=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    read -r -a fields <<<"${fields##*) }"
    # A zombie only waits to be reaped, but holds its ports until its last thread has ended.
    [[ ${fields[0]} == Z && ${fields[17]} -le 1 ]] || echo "${fields[19]}"
  else
    ps -o lstart= -p "$1" || return 0
  fi
}

running() {
  local started
  [[ -f $RUN_DIR/pids/$1 ]] || return 1
  started=$(started_at "$(pid_of "$1")")
  [[ -n $started && $started == "$(fact 1 "$1")" ]]
}

gone() {
  ! running "$1"
}

pid_of() {
  cat "$RUN_DIR/pids/$1"
}

# fact LINE NAME
fact() {
  sed -n "$1p" "$RUN_DIR/pids/$2.facts" 2>/dev/null
}

port_of() {
  fact 2 "$1"
}

log_of() {
  echo "$RUN_DIR/logs/$1.log"
}

# What NAME has logged since it was started.
fresh_log() {
  tail -c "+$(($(fact 3 "$1") + 1))" "$(log_of "$1")"
}

# await NAME SECONDS CHECK...: until CHECK succeeds; dies when NAME does, or when the time is over.
await() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@"; do
    running "$name" || die_with_log "$name" "$name ended instead of starting"
    ((SECONDS < deadline)) || die_with_log "$name" "$name was not ready in time"
    sleep 0.1
  done
}

die_with_log() {
  say "--- the end of $(log_of "$1")" >&2
  fresh_log "$1" | tail -n 20 >&2
  say "---" >&2
  die "$2"
}

# end NAME SIGNAL SECONDS: ends NAME with SIGNAL, after SECONDS with SIGKILL; harmless when it does not run.
end() {
  local name=$1 signal=$2 seconds=$3
  if running "$name"; then
    kill -s "$signal" "$(pid_of "$name")" || true
    if ! poll "$seconds" gone "$name"; then
      say "$name did not end within $seconds s: killing it"
      kill -s KILL "$(pid_of "$name")" || true
      poll 10 gone "$name" || die "$name (process $(pid_of "$name")) cannot be ended"
    fi
    say "$name ended"
  fi
  rm -f "$RUN_DIR/pids/$name" "$RUN_DIR/pids/$name.facts"
}

describe() {
  if running "$1"; then
    say "$1 runs on port $(port_of "$1") (process $(pid_of "$1"), log $(log_of "$1"))"
  else
    say "$1 does not run"
    return 1
  fi
}
