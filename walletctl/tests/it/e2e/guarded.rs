//! An installation that lets in only who belongs, with keys and tokens that walletctl made: from nothing to money in a
//! wallet, by processes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};
use shared::{server::http_client, testing::eventually};
use tokio::process::Command;

use super::system::{DEADLINE, Service, System};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "wallets";

/// Keys and tokens in a folder of their own.
struct Keys(PathBuf);

impl Keys {
    async fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("wallet-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let keys = Self(folder);
        let (private, public) = (keys.path("private"), keys.path("public"));
        let made = walletctl(&["key", text(&private), text(&public)], None).await;
        assert!(made.status.success(), "{made:?}");
        let again = walletctl(&["key", text(&private), text(&public)], None).await;
        assert_eq!(again.status.code(), Some(1), "nothing is written over");
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts a token into a file of this name.
    async fn token(
        &self,
        name: &str,
        subject: &str,
        scope: &str,
        act_for: Option<&str>,
    ) -> PathBuf {
        let private = self.path("private");
        let mut arguments = vec![
            "token",
            subject,
            "--scope",
            scope,
            "--key-file",
            text(&private),
        ];
        arguments.extend(["--issuer", ISSUER, "--audience", AUDIENCE]);
        arguments.extend(act_for.iter().flat_map(|users| ["--act-for", users]));
        let made = walletctl(&arguments, None).await;
        assert!(made.status.success(), "{made:?}");
        let path = self.path(name);
        fs::write(&path, made.stdout).unwrap();
        path
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn walletctl(arguments: &[&str], services: Option<[&Service<'_>; 2]>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
    command.args(arguments).env_clear().kill_on_drop(true);
    if let Some([wallet, history]) = services {
        command.env("WALLET_URL", wallet.url());
        command.env("HISTORY_URL", history.url());
    }
    command.output().await.unwrap()
}

fn guarded<'system>(service: Service<'system>, keys: &Keys) -> Service<'system> {
    service
        .with("AUTH", "jwt")
        .with("AUTH_PUBLIC_KEY_FILE", text(&keys.path("public")))
        .with("AUTH_ISSUER", ISSUER)
        .with("AUTH_AUDIENCE", AUDIENCE)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_and_tokens_of_walletctl_only_who_belongs_is_let_in() {
    let keys = Keys::make().await;
    let all = "wallets:read wallets:write money:move history:read admin";
    let service = keys.token("service", "shop", all, Some("*")).await;
    let own = "wallets:read money:move history:read";
    let alice = keys.token("alice", "alice", own, None).await;
    let ledger = keys
        .token("ledger", "history", "wallets:read", Some("*"))
        .await;

    let system = System::start().await;
    let [mut wallet, mut history] =
        ["wallet-service", "history-service"].map(|name| guarded(system.service(name), &keys));
    history.set("LEDGER_URL", wallet.url());
    history.set("LEDGER_TOKEN_FILE", text(&ledger));
    wallet.start().await;
    history.start().await;

    let call = async |token: &Path, arguments: &[&str]| {
        let given = [&["--json", "--token-file", text(token)], arguments].concat();
        let output = walletctl(&given, Some([&wallet, &history])).await;
        let body = serde_json::from_slice(&output.stdout);
        let body: Value = body.unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"));
        (output.status.success(), body)
    };
    let made = |(good, body): (bool, Value)| {
        assert!(good, "{body}");
        body
    };
    let alices = made(call(&service, &["create", "alice"]).await)["id"].clone();
    let bobs = made(call(&service, &["create", "bob"]).await)["id"].clone();
    let [alices, bobs] = [&alices, &bobs].map(|id| id.as_str().unwrap());
    made(call(&service, &["fund", alices, "100.00"]).await);
    made(call(&alice, &["transfer", alices, bobs, "30.00"]).await);
    let page = eventually("history has the transfer", DEADLINE, async || {
        let (good, page) = call(&alice, &["history", alices]).await;
        let items = page["items"].as_array().map_or(0, Vec::len);
        (good && items == 3).then_some(page)
    })
    .await;
    let newest = &page["items"][0];
    assert_eq!(
        (&newest["actor"], newest.get("subject")),
        (&json!("alice"), None)
    );

    let (good, problem) = call(&alice, &["wallet", bobs]).await;
    assert_eq!(
        (good, &problem["code"]),
        (false, &json!("wallet_not_found"))
    );
    let (good, problem) = call(&alice, &["fund", alices, "1.00"]).await;
    assert_eq!(
        (good, &problem["code"]),
        (false, &json!("service_token_required"))
    );
    let open = walletctl(&["fund", alices, "1.00"], Some([&wallet, &history])).await;
    let said = String::from_utf8_lossy(&open.stderr);
    assert!(
        !open.status.success() && said.contains("--token-file"),
        "{said}"
    );

    a_ledger_that_does_not_let_history_in_is_named(&keys, &service, &history).await;
    system.verify().await;
}

/// With the wrong token history says so; with the right one in the same file it goes on by itself.
async fn a_ledger_that_does_not_let_history_in_is_named(
    keys: &Keys,
    service: &Path,
    history: &Service<'_>,
) {
    let operator = fs::read_to_string(service).unwrap();
    let rebuild = http_client::plain().post(format!("{}/admin/rebuild", history.url()));
    let ordered = rebuild.bearer_auth(operator.trim()).send().await.unwrap();
    assert_eq!(ordered.status().as_u16(), 202);
    eventually("the refused token is told", DEADLINE, async || {
        let health = history.health().await.to_string();
        health.contains("LEDGER_TOKEN_FILE").then_some(())
    })
    .await;
    let all = "wallets:read admin";
    keys.token("ledger", "history", all, Some("*")).await;
    eventually("the wallets are compared", DEADLINE, async || {
        let health = history.health().await;
        (health["components"]["refill"]["rebuilds"] == json!(0)).then_some(())
    })
    .await;
}
