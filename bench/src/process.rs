//! Processes that the benchmark starts: each with a log of its own, awaited until it is ready, and ended with it.
//!
//! Nothing here ends a process that was not started here. A process whose owner is dropped is killed.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long a service may take until it says that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(90);
const READY_POLL: Duration = Duration::from_millis(50);
/// Longer than the services' own time for draining.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// So much of a log is told when its process fails.
const TOLD_LINES: usize = 15;

/// What is started, with nothing in its environment but these settings.
pub struct Start<'a> {
    pub name: &'a str,
    pub binary: PathBuf,
    pub arguments: Vec<String>,
    pub settings: Vec<(&'static str, String)>,
    pub log: PathBuf,
    /// A folder without an `.env` that would be read.
    pub folder: &'a Path,
}

#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// # Errors
    /// When the program or its log cannot be opened.
    pub fn spawn(start: Start<'_>) -> anyhow::Result<Self> {
        let log = File::create(&start.log)
            .with_context(|| format!("{} cannot be written", start.log.display()))?;
        let child = Command::new(&start.binary)
            .args(&start.arguments)
            .env_clear()
            .envs(start.settings)
            .current_dir(start.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", start.binary.display()))?;
        let pid = child.id().context("the process has ended already")?;
        Ok(Self {
            name: start.name.to_owned(),
            child,
            pid,
            log: start.log,
        })
    }

    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until `GET {url}/readyz` is answered well.
    ///
    /// # Errors
    /// When the process ends instead, or takes too long.
    pub async fn ready(&mut self, http: &reqwest::Client, url: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, self.log_end());
            }
            let asked = http.get(format!("{url}/readyz")).send().await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} was not ready in time:\n{}", self.name, self.log_end());
            }
            sleep(READY_POLL).await;
        }
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// When it had ended before by itself, or does not end in time; it is killed then.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        match timeout(ENDS_WITHIN, self.child.wait()).await {
            Ok(ended) => {
                ended?;
                Ok(())
            }
            Err(_) => {
                self.child.kill().await?;
                bail!("{} did not end in time and was killed", self.name)
            }
        }
    }

    /// # Errors
    /// When it had ended before by itself.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} had ended ({status}):\n{}", self.name, self.log_end());
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no process id")?, signal)?)
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// When it had ended before by itself.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait().await?;
        Ok(())
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n")
    }
}

/// A port that is free.
///
/// # Errors
/// When the machine has none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
