# Kafka: one node that is broker and controller, formatted on the first start. With TLS_DIR, it is spoken to encrypted, by
# users with passwords, of which each may what docs/operations.md says.
# shellcheck shell=bash

# Any 16 bytes in base64: a run has only this one cluster.
KAFKA_CLUSTER=d2FsbGV0LWxvY2FsLXJ1bg

kafka_start() {
  if ! running kafka; then
    kafka_configure
    spawn kafka "$KAFKA_PORT" java -Xmx512m "${KAFKA_JAVA[@]}" kafka.Kafka "$RUN_DIR/kafka/server.properties"
  fi
  await kafka 120 kafka_ready
  [[ -z ${TLS_DIR:-} ]] || kafka_grant
  say "kafka is ready on port $KAFKA_PORT"
}

kafka_ready() {
  grep -q 'Kafka Server started' <(fresh_log kafka)
}

kafka_stop() {
  end kafka TERM 60
}

kafka_configure() {
  local properties=$RUN_DIR/kafka/server.properties controller_port=${KAFKA_CONTROLLER_PORT:-$(free_port)} said host=127.0.0.1
  # A certificate is for a name, to the library that connects to Kafka.
  [[ -z ${TLS_DIR:-} ]] || host=localhost
  ! port_taken "$controller_port" ||
    die "port $controller_port is taken by another program: set KAFKA_CONTROLLER_PORT to a free port"
  mkdir -p "$RUN_DIR/kafka"
  (umask 077 && cat scripts/lib/servers/kafka.properties - <(kafka_guarded) >"$properties") <<EOF
log.dirs=$RUN_DIR/kafka/data
listeners=CLIENT://$host:$KAFKA_PORT,CONTROLLER://$host:$controller_port
controller.quorum.voters=1@$host:$controller_port
EOF
  [[ ! -f $RUN_DIR/kafka/data/meta.properties ]] || return 0
  said=$(java "${KAFKA_JAVA[@]}" kafka.tools.StorageTool format --ignore-formatted \
    --config "$properties" --cluster-id "$KAFKA_CLUSTER" 2>&1) || die "Kafka's storage cannot be formatted: $said"
}

# What a guarded Kafka is told beside. Between its two halves it shows its own certificate on both sides.
kafka_guarded() {
  local user users=
  [[ -n ${TLS_DIR:-} ]] || return 0
  cat "$TLS_DIR/tls.key" "$TLS_DIR/tls.pem" >"$RUN_DIR/kafka/tls.both.pem"
  for user in "${KAFKA_USERS[@]}"; do
    users+=" user_$user=\"$(<"$TLS_DIR/kafka-$user.password")\""
  done
  cat <<EOF
listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:SSL
listener.name.controller.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=$RUN_DIR/kafka/tls.both.pem
ssl.truststore.type=PEM
ssl.truststore.location=$TLS_DIR/ca.pem
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config=$(kafka_login)$users;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:kafka;User:CN=localhost
EOF
}

# The first is Kafka's own.
KAFKA_USERS=(kafka wallet-service history-service)

kafka_login() {
  printf '%s username="kafka" password="%s"' \
    'org.apache.kafka.common.security.plain.PlainLoginModule required' "$(<"$TLS_DIR/kafka-kafka.password")"
}

# Once for the life of its data.
kafka_grant() {
  local admin=$RUN_DIR/kafka/admin.properties topic=${KAFKA_TOPIC:-wallet-events} group=${KAFKA_GROUP:-history-service} one two
  [[ ! -f $RUN_DIR/kafka/granted ]] || return 0
  (umask 077 && cat >"$admin") <<EOF
security.protocol=SASL_SSL
sasl.mechanism=PLAIN
sasl.jaas.config=$(kafka_login);
ssl.truststore.type=PEM
ssl.truststore.location=$TLS_DIR/ca.pem
EOF
  kafka_acls --add --allow-principal User:wallet-service \
    --operation Write --operation DescribeConfigs --operation Create --topic "$topic" &
  one=$!
  kafka_acls --add --allow-principal User:history-service \
    --operation Read --operation DescribeConfigs --topic "$topic" --group "$group" &
  two=$!
  wait "$one" && wait "$two" || die "the users of Kafka could not be granted their rights: see above"
  touch "$RUN_DIR/kafka/granted"
}

# It lives for a second: compiling what it does is not worth it.
kafka_acl_command() {
  java -XX:TieredStopAtLevel=1 "${KAFKA_JAVA[@]}" org.apache.kafka.tools.AclCommand "$@"
}

kafka_acls() {
  local said
  said=$(kafka_acl_command --bootstrap-server "localhost:$KAFKA_PORT" --command-config "$admin" "$@" 2>&1) || {
    printf '%s\n' "$said" >&2
    return 1
  }
}

# Logs only warnings, and the line that says it is ready.
KAFKA_JAVA=(
  -cp "$SERVERS/kafka/*"
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
  -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info
  -Dorg.slf4j.simpleLogger.showDateTime=true
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS'
)
# One of tests has little to do: how soon it starts counts, and not how fast it becomes.
! for_tests || KAFKA_JAVA+=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
