# A guarded installation: a pair of keys, tokens made with it, and what the services are told of them.
# shellcheck shell=bash

AUTH_DIR=$RUN_DIR/auth
EVERYTHING="wallets:read wallets:write money:move history:read metrics:read admin"

# Makes what is missing, has the services told, and the story's calls show a token.
guard() {
  local walletctl
  walletctl=$(binaries local)/walletctl
  export AUTH=jwt AUTH_PUBLIC_KEY_FILE=$AUTH_DIR/public.pem
  export AUTH_ISSUER=${AUTH_ISSUER:-https://wallets.localhost} AUTH_AUDIENCE=${AUTH_AUDIENCE:-wallets}
  mkdir -p "$AUTH_DIR"
  chmod 700 "$AUTH_DIR"
  [[ -f $AUTH_DIR/private.pem ]] ||
    "$walletctl" key "$AUTH_DIR/private.pem" "$AUTH_DIR/public.pem" >/dev/null
  mint service demo "$EVERYTHING" --act-for '*'
  mint ledger history-service "wallets:read admin" --act-for '*'
  mint metrics prometheus "metrics:read"
  mint alice alice "wallets:read money:move history:read"
  export LEDGER_TOKEN_FILE=$AUTH_DIR/ledger.token
  echo "export WALLET_TOKEN_FILE=$AUTH_DIR/service.token" >>"$RUN_DIR/env"
  CALL+=(-H "authorization: Bearer $(<"$AUTH_DIR/service.token")")
  CALL_SHOWN=" -H \"authorization: Bearer \$(cat $AUTH_DIR/service.token)\""
}

# mint FILE SUBJECT SCOPE [--act-for USERS]: a token for a month, for this machine's own use.
mint() {
  local file=$1 subject=$2 scope=$3
  shift 3
  (umask 077 && "$walletctl" token "$subject" --scope "$scope" "$@" --expires-in 30d \
    --key-file "$AUTH_DIR/private.pem" >"$AUTH_DIR/$file.token")
}

# Ends services that let in others than they are to: they read their settings at their start only.
end_if_guarded_otherwise() {
  local wanted=$1 had
  had=$(cat "$RUN_DIR/guarded" 2>/dev/null || echo false)
  if [[ $had != "$wanted" ]]; then
    end wallet-service TERM 30
    end history-service TERM 30
  fi
  echo "$wanted" >"$RUN_DIR/guarded"
}
