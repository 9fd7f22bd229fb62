//! The API in this process, on a database of its own: the real router, ledger and reads, without Kafka.
//!
//! [`TestApp`] speaks in verbs; [`Call`] is one request, [`Answer`] what came back. Every problem that passes here must
//! stand in `docs/errors.md` with its status.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request},
};
use serde_json::{Value, json};
use shared::{
    Amount, Currency, problem,
    server::{
        auth::Guard,
        health::Health,
        http::HttpLimits,
        metrics::{Metrics, RequestMetrics},
        postgres::{PostgresClock, read_pool},
    },
    testing::{TestDatabase, patience, tokens},
};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch};
use tower::ServiceExt;
use wallet_service::{
    app::SCHEMA,
    config::PLANNER,
    http::{Api, KeyPolicy, router, routes},
    ledger::{
        DryRuns, HoldRules, LedgerSettings, SettlementShard, UserRights, Writer,
        store::query::Reader,
    },
    outbox::{MessageLimit, republish::Republish},
};

use crate::redaction::{Redaction, indented};

const ERRORS_PAGE: &str = include_str!("../../../docs/errors.md");

/// See the module.
pub(crate) struct TestApp {
    router: Router,
    pub(crate) database: TestDatabase,
    pub(crate) message_limit: MessageLimit,
}

/// What [`TestApp::restarted_with`] may change.
pub(crate) struct Settings {
    pub(crate) ledger: LedgerSettings,
    pub(crate) default_currency: Currency,
    pub(crate) key_policy: KeyPolicy,
}

/// A wallet that a test made.
#[derive(Clone, Debug)]
pub(crate) struct TestWallet(pub(crate) String);

impl TestWallet {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/wallets/{}{rest}", self.0)
    }
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::on(TestDatabase::create(SCHEMA).await, KeyPolicy::Optional)
    }

    /// On a database that is there already.
    pub(crate) fn on(database: TestDatabase, key_policy: KeyPolicy) -> Self {
        let (api, writer) = api(database.options(), ledger_settings(), key_policy);
        Self::of(api, writer, database)
    }

    fn of(api: Api, writer: Writer, database: TestDatabase) -> Self {
        tokio::spawn(writer.run());
        let message_limit = api.message_limit.clone();
        Self {
            router: finished(api),
            database,
            message_limit,
        }
    }

    /// One that lets in whose tokens are made by [`shared::testing::tokens`].
    pub(crate) async fn guarded(user_rights: UserRights) -> Self {
        let database = TestDatabase::create(SCHEMA).await;
        let settings = LedgerSettings {
            user_rights,
            ..ledger_settings()
        };
        let (api, writer) = api(database.options(), settings, KeyPolicy::Optional);
        tokio::spawn(writer.run());
        let message_limit = api.message_limit.clone();
        Self {
            router: guarded(api, &tokens::guard()),
            database,
            message_limit,
        }
    }

    /// An instance that knows Postgres' clock as this one tells it.
    pub(crate) async fn with_clock(clock: PostgresClock) -> Self {
        let database = TestDatabase::create(SCHEMA).await;
        let (mut api, writer) = api(database.options(), ledger_settings(), KeyPolicy::Optional);
        api.ledger = api.ledger.with_clock(clock);
        Self::of(api, writer, database)
    }

    /// The same database with a ledger that remembers nothing.
    pub(crate) fn restarted(self) -> Self {
        Self::on(self.database, KeyPolicy::Optional)
    }

    /// The same database with a ledger that remembers nothing and was started with other settings.
    pub(crate) fn restarted_with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            ledger: ledger_settings(),
            default_currency: "USD".parse().unwrap(),
            key_policy: KeyPolicy::Optional,
        };
        change(&mut settings);
        let Settings {
            ledger,
            default_currency,
            key_policy,
        } = settings;
        let (mut api, writer) = api(self.database.options(), ledger, key_policy);
        api.default_currency = default_currency;
        Self::of(api, writer, self.database)
    }

    pub(crate) async fn call(&self, call: Call) -> Answer {
        call.send(&self.router).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Call::get(path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Call::post(path, body)).await
    }

    pub(crate) async fn create_wallet(&self, user: &str) -> TestWallet {
        self.create_wallet_in(user, "USD").await
    }

    pub(crate) async fn create_wallet_in(&self, user: &str, currency: &str) -> TestWallet {
        let body = json!({"user_id": user, "currency": currency});
        let created = self.post("/wallets", body).await.good(201);
        TestWallet(created["id"].as_str().unwrap().to_owned())
    }

    /// A wallet with money in it.
    pub(crate) async fn funded_wallet(&self, user: &str, amount: &str) -> TestWallet {
        let wallet = self.create_wallet(user).await;
        self.fund(&wallet, amount).await.good(201);
        wallet
    }

    pub(crate) async fn fund(&self, wallet: &TestWallet, amount: &str) -> Answer {
        self.post(&wallet.path("/fund"), json!({"amount": amount}))
            .await
    }

    pub(crate) async fn withdraw(&self, wallet: &TestWallet, amount: &str) -> Answer {
        self.post(&wallet.path("/withdraw"), json!({"amount": amount}))
            .await
    }

    pub(crate) async fn transfer(
        &self,
        from: &TestWallet,
        to: &TestWallet,
        amount: &str,
    ) -> Answer {
        let body = json!({"to_wallet_id": to.0, "amount": amount});
        self.post(&from.path("/transfer"), body).await
    }

    pub(crate) async fn balance(&self, wallet: &TestWallet) -> String {
        let body = self.get(&wallet.path("/balance")).await.good(200);
        body["balance"].as_str().unwrap().to_owned()
    }

    /// Sends a call that must be refused, and makes sure that it changed nothing but its own stored answer.
    pub(crate) async fn refused(&self, call: Call) -> Answer {
        let before = self.state().await;
        let described = format!("{call:?}");
        let answer = self.call(call).await;
        assert!(answer.status >= 400, "{described}: {answer:?}");
        assert_eq!(self.state().await, before, "{described} changed something");
        answer
    }

    /// Everything the ledger holds, except stored answers.
    pub(crate) async fn state(&self) -> Vec<String> {
        let rows = sqlx::query_scalar(
            "select row_to_json(t)::text from wallets t
             union all select row_to_json(t)::text from transactions t
             union all select row_to_json(t)::text from transaction_references t
             union all select row_to_json(t)::text from wallet_external_ids t
             union all select row_to_json(t)::text from transaction_reversals t
             union all select row_to_json(t)::text from wallet_events t
             union all select row_to_json(t)::text from holds t
             union all select row_to_json(t)::text from outbox t
             order by 1",
        );
        rows.fetch_all(self.database.pool()).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(self.database.pool())
            .await
            .unwrap();
    }

    pub(crate) async fn count_i32(&self, sql: &'static str) -> i32 {
        sqlx::query_scalar(sql)
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }
}

pub(crate) fn ledger_settings() -> LedgerSettings {
    LedgerSettings {
        queue_capacity: 1024,
        batch_max: 64,
        answer_timeout: patience(Duration::from_secs(60)),
        amount_max: Amount::try_new(1_000_000_000_000_000).unwrap(),
        idempotency_ttl: Duration::from_secs(86_400),
        refusals_kept_for: Duration::from_secs(86_400),
        user_rights: UserRights::USUAL,
        holds: HoldRules::USUAL,
    }
}

/// The API and its writer, which does not run yet.
pub(crate) fn api(
    database: PgConnectOptions,
    settings: LedgerSettings,
    key_policy: KeyPolicy,
) -> (Api, Writer) {
    api_on(
        database,
        settings,
        key_policy,
        leased(SettlementShard::new(0)),
    )
}

pub(crate) fn api_on(
    database: PgConnectOptions,
    settings: LedgerSettings,
    key_policy: KeyPolicy,
    shard: watch::Receiver<SettlementShard>,
) -> (Api, Writer) {
    let bell = Arc::new(Notify::new());
    let writing = PLANNER.pin_writer(database.clone());
    let amount_max = settings.amount_max;
    let reader = Reader::new(read_pool(database.clone(), 4));
    let dry_runs = DryRuns::new(reader.pool().clone(), &settings, shard.clone());
    let (ledger, writer) = Writer::new(writing, settings, shard, bell);
    let republish = Republish::new(database, "wallet-events".to_owned());
    let default_currency = "USD".parse().unwrap();
    (
        Api {
            ledger,
            reader,
            dry_runs,
            test_clock: None,
            default_currency,
            amount_max,
            key_policy,
            message_limit: MessageLimit::unknown(),
            republish,
        },
        writer,
    )
}

/// A shard as a lease gives it.
pub(crate) fn leased(shard: SettlementShard) -> watch::Receiver<SettlementShard> {
    watch::Sender::new(shard).subscribe()
}

pub(crate) fn finished(api: Api) -> Router {
    guarded(api, &Guard::open())
}

pub(crate) fn guarded(api: Api, guard: &Guard) -> Router {
    let limits = HttpLimits {
        // Time for a busy machine.
        request_timeout: Duration::from_secs(90),
        ..HttpLimits::default()
    };
    let requests = RequestMetrics::new(&routes());
    let served = (&Health::new(), &Metrics::new());
    router(api, guard, served, requests, &limits)
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write json! in place"
    )]
    pub(crate) fn post(path: &str, body: Value) -> Self {
        Self::post_text(path, &body.to_string())
    }

    pub(crate) fn put(path: &str, body: Value) -> Self {
        Self {
            method: Method::PUT,
            ..Self::post(path, body)
        }
    }

    /// With a body that need not be JSON.
    pub(crate) fn post_text(path: &str, body: &str) -> Self {
        let call = Self::new(Method::POST, path).header("content-type", "application/json");
        Self {
            body: body.into(),
            ..call
        }
    }

    /// The same by another method.
    pub(crate) fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) async fn send(self, router: &Router) -> Answer {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).unwrap();
        let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_vec(),
        }
    }
}

/// What came back.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of an answer that must have this good status.
    pub(crate) fn good(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }

    /// The body of a problem that must have this status and code, and be complete and documented.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!(
            (self.status, problem["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        assert_eq!(self.header("content-type"), Some(problem::MEDIA_TYPE));
        assert_eq!(problem["status"], json!(status));
        assert_eq!(problem["type"], json!(format!("urn:problem:wallet:{code}")));
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        for member in ["title", "detail"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{self:?}");
        }
        let row = format!("| {status} | `{code}` |");
        assert!(
            ERRORS_PAGE.contains(&row),
            "docs/errors.md has no row {row}"
        );
        problem
    }

    /// A problem of one field.
    pub(crate) fn problem_of(&self, status: u16, code: &str, field: &str) -> Value {
        let problem = self.problem(status, code);
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!(field), &json!(code)),
            "{self:?}"
        );
        problem
    }

    /// Status, the headers that carry a promise, and the body, for a snapshot: ids, hashes and moments are checked to
    /// be such and numbered by their first appearance, so what is the same stays visibly the same.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("{}\n", self.status);
        for name in [
            "location",
            "etag",
            "idempotent-replayed",
            "retry-after",
            "allow",
        ] {
            if let Some(value) = self.header(name) {
                shown.push_str(&format!("{name}: {value}\n"));
            }
        }
        shown.push_str(&indented(std::str::from_utf8(&self.body).unwrap()));
        Redaction::default().apply(&shown)
    }

    /// A problem's members, one to a line.
    pub(crate) fn without_request_id(&self) -> String {
        let mut problem = self.json();
        problem.as_object_mut().unwrap().remove("request_id");
        serde_json::to_string_pretty(&problem).unwrap()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// The results of a batch that was taken.
pub(crate) fn results(answer: &Answer) -> Vec<Value> {
    let body = answer.good(200);
    body["results"].as_array().unwrap().clone()
}
