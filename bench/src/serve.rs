//! What the baselines answer over HTTP, on the chassis that the services stand on: the same limits, the same reading of
//! bodies, the same log. Only what is behind a route differs.

use std::{net::Ipv4Addr, str::FromStr};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Args;
use serde_json::{Value, json};
use shared::{
    Currency, Timestamp, WalletId,
    money::DecimalAmount,
    problem::{Code, Problem},
    server::{
        health::Health,
        http::{HttpLimits, Server, finish},
        postgres::read_pool,
        request::{Fields, FromFields, JsonBody, PathId, parse},
        settings::Settings,
        shutdown,
        telemetry::{self, LogSettings},
    },
};
use sqlx::{
    PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    baseline::{Moved, Outcome, transfer},
    dataset,
    rows::Wallet,
};

/// Connections that read for the proof.
const READERS: u32 = 8;

#[derive(Args, Clone, Debug)]
pub struct Serve {
    #[arg(long)]
    pub port: u16,
}

#[derive(Args, Clone, Debug)]
pub struct ServeBaseline {
    #[command(flatten)]
    pub serve: Serve,
    /// A database with the schema of wallet-service.
    #[arg(long, env = "WALLET_DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Connections that write.
    #[arg(long)]
    pub pool: u32,
}

struct TransferBody {
    to: WalletId,
    amount: DecimalAmount,
}

impl FromFields for TransferBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let to = fields.required("to_wallet_id", parse::uuid);
        let amount = fields.required("amount", parse::amount(str::parse::<DecimalAmount>));
        Some(Self {
            to: to?,
            amount: amount?,
        })
    }
}

/// Reads a transfer and does nothing: what HTTP itself costs.
///
/// # Errors
/// When the port is taken.
pub async fn noop(serve: &Serve) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/wallets/{id}/transfer", post(nothing))
        .route("/wallets/{id}/balance", get(untouched))
        .route("/wallets/{id}", get(untouched));
    run(serve, router).await
}

async fn nothing(
    PathId(from): PathId<WalletId>,
    JsonBody(body): JsonBody<TransferBody>,
) -> Response {
    let now = Timestamp::now();
    let answer = json!({
        "transaction": {
            "id": body.to, "kind": "transfer", "status": "completed", "currency": "USD",
            "amount": body.amount.to_string(), "occurred_at": now,
            "legs": [{"wallet_id": from, "sequence": 1}, {"wallet_id": body.to, "sequence": 1}],
        },
        "wallet": untouched_wallet(from),
    });
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn untouched(PathId(id): PathId<WalletId>) -> Json<Value> {
    Json(untouched_wallet(id))
}

fn untouched_wallet(id: WalletId) -> Value {
    json!({
        "id": id, "wallet_id": id, "user_id": "bench", "currency": "USD", "status": "active",
        "balance": "1000000000.00", "held": "0.00", "available": "1000000000.00", "version": 1,
    })
}

#[derive(Clone)]
struct Baseline {
    writers: PgPool,
    readers: PgPool,
}

/// The baseline behind HTTP.
///
/// # Errors
/// When the port is taken or the database cannot be reached.
pub async fn baseline(serve: &ServeBaseline) -> anyhow::Result<()> {
    let options = PgConnectOptions::from_str(&serve.database_url)?.application_name("baseline");
    let writers = PgPoolOptions::new()
        .max_connections(serve.pool)
        .min_connections(serve.pool)
        // A round trip less for each transfer.
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await?;
    let router = Router::new()
        .route("/wallets/{id}/transfer", post(move_money))
        .route("/wallets/{id}/balance", get(find))
        .route("/wallets/{id}", get(find))
        .with_state(Baseline {
            writers,
            readers: read_pool(options, READERS),
        });
    run(&serve.serve, router).await
}

async fn move_money(
    State(baseline): State<Baseline>,
    PathId(from): PathId<WalletId>,
    JsonBody(body): JsonBody<TransferBody>,
) -> Result<Response, Problem> {
    let usd: Currency = "USD".parse().map_err(internal)?;
    let amount = body.amount.in_currency(usd).map_err(internal)?;
    // In a task: a transaction must not be cut when the caller goes away.
    let moving = tokio::spawn(async move {
        let mut connection = baseline.writers.acquire().await?;
        transfer(&mut connection, from.uuid(), body.to.uuid(), amount.minor()).await
    });
    let outcome = moving.await.map_err(internal)?;
    match outcome.map_err(|error| internal(std::io::Error::other(format!("{error:#}"))))? {
        Outcome::Moved(told) => Ok((StatusCode::CREATED, Json(moved(&told))).into_response()),
        Outcome::NotEnough => Err(Problem::new(
            Code::InsufficientFunds,
            "The wallet has less than that.",
        )),
        Outcome::NoWallet => Err(Problem::new(Code::WalletNotFound, "No such wallet.")),
    }
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Problem {
    Problem::internal().with_cause(error)
}

/// The service's answer to a transfer.
fn moved(
    Moved {
        transfer,
        wallet,
        created_at,
    }: &Moved,
) -> Value {
    let currency = wallet.currency;
    let [sent, received] = &transfer.legs;
    json!({
        "transaction": {
            "id": transfer.id, "kind": "transfer", "status": "completed", "currency": currency,
            "amount": currency.text(transfer.amount), "occurred_at": transfer.occurred_at,
            "legs": [
                {"wallet_id": sent.wallet_id, "sequence": sent.sequence,
                 "amount": currency.text(-transfer.amount), "balance_after": currency.text(wallet.balance)},
                {"wallet_id": received.wallet_id, "sequence": received.sequence,
                 "amount": currency.text(transfer.amount)},
            ],
        },
        "wallet": body(wallet, (*created_at).into(), transfer.occurred_at),
    })
}

fn body(wallet: &Wallet, created_at: Timestamp, updated_at: Timestamp) -> Value {
    let balance = wallet.currency.text(wallet.balance);
    json!({
        "id": wallet.id, "wallet_id": wallet.id, "user_id": wallet.user_id, "currency": wallet.currency,
        "status": "active", "balance": balance, "held": "0.00", "available": balance,
        "version": wallet.version, "created_at": created_at, "updated_at": updated_at,
    })
}

async fn find(
    State(baseline): State<Baseline>,
    PathId(id): PathId<WalletId>,
) -> Result<Json<Value>, Problem> {
    let row = sqlx::query(
        "select id, user_id, currency, balance, version, head_hash, created_at, updated_at from wallets where id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(&baseline.readers)
    .await
    .map_err(internal)?
    .ok_or_else(|| Problem::new(Code::WalletNotFound, "No such wallet."))?;
    let at = |column| {
        row.try_get::<chrono::DateTime<chrono::Utc>, _>(column)
            .map(Timestamp::from)
            .map_err(internal)
    };
    let wallet = dataset::wallet(&row).map_err(|_| Problem::internal())?;
    Ok(Json(body(&wallet, at("created_at")?, at("updated_at")?)))
}

async fn run(serve: &Serve, router: Router) -> anyhow::Result<()> {
    let _written = telemetry::init(Settings::from_env()?.read(LogSettings::from_settings)?)?;
    let shutdown = shutdown::signal_token()?;
    let limits = HttpLimits::default();
    let router = finish(router.merge(Health::new().router()), &limits);
    let address = (Ipv4Addr::LOCALHOST, serve.port).into();
    let server = Server::bind(address, router, limits).await?;
    server.run(shutdown).await;
    Ok(())
}
