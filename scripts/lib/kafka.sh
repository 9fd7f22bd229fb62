# Kafka: one node that is broker and controller, formatted on the first start.
# shellcheck shell=bash

# Any 16 bytes in base64: a run has only this one cluster.
KAFKA_CLUSTER=d2FsbGV0LWxvY2FsLXJ1bg

kafka_start() {
  if ! running kafka; then
    kafka_configure
    spawn kafka "$KAFKA_PORT" java -Xmx512m "${KAFKA_JAVA[@]}" kafka.Kafka "$RUN_DIR/kafka/server.properties"
  fi
  await kafka 120 kafka_ready
  say "kafka is ready on port $KAFKA_PORT"
}

kafka_ready() {
  grep -q 'Kafka Server started' <(fresh_log kafka)
}

kafka_stop() {
  end kafka TERM 60
}

kafka_configure() {
  local properties=$RUN_DIR/kafka/server.properties controller_port=${KAFKA_CONTROLLER_PORT:-$(free_port)} said
  ! port_taken "$controller_port" ||
    die "port $controller_port is taken by another program: set KAFKA_CONTROLLER_PORT to a free port"
  mkdir -p "$RUN_DIR/kafka"
  cat scripts/lib/servers/kafka.properties - >"$properties" <<EOF
log.dirs=$RUN_DIR/kafka/data
listeners=CLIENT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$controller_port
controller.quorum.voters=1@127.0.0.1:$controller_port
EOF
  [[ ! -f $RUN_DIR/kafka/data/meta.properties ]] || return 0
  said=$(java "${KAFKA_JAVA[@]}" kafka.tools.StorageTool format --ignore-formatted \
    --config "$properties" --cluster-id "$KAFKA_CLUSTER" 2>&1) || die "Kafka's storage cannot be formatted: $said"
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
