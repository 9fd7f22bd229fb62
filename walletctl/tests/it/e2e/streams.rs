//! Streams that stay while everything around them breaks: whatever becomes of the instances, each reader is told each event
//! of each of its wallets once, in order.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use shared::{
    server::http_client,
    testing::{Looks, eventually},
};
use sqlx::PgPool;
use tokio::{
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

use super::{
    heal::{run, until_applied, until_no_order_is_left},
    system::{DEADLINE, Service, System},
};

const USERS: usize = 4;
const WALLETS_EACH: usize = 3;
const HEARTBEAT_MS: &str = "500";
/// Several heartbeats: whoever hears nothing for so long asks the other instance.
const SILENCE: Duration = Duration::from_secs(3);

/// What one reader was told.
#[derive(Default)]
struct Heard {
    /// Wallets and sequences, as they came.
    events: Vec<(String, i64)>,
    comments: usize,
    /// How often it had to connect again.
    breaks: usize,
    /// What no reader is told here.
    odd: Vec<String>,
}

/// A reader that goes on at the other instance when its stream ends, breaks or falls silent.
struct Reader {
    of: String,
    /// Its wallets.
    wallets: Vec<String>,
    told: Arc<Mutex<Heard>>,
}

impl Reader {
    fn told<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.told.lock().unwrap())
    }

    fn count(&self) -> usize {
        self.told(|told| told.events.len())
    }

    fn begin(&self, tasks: &mut JoinSet<()>, instances: [String; 2], first: usize) {
        let (path, told) = (self.of.clone(), Arc::clone(&self.told));
        tasks.spawn(async move {
            let mut last_id = "0".to_owned();
            for turn in first.. {
                let url = format!("{}{path}", instances[turn % instances.len()]);
                let asked = http_client::plain()
                    .get(url)
                    .header("last-event-id", &last_id);
                if let Ok(Ok(answer)) = timeout(SILENCE, asked.send()).await {
                    follow(answer, &mut last_id, &told).await;
                }
                told.lock().unwrap().breaks += 1;
                Looks::within(DEADLINE).next("a pause").await;
            }
        });
    }
}

/// Until the stream ends.
async fn follow(mut answer: Response, last_id: &mut String, told: &Mutex<Heard>) {
    let status = answer.status().as_u16();
    if status != 200 {
        let body = answer.text().await.unwrap_or_default();
        // An instance that ends, or cannot read its database.
        if status != 503 {
            told.lock().unwrap().odd.push(format!("{status} {body}"));
        }
        return;
    }
    let mut text = String::new();
    while let Ok(Ok(Some(part))) = timeout(SILENCE, answer.chunk()).await {
        text.push_str(std::str::from_utf8(&part).unwrap());
        while let Some((message, rest)) = text.split_once("\n\n") {
            hear(message, last_id, &mut told.lock().unwrap());
            text = rest.to_owned();
        }
    }
}

fn hear(message: &str, last_id: &mut String, told: &mut Heard) {
    let field = |name: &str| {
        let mut lines = message.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    if let Some(id) = field("id") {
        id.clone_into(last_id);
    }
    match field("event") {
        None => told.comments += 1,
        Some("position" | "end") => {}
        Some("replaced") => told.odd.push(message.to_owned()),
        Some(_) => {
            let event: Value = serde_json::from_str(field("data").unwrap()).unwrap();
            let wallet = event["wallet_id"].as_str().unwrap().to_owned();
            told.events
                .push((wallet, event["sequence"].as_i64().unwrap()));
        }
    }
}

/// Every reader is told some more.
async fn until_all_go_on(readers: &[Reader]) {
    const MORE: usize = 5;
    let before = Vec::from_iter(readers.iter().map(Reader::count));
    eventually("every reader is told more", DEADLINE, async || {
        let mut both = readers.iter().zip(&before);
        both.all(|(reader, before)| reader.count() >= before + MORE)
            .then_some(())
    })
    .await;
}

/// The users' wallets, with some money each, as soon as history knows them.
async fn wallets(wallet: &Service<'_>, history: &Service<'_>) -> BTreeMap<String, Vec<String>> {
    let client: Client = http_client::plain();
    let post = async |path: &str, body: Value| -> Value {
        let url = format!("{}{path}", wallet.url());
        let answer = client.post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        answer.json().await.unwrap()
    };
    let mut wallets = BTreeMap::<_, Vec<_>>::new();
    for number in 0..USERS * WALLETS_EACH {
        let user = format!("reader-{}", number % USERS);
        let made = post("/wallets", json!({"user_id": user})).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let amount = json!({"amount": "1000.00"});
        post(&format!("/wallets/{id}/fund"), amount).await;
        until_applied(history, &id, 2).await;
        wallets.entry(user).or_default().push(id);
    }
    wallets
}

/// One reader of each wallet, and two of each user, half of them at each instance.
fn readers(wallets: &BTreeMap<String, Vec<String>>) -> Vec<Reader> {
    let reader = |of: String, wallets: &[String]| Reader {
        of,
        wallets: wallets.to_vec(),
        told: Arc::default(),
    };
    let of_wallets = wallets.values().flatten();
    let of_wallets =
        of_wallets.map(|id| reader(format!("/wallets/{id}/stream"), std::slice::from_ref(id)));
    let of_users = wallets
        .iter()
        .flat_map(|(user, of_user)| [(); 2].map(|()| (user, of_user)))
        .map(|(user, of_user)| reader(format!("/users/{user}/stream"), of_user));
    of_wallets.chain(of_users).collect()
}

/// `walletctl load` on these wallets, until it is told to stop.
fn load(wallet: &Service<'_>, history: &Service<'_>, wallets: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_walletctl"))
        .arg("load")
        .args(["--duration=600", "--rate=60", "--workers=8", "--seed=7"])
        // All wallets alike, and no others.
        .args(["--zipf=0", "--create-weight=0"])
        // History is asked while it is away.
        .arg("--fail-on-unexpected=false")
        .args([
            "--hold-weight=5",
            "--capture-weight=3",
            "--release-weight=2",
        ])
        .arg("--wallets-file")
        .arg(wallets)
        .env("LOAD_BASE_URL", wallet.url())
        .env("HISTORY_URL", history.url())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Ends the load, whose proof has to hold.
async fn finish(load: Child) {
    let id = load.id().unwrap().to_string();
    let told = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(told.unwrap().success());
    let ended = timeout(DEADLINE, load.wait_with_output()).await;
    let ended = ended.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("nothing lost, nothing doubled"), "{said}");
}

/// Kills, stops and rebalances the instances of history-service, and has it made good what a hand took away.
async fn break_everything(
    system: &System,
    wallet: &Service<'_>,
    [one, other, third]: [&mut Service<'_>; 3],
    readers: &[Reader],
) {
    until_all_go_on(readers).await;
    one.kill().await;
    until_all_go_on(readers).await;
    one.start().await;
    until_all_go_on(readers).await;

    third.start().await;
    until_all_go_on(readers).await;
    assert!(third.terminate().await.success());
    until_all_go_on(readers).await;

    other.signal("STOP").await;
    until_all_go_on(readers).await;
    other.signal("CONT").await;
    until_all_go_on(readers).await;

    // In the middle of a wallet, and at its end: what comes back was told.
    let (known, ended) = (&readers[0].wallets[0], &readers[1].wallets[0]);
    let delete = format!(
        "delete from events where (wallet_id = '{known}' and sequence between 4 and 9) or (wallet_id = '{ended}' and \
         sequence > (select last_sequence - 3 from wallet_heads where wallet_id = '{ended}'))"
    );
    run(
        &system.database_url("history"),
        &[
            "alter table events disable trigger user",
            &delete,
            "alter table events enable trigger user",
        ],
    )
    .await;
    let rebuild = ["rebuild", "--wait"];
    system.walletctl(wallet, one, &rebuild).await;
    other.kill().await;
    other.start().await;
    until_all_go_on(readers).await;
}

/// How many events each wallet has in the ledger.
async fn versions(system: &System) -> BTreeMap<String, i64> {
    let pool = PgPool::connect(&system.database_url("wallet")).await;
    let found = sqlx::query_as("select id::text, version from wallets")
        .fetch_all(&pool.unwrap())
        .await;
    let found: Vec<(String, i64)> = found.unwrap();
    found.into_iter().collect()
}

/// Each reader was told each event of its wallets once and in order, and nothing else, and nothing more comes.
async fn each_was_told_all_once(readers: &[Reader], versions: &BTreeMap<String, i64>) {
    for reader in readers {
        let all: i64 = reader.wallets.iter().map(|id| versions[id]).sum();
        let all = usize::try_from(all).unwrap();
        let what = format!("{} tells all {all} events", reader.of);
        eventually(&what, DEADLINE, async || {
            (reader.count() >= all).then_some(())
        })
        .await;
    }
    let comments = |reader: &Reader| reader.told(|told| told.comments);
    let before = Vec::from_iter(readers.iter().map(comments));
    for (reader, before) in readers.iter().zip(before) {
        eventually("nothing more comes", DEADLINE, async || {
            (comments(reader) >= before + 2).then_some(())
        })
        .await;
        let mut told = BTreeMap::<_, Vec<_>>::new();
        let (events, odd) = reader.told(|told| (told.events.clone(), told.odd.clone()));
        for (wallet, sequence) in events {
            told.entry(wallet).or_default().push(sequence);
        }
        let all = reader.wallets.iter();
        let all = all.map(|id| (id.clone(), Vec::from_iter(1..=versions[id])));
        assert_eq!(told, BTreeMap::from_iter(all), "{}", reader.of);
        assert_eq!(odd, [""; 0], "{}", reader.of);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_tells_each_event_once_while_history_is_killed_stopped_rebalanced_and_rebuilt()
{
    let system = System::start().await;
    let mut wallet = system.service("wallet-service");
    wallet.start().await;
    let [mut one, mut other, mut third] = [(); 3].map(|()| {
        let history = system.service("history-service");
        let history = history.with("LEDGER_URL", wallet.url());
        let history = history.with("GAP_PATIENCE_MS", "500");
        history.with("STREAM_HEARTBEAT_MS", HEARTBEAT_MS)
    });
    one.start().await;
    other.start().await;
    let of_users = wallets(&wallet, &one).await;
    let file = system.folder.join("wallets");
    let ids = Vec::from_iter(of_users.values().flatten().cloned());
    std::fs::write(&file, ids.join("\n")).unwrap();

    let readers = readers(&of_users);
    let mut tasks = JoinSet::new();
    for (first, reader) in readers.iter().enumerate() {
        reader.begin(&mut tasks, [one.url(), other.url()], first);
    }
    let load = load(&wallet, &one, &file);
    let histories = [&mut one, &mut other, &mut third];
    break_everything(&system, &wallet, histories, &readers).await;
    finish(load).await;

    each_was_told_all_once(&readers, &versions(&system).await).await;
    let breaks = |reader: &Reader| reader.told(|told| told.breaks);
    assert!(
        readers.iter().all(|reader| breaks(reader) > 0),
        "none was spared"
    );
    assert!(tasks.try_join_next().is_none(), "no reader has given up");
    until_no_order_is_left(&system).await;
    // What was deleted past the service and is back was counted twice.
    let recount = ["select recount_reports()"];
    run(&system.database_url("history"), &recount).await;
    system.verify().await;
}
