# The quick start: two wallets, some money, both balances, both histories. Every line is shown, then run.
# shellcheck shell=bash

tell_story() {
  local story alice bob
  story=story-$(date +%s)-$$ # a new story each time: its requests are not replays of the last one's

  post 1 "$WALLET_URL/wallets" '{"user_id":"alice"}'
  alice=$(answered_id)
  post 2 "$WALLET_URL/wallets" '{"user_id":"bob"}'
  bob=$(answered_id)
  post 3 "$WALLET_URL/wallets/$alice/fund" '{"amount":"100.00"}'
  post 4 "$WALLET_URL/wallets/$alice/transfer" "{\"to_wallet_id\":\"$bob\",\"amount\":\"30.00\"}"
  get "$WALLET_URL/wallets/$alice/balance"
  get "$WALLET_URL/wallets/$bob/balance"

  # Alice's wallet was created, funded and sent money; bob's was created and received it.
  await_history "$alice" 3
  get "$HISTORY_URL/wallets/$alice/history"
  await_history "$bob" 2
  get "$HISTORY_URL/wallets/$bob/history"
}

# What a caller without a token is told, and a user about another's wallet.
show_the_guard() {
  printf '\n$ curl %s%s   # without a token\n' "$WALLET_URL/wallets" "$TRUST_SHOWN"
  expect_status 401 "$WALLET_URL/wallets"
  printf '\n$ curl %s%s -H "authorization: Bearer $(cat %s)"   # another user'"'"'s\n' \
    "$WALLET_URL/users/bob/wallets" "$TRUST_SHOWN" "$AUTH_DIR/alice.token"
  expect_status 404 "$WALLET_URL/users/bob/wallets" -H "authorization: Bearer $(<"$AUTH_DIR/alice.token")"
}

# expect_status STATUS URL [CURL ARGUMENT...]: prints the answer, which has to have the status.
expect_status() {
  local wanted=$1 said
  shift
  said=$("${CURL[@]}" -S -w '\n%{http_code}' "$@")
  printf '  %s\n' "${said%$'\n'*}"
  [[ ${said##*$'\n'} == "$wanted" ]] || die "the answer's status is ${said##*$'\n'}, not $wanted"
}

# How curl is called, and what of that is shown: where everything is encrypted, with whom it trusts; where callers are told
# apart, with a token.
CURL=(curl -s)
TRUST_SHOWN=
CALL=("${CURL[@]}" -S)
CALL_SHOWN=

# post NUMBER URL BODY: the story's request of that number, with which it is never carried out twice.
post() {
  local key="idempotency-key: $story-$1" url=$2 body=$3
  printf "\n$ curl -X POST %s%s \\\\\n    -H 'content-type: application/json' -H '%s' \\\\\n    -d '%s'\n" \
    "$url" "$CALL_SHOWN" "$key" "$body"
  run_curl -X POST "$url" -H 'content-type: application/json' -H "$key" -d "$body"
}

get() {
  printf '\n$ curl %s%s\n' "$1" "$CALL_SHOWN"
  run_curl "$1"
}

# Prints the answer, one line per entry of a list, and keeps it in `answer`.
run_curl() {
  answer=$("${CALL[@]}" -w '\n%{http_code}' "$@")
  local status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  awk '{ gsub(/\[?\{"event_id"/, "\n    &"); print "  " $0 }' <<<"$answer"
  [[ $status == 2* ]] || die "the quick start was answered with status $status"
}

answered_id() {
  grep -o '"id":"[^"]*"' <<<"$answer" | head -n 1 | cut -d'"' -f4
}

# History follows the wallets by a moment: waits until it has applied a wallet's first COUNT events.
await_history() {
  poll 60 history_has "$1" "$2" || die "history did not get the events of wallet $1 in time: see $(log_of history-service)"
}

history_has() {
  local applied
  applied=$("${CALL[@]}" "$HISTORY_URL/wallets/$1/history?min_sequence=$2&wait_ms=5000" |
    sed -n 's/.*"applied_sequence":\([0-9]*\).*/\1/p')
  ((${applied:-0} >= $2))
}
