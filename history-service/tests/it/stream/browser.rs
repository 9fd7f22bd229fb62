//! A real browser: its own `EventSource`, and the reader that the page of the API gives to those who need a token.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use history_service::config::Config;
use serde_json::{Value, json};
use shared::{
    server::{auth::AuthSettings, http::HttpLimits, settings::Settings},
    testing::{eventually, free_port, tokens},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

/// What `scripts/install --test` installs, and others that do.
const BROWSERS: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// A page that tells what it sees, and the browser that shows it.
struct Shown {
    seen: Arc<Mutex<Vec<Value>>>,
    _browser: Child,
    folder: PathBuf,
}

impl Shown {
    /// `script` tells by calling `tell(…)`.
    async fn of(listener: TcpListener, script: String) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, told) = (script.clone(), Arc::clone(&told));
                tokio::spawn(async move { serve(stream, &script, &told).await });
            }
        });
        let folder = std::env::temp_dir().join(format!("browser-{}", uuid::Uuid::now_v7()));
        Self {
            seen,
            _browser: browser(&folder, address),
            folder,
        }
    }

    async fn until_seen(&self, count: usize) -> Vec<Value> {
        eventually("the page has seen it", SOON, async || {
            let seen = self.seen.lock().unwrap().clone();
            (seen.len() >= count).then_some(seen)
        })
        .await
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn browser(folder: &Path, page: SocketAddr) -> Child {
    let mut started = BROWSERS.iter().map(|name| start(name, folder, page));
    let started = started.find_map(Result::ok);
    started.unwrap_or_else(|| panic!("a browser is there: scripts/install --test"))
}

fn start(name: &str, folder: &Path, page: SocketAddr) -> std::io::Result<Child> {
    Command::new(name)
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-dev-shm-usage", "--disable-extensions"])
        .args(["--no-first-run", "--disable-background-networking"])
        // Or it would end when the page is loaded.
        .arg("--remote-debugging-port=0")
        .arg(format!("--user-data-dir={}", folder.display()))
        .arg(format!("http://{page}/"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// One request: the page, or what it tells.
async fn serve(mut stream: TcpStream, script: &str, told: &Mutex<Vec<Value>>) {
    let mut request = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length: ")?.parse().ok()
        });
        if body.len() >= length.unwrap_or(0_usize) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let answer = if head.starts_with("POST /told ") {
        told.lock()
            .unwrap()
            .push(serde_json::from_str(&body).unwrap());
        String::new()
    } else {
        format!(
            "<!doctype html><meta charset=utf-8><title>x</title><script type=module>\
             let last = Promise.resolve();\
             const tell = (what) => {{ last = last.then(() => fetch('/told', {{method: 'POST', body: JSON.stringify(what)}})); }};\
             {script}</script>"
        )
    };
    let length = answer.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
    );
    drop(stream.write_all(answer.as_bytes()).await);
}

/// Streams on a port that stays the same, for pages of this origin.
fn streaming_to(world: &World, page: SocketAddr, port: u16) -> Config {
    let origins = format!("http://{page}");
    let pairs = [("CORS_ORIGINS", &*origins)];
    let config = world.config();
    let http = Settings::from_pairs(pairs)
        .read(HttpLimits::from_settings)
        .unwrap();
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        http: HttpLimits {
            cors_origins: http.cors_origins,
            ..config.http.clone()
        },
        ..config
    }
}

fn sequences(seen: &[Value]) -> Vec<i64> {
    let sequence = |event: &Value| event["sequence"].as_i64().unwrap();
    seen.iter().map(sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_sees_each_event_once_also_when_the_service_is_started_anew() {
    let world = World::new().await;
    let mut alice = Chain::new("alice");
    let journal = alice.journal(60);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (page, port) = (listener.local_addr().unwrap(), free_port());
    let config = || streaming_to(&world, page, port);
    let instance = Instance::start(config()).await;
    world.publish(&journal[..1]).await;
    instance.until_applied(&journal[0]).await;
    let script = format!(
        "const source = new EventSource('http://127.0.0.1:{port}/wallets/{}/stream');\
         source.addEventListener('position', (event) => tell({{position: event.lastEventId}}));\
         source.addEventListener('wallet.funded', (event) => tell(JSON.parse(event.data)));\
         source.addEventListener('end', (event) => tell(JSON.parse(event.data)));",
        alice.wallet()
    );
    let shown = Shown::of(listener, script).await;
    let position = |event| json!({"position": super::id_of(event)});
    assert_eq!(shown.until_seen(1).await, [position(&journal[0])]);
    world.publish(&journal[1..30]).await;
    shown.until_seen(30).await;
    instance.stop().await;
    let seen = shown.until_seen(31).await;
    assert_eq!(seen[30]["code"], "unavailable");
    world.publish(&journal[30..50]).await;
    let instance = Instance::start(config()).await;
    world.publish(&journal[50..]).await;
    // It said by itself where it was.
    let seen = shown.until_seen(62).await;
    assert_eq!(seen[31], position(&journal[29]));
    let told = [&seen[1..30], &seen[32..]].concat();
    let all: Vec<i64> = (2..=60).collect();
    assert_eq!(sequences(&told), all);
    instance.stop().await;
}

/// The reader that docs/api/history.md gives.
fn documented() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/history.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, script) = page.split_once("```js\n").unwrap();
    script.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_of_the_page_of_the_api_shows_its_token_and_goes_on_with_the_next_one() {
    let world = World::new().await;
    let mut alice = Chain::new("alice");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (page, port) = (listener.local_addr().unwrap(), free_port());
    let settings = Settings::from_pairs(tokens::SETTINGS);
    let loopback = [127, 0, 0, 1].into();
    let auth = settings
        .read(|settings| AuthSettings::from_settings(settings, loopback))
        .unwrap();
    let instance = Instance::start(Config {
        auth,
        ..streaming_to(&world, page, port)
    })
    .await;
    instance.until_consuming().await;
    // The first ends within seconds: tokens are believed for 30 s longer than they say.
    let end = shared::Timestamp::now().seconds() - 30 + 5;
    let ending = tokens::signed(&tokens::with(tokens::claims("alice"), "exp", json!(end)));
    let script = format!(
        "{}; const tokens = ['{ending}', '{}'];\
         follow('http://127.0.0.1:{port}/users/alice/stream', async () => tokens.length > 1 ? tokens.shift() : tokens[0],\
                (kind, data) => tell({{kind, ...data}}));",
        documented(),
        tokens::user("alice")
    );
    let shown = Shown::of(listener, script).await;
    shown.until_seen(1).await;
    world.publish([&alice.opened()]).await;
    let seen = shown.until_seen(3).await;
    world.publish([&alice.funded(1)]).await;
    let told = shown.until_seen(5).await;
    let kinds = told.iter().map(|event| event["kind"].as_str().unwrap());
    let expected = [
        "position",
        "wallet.created",
        "end",
        "position",
        "wallet.funded",
    ];
    assert_eq!(Vec::from_iter(kinds), expected);
    assert_eq!(seen[2]["code"], "token_expired");
    instance.stop().await;
}
