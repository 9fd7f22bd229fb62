//! A service with nothing but what the test says.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use reqwest::Url;
use serde_json::Value;
use shared::{
    server::http_client::{Trusted, trusting},
    testing::{eventually, free_port},
};
use tokio::process::{Child, Command};

use crate::e2e::system::{DEADLINE, binary};

pub(super) struct Process {
    child: Child,
    log: PathBuf,
    pub(super) url: Url,
    http: reqwest::Client,
}

impl Process {
    /// Starts it and waits until it answers. `trusted` is a file of certificates, where it speaks HTTPS.
    pub(super) async fn start(
        name: &str,
        folder: &Path,
        settings: &[(&str, &str)],
        trusted: Option<&str>,
    ) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let port = free_port();
        let log = folder.join(format!("{name}-{port}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(binary(name));
        command
            .env_clear()
            .env("WALLET_PORT", port.to_string())
            .env("HISTORY_PORT", port.to_string())
            .env("RUST_LOG", "info")
            .envs(settings.iter().copied())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true);
        let scheme = if trusted.is_some() { "https" } else { "http" };
        let url: Url = format!("{scheme}://localhost:{port}/").parse().unwrap();
        let process = Self {
            child: command.spawn().unwrap(),
            log,
            http: client(&url, trusted),
            url,
        };
        eventually("the service answers", DEADLINE, async || {
            process.get("livez").await
        })
        .await;
        process
    }

    pub(super) async fn get(&self, path: &str) -> Option<Value> {
        let sent = self.http.get(self.url.join(path).unwrap()).send().await;
        sent.ok()?.json().await.ok()
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(self.url.join(path).unwrap()).json(body);
        let sent = request.send().await.unwrap();
        assert!(sent.status().is_success(), "{path}: {sent:?}");
        sent.json().await.unwrap()
    }

    /// Waits until a component of `/readyz` has this in its reason.
    pub(super) async fn until_reason(&self, component: &str, part: &str) {
        eventually(part, DEADLINE, async || {
            let health = self.get("readyz").await?;
            let reason = health["components"][component]["reason"].as_str()?;
            reason.contains(part).then_some(())
        })
        .await;
    }

    /// Waits until a component of `/readyz` is as it should be.
    pub(super) async fn until_well(&self, component: &str) {
        eventually(component, DEADLINE, async || {
            let health = self.get("readyz").await?;
            (health["components"][component]["status"] == "ok").then_some(())
        })
        .await;
    }

    /// Waits until all that was written has gone to Kafka.
    pub(super) async fn until_sent(&self) {
        eventually("the outbox is empty", DEADLINE, async || {
            let health = self.get("readyz").await?;
            let outbox = &health["components"]["outbox"];
            (outbox["status"] == "ok" && outbox["outbox_events"] == 0).then_some(())
        })
        .await;
    }

    pub(super) async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    pub(super) async fn until_logged(&self, part: &str) {
        eventually(part, DEADLINE, async || {
            let log = std::fs::read_to_string(&self.log).unwrap();
            log.contains(part).then_some(())
        })
        .await;
    }

    pub(super) async fn end(mut self) {
        self.signal("-TERM").await;
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        assert!(ended.unwrap().unwrap().success());
    }
}

fn client(url: &Url, trusted: Option<&str>) -> reqwest::Client {
    let trusted = trusted.map(|path| Trusted::read(path).unwrap());
    trusting(&[url], trusted.as_ref()).build().unwrap()
}
