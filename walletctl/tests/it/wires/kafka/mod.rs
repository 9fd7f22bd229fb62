//! Kafka with an authorizer, users and certificates: each service with what docs/operations.md grants it, and with less;
//! and what it says of a broker that is not who it should be, or does not let it in.

mod broker;
mod certificates;
mod narrow;
mod rights;

use futures::future::join_all;
use shared::testing::TestDatabase;

use self::broker::Broker;
use super::process::Process;

/// The names of the topic and of the group in the commands of docs/operations.md.
const TOPIC: &str = "wallet-events";
const GROUP: &str = "history-service";
const WALLET: &str = "wallet-service";
const HISTORY: &str = "history-service";

/// A service on a database of its own.
struct Tried {
    process: Process,
    _database: TestDatabase,
}

impl Tried {
    /// With what it is told of Kafka.
    async fn start(name: &str, settings: &[(&'static str, String)]) -> Self {
        let (variable, schema) = match name {
            WALLET => ("WALLET_DATABASE_URL", wallet_service::app::SCHEMA),
            _ => ("HISTORY_DATABASE_URL", history_service::app::SCHEMA),
        };
        let database = TestDatabase::create(schema).await;
        let mut all = vec![
            ("KAFKA_TOPIC", TOPIC),
            ("KAFKA_TOPIC_PARTITIONS", "1"),
            ("KAFKA_GROUP", GROUP),
            (variable, database.url().expose()),
        ];
        all.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let folder = Broker::get().await.folder();
        Self {
            process: Process::start(name, folder, &all, None).await,
            _database: database,
        }
    }

    /// Says this in `/readyz` and in its log, and ends.
    async fn says(self, part: &str) {
        self.process.until_reason("kafka", part).await;
        self.process.until_logged(part).await;
        self.process.end().await;
    }
}

/// A service with these settings, of which it says this. Both look at Kafka alike, so that one of them is enough each time.
type Case<'a> = (&'a str, Vec<(&'static str, String)>, &'a str);

async fn each_says_so(cases: Vec<Case<'_>>) {
    let saying = cases.into_iter().map(async |(name, settings, part)| {
        Tried::start(name, &settings).await.says(part).await;
    });
    join_all(saying).await;
}
