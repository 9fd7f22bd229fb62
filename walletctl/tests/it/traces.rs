//! One request's trace, from the call to the row in history, as a collector receives it from both services.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span,
};
use prost::Message;
use serde_json::{Value, json};
use shared::{
    server::{
        http_client,
        settings::Settings,
        traces::{self, TraceSettings},
    },
    testing::{TestDatabase, eventually, free_port, kafka_brokers, unique_topic},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const LATER_TRACE: &str = "1bf7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// What the trace of a request consists of.
const STEPS: [&str; 5] = [
    "POST /wallets/{id}/fund",
    "ledger queue",
    "ledger commit",
    "relay send",
    "history row",
];

type Spans = Arc<Mutex<Vec<Span>>>;

/// Takes what is sent by OTLP, and gives where it is.
async fn collect(spans: Spans) -> String {
    let receive = async |State(spans): State<Spans>, body: Bytes| {
        let received = ExportTraceServiceRequest::decode(body).unwrap();
        let scopes = received
            .resource_spans
            .into_iter()
            .flat_map(|of| of.scope_spans);
        let told = scopes.flat_map(|scope| scope.spans);
        spans.lock().unwrap().extend(told);
    };
    let router = Router::new()
        .route("/v1/traces", post(receive))
        .with_state(spans);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    endpoint
}

/// Both services in this process, on databases and a topic of their own.
struct Services {
    wallet_url: String,
    history_url: String,
    stop: CancellationToken,
    databases: [TestDatabase; 2],
}

impl Services {
    async fn start() -> Self {
        let databases = [
            TestDatabase::create(wallet_service::app::SCHEMA).await,
            TestDatabase::create(history_service::app::SCHEMA).await,
        ];
        let (brokers, topic) = (kafka_brokers(), unique_topic("traces"));
        let ports = [free_port().to_string(), free_port().to_string()];
        let settings = Settings::from_pairs([
            ("WALLET_DATABASE_URL", databases[0].url().expose()),
            ("HISTORY_DATABASE_URL", databases[1].url().expose()),
            ("WALLET_PORT", &ports[0]),
            ("HISTORY_PORT", &ports[1]),
            ("KAFKA_BROKERS", &brokers),
            ("KAFKA_TOPIC", &topic),
            ("KAFKA_TOPIC_PARTITIONS", "1"),
            ("KAFKA_GROUP", &topic),
        ]);
        let stop = CancellationToken::new();
        let config = wallet_service::config::Config::from_settings(&settings).unwrap();
        let wallet = wallet_service::app::App::start(config).await.unwrap();
        tokio::spawn(wallet.run(stop.clone()));
        let config = history_service::config::Config::from_settings(&settings).unwrap();
        let history = history_service::app::App::start(config).await.unwrap();
        tokio::spawn(history.run(stop.clone()));
        let [wallet, history] = ports.map(|port| format!("http://127.0.0.1:{port}"));
        Self {
            wallet_url: wallet,
            history_url: history,
            stop,
            databases,
        }
    }

    /// A wallet with money, which came to it by a request of this trace and is in history.
    async fn fund_traced(&self, trace: &str) -> String {
        let http = http_client::plain();
        let url = format!("{}/wallets", self.wallet_url);
        let created = http.post(url).json(&json!({"user_id": "alice"}));
        let wallet: Value = created.send().await.unwrap().json().await.unwrap();
        let id = wallet["id"].as_str().unwrap().to_owned();
        let fund = http
            .post(format!("{}/wallets/{id}/fund", self.wallet_url))
            .header("traceparent", format!("00-{trace}-{CALLER}-01"))
            .json(&json!({"amount": "12345.67", "description": "a secret"}));
        assert_eq!(fund.send().await.unwrap().status(), 201);
        let history = format!(
            "{}/wallets/{id}/history?min_sequence=2&wait_ms=1000",
            self.history_url
        );
        eventually("history has it", DEADLINE, async || {
            let read = http.get(&history).send().await.ok()?;
            read.status().is_success().then_some(())
        })
        .await;
        id
    }

    /// Ends every session that the services have.
    async fn cut_sessions(&self) {
        for database in &self.databases {
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
                       where datname = current_database() and pid <> pg_backend_pid()";
            sqlx::query(cut).execute(database.pool()).await.unwrap();
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace by name, when all of them have come.
async fn whole(spans: &Spans, trace: &str) -> BTreeMap<String, Vec<Span>> {
    eventually("the trace is whole", DEADLINE, async || {
        let mut named: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        let all = spans.lock().unwrap().clone();
        for span in all.into_iter().filter(|span| hex(&span.trace_id) == trace) {
            named.entry(span.name.clone()).or_default().push(span);
        }
        let is_whole = STEPS.iter().all(|step| named.contains_key(*step));
        is_whole.then_some(named)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_trace_from_the_call_to_the_row_in_history() {
    let spans = Spans::default();
    let endpoint = collect(Arc::clone(&spans)).await;
    let settings = Settings::from_pairs([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())]);
    let settings = settings.read(TraceSettings::from_settings).unwrap();
    let _flush = traces::init(&settings, "wallet-system").unwrap();
    let services = Box::pin(Services::start()).await;
    let wallet = services.fund_traced(TRACE).await;

    let told = whole(&spans, TRACE).await;
    assert_eq!(told.len(), STEPS.len(), "{:?}", told.keys());
    let request = &told["POST /wallets/{id}/fund"][0];
    assert_eq!(hex(&request.parent_span_id), CALLER);
    let steps = told.iter().filter(|(name, _)| !name.starts_with("POST"));
    for step in steps.flat_map(|(_, spans)| spans) {
        assert_eq!(step.parent_span_id, request.span_id, "{step:?}");
        assert!(
            step.end_time_unix_nano >= step.start_time_unix_nano,
            "{step:?}"
        );
    }

    let all = spans.lock().unwrap().clone();
    for (step, batch) in [
        ("ledger commit", "ledger batch"),
        ("relay send", "relay batch"),
        ("history row", "history batch"),
    ] {
        let link = &told[step][0].links[0];
        let linked = all
            .iter()
            .find(|span| span.span_id == link.span_id)
            .unwrap();
        assert_eq!(linked.name, batch);
        assert_ne!(
            hex(&linked.trace_id),
            TRACE,
            "a batch is a trace of its own"
        );
        let names_request = |link: &_| {
            let opentelemetry_proto::tonic::trace::v1::span::Link { span_id, .. } = link;
            *span_id == request.span_id
        };
        assert!(linked.links.iter().any(names_request), "{linked:?}");
    }
    let text = format!("{all:?}");
    for secret in [wallet.as_str(), "alice", "12345", "a secret"] {
        assert!(!text.contains(secret), "{secret} is in a span");
    }

    // Decided a second time, on locked rows: its connection was lost.
    services.cut_sessions().await;
    services.fund_traced(LATER_TRACE).await;
    let told = whole(&spans, LATER_TRACE).await;
    assert_eq!(told.len(), STEPS.len(), "{:?}", told.keys());
}
