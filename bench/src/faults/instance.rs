//! An instance of a service: a process behind two proxies, on a port that it keeps. It is killed, stopped and started again,
//! and every connection of it can freeze.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::Value;
use shared::testing::FreezingProxy;
use sqlx::postgres::PgConnectOptions;

use crate::{
    process::{Process, Start, free_port},
    stack::Stack,
};

/// Long enough to be seen by callers that ask for readiness once a second.
const GRACE_MS: &str = "1500";
const LOG_LEVEL: &str = "info,shared::server::http=warn,rdkafka=warn,librdkafka=warn,sqlx=warn";
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

pub struct Instance {
    pub name: String,
    pub url: String,
    pub postgres: FreezingProxy,
    pub kafka: FreezingProxy,
    program: &'static str,
    settings: Vec<(&'static str, String)>,
    starts: u32,
    process: Option<Process>,
    http: reqwest::Client,
}

impl Instance {
    /// One that does not run yet.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn new(stack: &Stack, program: &'static str, number: usize) -> anyhow::Result<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (database, name_of_url, name_of_port) = match program {
            "wallet-service" => ("wallet", "WALLET_DATABASE_URL", "WALLET_PORT"),
            _ => ("history", "HISTORY_DATABASE_URL", "HISTORY_PORT"),
        };
        let url = stack.url_of(database);
        let options: PgConnectOptions = url.parse()?;
        let postgres = FreezingProxy::start(local(options.get_port())).await;
        let upstream = stack.brokers().parse().context("one broker, as IP:port")?;
        let kafka = FreezingProxy::before_kafka(upstream).await;
        let port = free_port()?;
        let here = format!(":{}/", options.get_port());
        let through = format!(":{}/", postgres.port());
        Ok(Self {
            name: format!("{program} {number}"),
            url: format!("http://127.0.0.1:{port}"),
            program,
            settings: vec![
                (name_of_url, url.replace(&here, &through)),
                (name_of_port, port.to_string()),
                ("KAFKA_BROKERS", format!("127.0.0.1:{}", kafka.port())),
                ("SHUTDOWN_GRACE_MS", GRACE_MS.to_owned()),
                ("RUST_LOG", LOG_LEVEL.to_owned()),
            ],
            postgres,
            kafka,
            starts: 0,
            process: None,
            http: shared::server::http_client::builder(&[])
                .timeout(HEALTH_TIMEOUT)
                .build()?,
        })
    }

    /// A setting, from its next start on.
    pub fn add(&mut self, name: &'static str, value: String) {
        self.settings.push((name, value));
    }

    /// # Errors
    /// When it does not become ready.
    pub async fn start(&mut self, stack: &Stack) -> anyhow::Result<()> {
        self.start_with(stack, Vec::new()).await
    }

    /// With settings for this time only.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_with(
        &mut self,
        stack: &Stack,
        settings: Vec<(&'static str, String)>,
    ) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.name);
        self.starts += 1;
        let log = format!("{}-{}", self.name.replace(' ', "-"), self.starts);
        let mut process = Process::spawn(Start {
            name: &self.name,
            binary: stack.binary(self.program),
            arguments: Vec::new(),
            settings: [self.settings.clone(), settings].concat(),
            log: stack.log(&log),
            folder: stack.folder(),
        })?;
        process.ready(&self.http, &self.url).await?;
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it runs")?.kill().await
    }

    /// SIGTERM, as an orchestrator ends it.
    ///
    /// # Errors
    /// When it has ended by itself, or does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it runs")?.stop().await
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub fn suspend(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("it runs")?;
        process.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("it runs")?;
        process.signal(Signal::CONT)
    }

    /// What `/readyz` says; nothing when it does not answer.
    pub async fn health(&self) -> Option<Value> {
        let url = format!("{}/readyz", self.url);
        self.http.get(url).send().await.ok()?.json().await.ok()
    }

    /// Whether it says that all is well; else what it says.
    ///
    /// # Errors
    /// With its reasons.
    pub async fn is_well(&self) -> Result<(), String> {
        let Some(health) = self.health().await else {
            return Err(format!("{} does not answer", self.name));
        };
        if health["status"] == "ok" {
            Ok(())
        } else {
            let status = health["status"].as_str().unwrap_or_default();
            Err(format!("{} is {status}: {}", self.name, health["reasons"]))
        }
    }

    /// Whether one of its reasons has these words.
    ///
    /// # Errors
    /// With its health as it is instead.
    pub async fn says(&self, words: &str) -> Result<(), String> {
        let health = self.health().await.unwrap_or_default();
        let reasons = health["reasons"].to_string();
        if reasons.contains(words) {
            Ok(())
        } else {
            Err(format!("{}: {reasons}", self.name))
        }
    }
}
