//! Readers of streams that stay through every fault: each goes on where it was, at the other instance when its stream ends,
//! breaks or falls silent. In the end each has to have been told every event of its wallets once, in order; and where an
//! operator had events replaced, that they were, and those that stand there now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Connection;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{
    load::USER,
    system::{DEADLINE, System},
    wait::until,
};

/// Of so many wallets there is a stream each.
const WALLETS: usize = 8;
/// Of all wallets of the user.
const USERS: usize = 2;
/// How often an instance says that nothing happens.
pub const HEARTBEAT_MS: &str = "1000";
/// Several of these: whoever hears nothing for so long asks the other instance.
const SILENCE: Duration = Duration::from_secs(5);
/// Before a stream is asked for again.
const PAUSE: Duration = Duration::from_millis(200);

/// What readers of streams were told.
#[derive(Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Streamed {
    pub streams: u64,
    pub events: u64,
    /// How often a stream was asked for again.
    pub again: u64,
    /// How often a reader was told that events were replaced.
    pub replaced: u64,
}

/// Readers running in the background, until it is dropped.
pub struct Following {
    readers: Vec<Arc<Reader>>,
    _tasks: JoinSet<()>,
}

struct Reader {
    path: String,
    /// Its wallet; none for all of the user's.
    wallet: Option<Uuid>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// Of each wallet the ids of its events, in the order of their numbers.
    wallets: HashMap<Uuid, Vec<Uuid>>,
    streamed: Streamed,
    /// What no reader may be told.
    faults: Vec<String>,
}

impl Following {
    /// Follows some of these wallets, and their user.
    pub fn begin(system: &System, wallets: &[Uuid]) -> Self {
        let instances = system
            .histories
            .each_ref()
            .map(|history| history.url.clone());
        let of_wallets = wallets.iter().take(WALLETS);
        let of_wallets =
            of_wallets.map(|id| Reader::of(format!("/wallets/{id}/stream"), Some(*id)));
        let of_users = (0..USERS).map(|_| Reader::of(format!("/users/{USER}/stream"), None));
        let readers = Vec::from_iter(of_wallets.chain(of_users).map(Arc::new));
        let mut tasks = JoinSet::new();
        for (first, reader) in readers.iter().enumerate() {
            tasks.spawn(Arc::clone(reader).follow(instances.clone(), first));
        }
        Self {
            readers,
            _tasks: tasks,
        }
    }

    /// What they were told, and what is wrong with it, once each was told what the ledger has; after the deadline also
    /// what is missing.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn finish(self, system: &System) -> anyhow::Result<(Streamed, Vec<String>)> {
        const EVENTS: &str =
            "select wallet_id, array_agg(event_id order by sequence) from wallet_events
             where wallet_id in (select id from wallets where user_id = $1) group by wallet_id";
        let mut connection = system.connect("wallet").await?;
        let ledger: Vec<(Uuid, Vec<Uuid>)> = sqlx::query_as(EVENTS)
            .bind(USER)
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        let ledger = HashMap::from_iter(ledger);
        let told = until("every stream has told everything", DEADLINE, async || {
            let mut lacking = self.readers.iter();
            let lacking = lacking.find_map(|reader| reader.lacks(&ledger));
            lacking.map_or(Ok(()), Err)
        });
        let mut wrong = Vec::from_iter(told.await.err().map(|error| format!("{error:#}")));
        let mut all = Streamed::default();
        for reader in &self.readers {
            let told = reader.heard();
            wrong.extend(told.faults.iter().cloned());
            let count = told.wallets.values().map(|events| events.len() as u64);
            all.streams += 1;
            all.events += count.sum::<u64>();
            all.again += told.streamed.again;
            all.replaced += told.streamed.replaced;
        }
        Ok((all, wrong))
    }
}

impl Reader {
    fn of(path: String, wallet: Option<Uuid>) -> Self {
        Self {
            path,
            wallet,
            heard: Mutex::default(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In words, what of the ledger's events it was not told.
    fn lacks(&self, ledger: &HashMap<Uuid, Vec<Uuid>>) -> Option<String> {
        let told = self.heard();
        let mut its_own = ledger
            .iter()
            .filter(|(id, _)| self.wallet.is_none_or(|wallet| wallet == **id));
        its_own.find_map(|(id, events)| {
            let told = told.wallets.get(id).map_or(&[][..], Vec::as_slice);
            let same = told.iter().zip(events);
            let same = same.take_while(|(told, event)| told == event).count();
            (told != events).then(|| {
                let (path, told, all) = (&self.path, told.len(), events.len());
                format!("{path} told {told} of {all} events of {id}, the first {same} as they are")
            })
        })
    }

    async fn follow(self: Arc<Self>, instances: [String; 2], first: usize) {
        let http = shared::server::http_client::plain();
        let mut last_id = "0".to_owned();
        for turn in first.. {
            let url = format!("{}{}", instances[turn % instances.len()], self.path);
            let asked = http.get(url).header("last-event-id", &last_id);
            if let Ok(Ok(answer)) = timeout(SILENCE, asked.send()).await {
                self.read(answer, &mut last_id).await;
            }
            self.heard().streamed.again += 1;
            sleep(PAUSE).await;
        }
    }

    /// Until the stream ends.
    async fn read(&self, mut answer: Response, last_id: &mut String) {
        match answer.status() {
            StatusCode::OK => {}
            // It ends, or its database is away; or the wallet is not here yet.
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::NOT_FOUND => return,
            status => {
                let body = answer.text().await.unwrap_or_default();
                let fault = format!("{}: {status} {body}", self.path);
                return self.heard().faults.push(fault);
            }
        }
        let mut bytes = Vec::new();
        while let Ok(Ok(Some(part))) = timeout(SILENCE, answer.chunk()).await {
            bytes.extend_from_slice(&part);
            while let Some(end) = bytes.windows(2).position(|two| two == b"\n\n") {
                let message: Vec<u8> = bytes.drain(..end + 2).collect();
                let message = String::from_utf8_lossy(&message);
                let mut heard = self.heard();
                if let Err(fault) = heard.hear(&message, last_id) {
                    heard.faults.push(format!("{}: {fault}", self.path));
                }
            }
        }
    }
}

impl Heard {
    /// # Errors
    /// With what no reader may be told.
    fn hear(&mut self, message: &str, last_id: &mut String) -> Result<(), String> {
        let field = |name: &str| {
            let mut lines = message.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        if let Some(id) = field("id") {
            id.clone_into(last_id);
        }
        let Some(event) = field("event").filter(|event| !matches!(*event, "position" | "end"))
        else {
            return Ok(());
        };
        let odd = || format!("not understood: {message}");
        let data: Value =
            serde_json::from_str(field("data").unwrap_or_default()).map_err(|_| odd())?;
        let id = |name: &str| data[name].as_str()?.parse().ok();
        let number = |name: &str| data[name].as_u64()?.try_into().ok();
        let events = self
            .wallets
            .entry(id("wallet_id").ok_or_else(odd)?)
            .or_default();
        if event == "replaced" {
            let from: usize = number("from_sequence").ok_or_else(odd)?;
            events.truncate(from.saturating_sub(1));
            self.streamed.replaced += 1;
            return Ok(());
        }
        let sequence: usize = number("sequence").ok_or_else(odd)?;
        if sequence != events.len() + 1 {
            return Err(format!("{sequence} came after {}: {message}", events.len()));
        }
        events.push(id("event_id").ok_or_else(odd)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64, event: u128) -> String {
        let (wallet, event) = (Uuid::nil(), Uuid::from_u128(event));
        format!(
            "id: {sequence}-0\nevent: wallet.funded\ndata: {{\"wallet_id\":\"{wallet}\",\"event_id\":\"{event}\",\"sequence\":{sequence}}}\n\n"
        )
    }

    #[test]
    fn an_event_that_comes_twice_or_too_early_is_a_fault_and_one_that_was_replaced_is_none() {
        let (mut heard, mut last_id) = (Heard::default(), String::new());
        let mut hear = |message: &str| heard.hear(message, &mut last_id).is_ok();
        assert!(hear("id: 0\nevent: position\ndata: {}\n\n") && hear(":\n\n"));
        assert!(hear(&event(1, 1)) && hear(&event(2, 2)));
        assert!(!hear(&event(2, 2)) && !hear(&event(4, 4)));
        let wallet = Uuid::nil();
        let replaced = format!(
            "event: replaced\ndata: {{\"wallet_id\":\"{wallet}\",\"from_sequence\":2}}\n\n"
        );
        assert!(hear(&replaced) && hear(&event(2, 3)));
        assert!(!hear("event: wallet.funded\ndata: {}\n\n"));
        let reader = Reader {
            heard: Mutex::new(heard),
            ..Reader::of("/stream".to_owned(), None)
        };
        let ledger = |ids: &[u128]| {
            let ids = ids.iter().map(|id| Uuid::from_u128(*id)).collect();
            HashMap::from([(wallet, ids)])
        };
        assert_eq!(reader.lacks(&ledger(&[1, 3])), None);
        for others in [&[1, 2][..], &[1, 3, 4], &[1]] {
            assert!(reader.lacks(&ledger(others)).is_some(), "{others:?}");
        }
    }
}
