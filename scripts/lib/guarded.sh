# A guarded installation: an authority with a certificate of this machine, which the services and their servers show; a
# pair of keys and tokens made with it; and what the services are told of them.
# shellcheck shell=bash

AUTH_DIR=$RUN_DIR/auth
# What callers know the services and their servers by, here and in containers.
CALLED_BY=DNS:localhost,IP:127.0.0.1,DNS:wallet-service,DNS:history-service
EVERYTHING="wallets:read wallets:write money:move history:read reports:read metrics:read admin"

# Has everything of the run encrypted: makes the certificates that are missing, or end within a month. Before the servers
# are started, which read this of TLS_DIR.
guard_wires() {
  local new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes) user
  export TLS_DIR=$AUTH_DIR
  mkdir -p "$TLS_DIR"
  chmod 700 "$TLS_DIR"
  if ! lasts "$TLS_DIR/ca.pem"; then
    make_quietly openssl req -x509 "${new[@]}" -days 3650 -subj "/CN=wallets on $(hostname)" \
      -keyout "$TLS_DIR/ca.key" -out "$TLS_DIR/ca.pem"
    rm -f "$TLS_DIR/tls.pem"
  fi
  if ! lasts "$TLS_DIR/tls.pem"; then
    make_quietly openssl req "${new[@]}" -subj /CN=localhost -keyout "$TLS_DIR/tls.key" -out "$TLS_DIR/tls.csr"
    make_quietly openssl x509 -req -in "$TLS_DIR/tls.csr" -CA "$TLS_DIR/ca.pem" -CAkey "$TLS_DIR/ca.key" -CAcreateserial \
      -days 397 -extfile <(echo "subjectAltName=$CALLED_BY") -out "$TLS_DIR/tls.pem"
  fi
  for user in "${KAFKA_USERS[@]}"; do
    [[ -f $TLS_DIR/kafka-$user.password ]] || (umask 077 && openssl rand -hex 24 >"$TLS_DIR/kafka-$user.password")
  done
}

# Whether a certificate is there and does not end within a month.
lasts() {
  openssl x509 -checkend $((30 * 24 * 3600)) -noout -in "$1" >/dev/null 2>&1
}

# Shows what a command said only when it fails; what it writes is for this user alone.
make_quietly() {
  local said
  said=$(umask 077 && "$@" 2>&1) || die "$1 failed: $said"
}

# Makes what is missing, has the services told, and the story's calls show a token. WALLETCTL may name another program than
# the one that was built here.
guard() {
  local walletctl
  walletctl=${WALLETCTL:-$(binaries local)/walletctl}
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
  export LEDGER_TOKEN_FILE=$AUTH_DIR/ledger.token LEDGER_CA_FILE=$TLS_DIR/ca.pem
  export HTTP_TLS_CERT_FILE=$TLS_DIR/tls.pem HTTP_TLS_KEY_FILE=$TLS_DIR/tls.key
  grep -qs '^export WALLET_TOKEN_FILE=' "$RUN_DIR/env" || cat >>"$RUN_DIR/env" <<EOF
export WALLET_TOKEN_FILE=$AUTH_DIR/service.token
export WALLET_CA_FILE=$TLS_DIR/ca.pem
EOF
  CURL+=(--cacert "$TLS_DIR/ca.pem")
  TRUST_SHOWN=" --cacert $TLS_DIR/ca.pem"
  CALL=("${CURL[@]}" -S -H "authorization: Bearer $(<"$AUTH_DIR/service.token")")
  CALL_SHOWN="$TRUST_SHOWN -H \"authorization: Bearer \$(cat $AUTH_DIR/service.token)\""
}

# as_user_of_kafka SERVICE: fills `as_user` with the command that runs what follows it as who Kafka knows the service by.
as_user_of_kafka() {
  as_user=()
  [[ -n ${TLS_DIR:-} ]] || return 0
  as_user=(env KAFKA_SECURITY_PROTOCOL=sasl_ssl "KAFKA_SSL_CA_LOCATION=$TLS_DIR/ca.pem" KAFKA_SASL_MECHANISM=PLAIN
    "KAFKA_SASL_USERNAME=$1" "KAFKA_SASL_PASSWORD_FILE=$TLS_DIR/kafka-$1.password")
}

# mint FILE SUBJECT SCOPE [--act-for USERS]: a token for a month, for this machine's own use.
mint() {
  local file=$1 subject=$2 scope=$3
  shift 3
  (umask 077 && "$walletctl" token "$subject" --scope "$scope" "$@" --expires-in 30d \
    --key-file "$AUTH_DIR/private.pem" >"$AUTH_DIR/$file.token")
}

# Ends what lets in others than it is to: settings are read at the start only.
end_if_guarded_otherwise() {
  local wanted=$1 had
  had=$(cat "$RUN_DIR/guarded" 2>/dev/null || echo false)
  if [[ $had != "$wanted" ]]; then
    end wallet-service TERM 30
    end history-service TERM 30
    end kafka TERM 60
    end postgres INT 60
  fi
  mkdir -p "$RUN_DIR"
  echo "$wanted" >"$RUN_DIR/guarded"
}
