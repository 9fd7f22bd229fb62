//! The tasks of a process: each has a name, none is forgotten, and one that ends by itself is known at once.
//!
//! Half a service is not a state to run in. So the process waits for [`Supervisor::first_end`] beside its shutdown, and
//! joins every task in the order in which they depend on each other. A panic is an error of its task, not a silence.

use std::{error::Error, future::Future, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle};

/// Starts tasks, and hears of the first that ends.
#[derive(Debug)]
pub struct Supervisor {
    report: mpsc::Sender<&'static str>,
    ended: mpsc::Receiver<&'static str>,
}

impl Default for Supervisor {
    fn default() -> Self {
        // Only the first report is read.
        let (report, ended) = mpsc::channel(1);
        Self { report, ended }
    }
}

type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// A task of this process, by name.
#[derive(Debug)]
#[must_use = "a task that is not waited for may be cut anywhere"]
pub struct Task {
    name: &'static str,
    handle: JoinHandle<Ended>,
}

#[derive(Debug, thiserror::Error)]
#[error("the task {name:?} failed")]
pub struct TaskError {
    name: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl Supervisor {
    pub fn spawn(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Task {
        let end = self.end_of(name);
        let handle = tokio::spawn(async move {
            let _end = end;
            work.await;
            Ok(())
        });
        Task { name, handle }
    }

    /// On a thread of its own. It cannot be ended by force: it has to look whether it should stop.
    pub fn spawn_blocking<E>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) -> Task
    where
        E: Error + Send + Sync + 'static,
    {
        let end = self.end_of(name);
        let handle = tokio::task::spawn_blocking(move || {
            let _end = end;
            work().map_err(Into::into)
        });
        Task { name, handle }
    }

    /// Waits for the first task that ends, however it ends, and names it.
    pub async fn first_end(&mut self) -> &'static str {
        match self.ended.recv().await {
            Some(name) => name,
            // The sender lives as long as `self`.
            None => std::future::pending().await,
        }
    }

    fn end_of(&self, name: &'static str) -> End {
        End {
            name,
            report: self.report.clone(),
        }
    }
}

impl Task {
    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it panicked, or says itself that it failed.
    pub async fn end(self) -> Result<(), TaskError> {
        let name = self.name;
        let ended = self.handle.await.unwrap_or_else(|error| Err(error.into()));
        ended.map_err(|source| TaskError { name, source })
    }

    /// Waits for at most `deadline`, then ends it by force, which is no error.
    ///
    /// # Errors
    /// When it failed before.
    pub async fn end_within(self, deadline: Duration) -> Result<(), TaskError> {
        let (name, force) = (self.name, self.handle.abort_handle());
        let Ok(ended) = tokio::time::timeout(deadline, self.end()).await else {
            tracing::warn!(task = name, "did not end in time");
            force.abort();
            return Ok(());
        };
        ended
    }
}

/// Says that its task has ended, also when the task panicked.
struct End {
    name: &'static str,
    report: mpsc::Sender<&'static str>,
}

impl Drop for End {
    fn drop(&mut self) {
        // Full: another task ended first. Closed: the process is past reading.
        let _ = self.report.try_send(self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, io};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_reported_and_is_an_error() {
        let mut tasks = Supervisor::default();
        let task = tasks.spawn("relay", async { panic!("as a test") });
        assert_eq!(tasks.first_end().await, "relay");
        let error = task.end().await.unwrap_err();
        assert_eq!(error.to_string(), r#"the task "relay" failed"#);
    }

    #[tokio::test]
    async fn a_thread_that_fails_is_reported_with_its_cause() {
        let mut tasks = Supervisor::default();
        let failing = || Err(io::Error::other("no runtime"));
        let task = tasks.spawn_blocking("ingest", failing);
        assert_eq!(tasks.first_end().await, "ingest");
        let error = task.end().await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "no runtime");
    }

    #[tokio::test]
    async fn only_the_first_end_is_named_and_no_later_one_is_lost() {
        let mut tasks = Supervisor::default();
        let first = tasks.spawn("first", async {});
        assert_eq!(tasks.first_end().await, "first");
        let (second, third) = (
            tasks.spawn("second", async {}),
            tasks.spawn("third", async {}),
        );
        for task in [first, second, third] {
            task.end().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_ended_by_force_at_the_deadline() {
        struct SaysWhenDropped(Option<tokio::sync::oneshot::Sender<()>>);
        impl Drop for SaysWhenDropped {
            fn drop(&mut self) {
                let _ = self.0.take().map(|sender| sender.send(()));
            }
        }
        let (dropped, is_dropped) = tokio::sync::oneshot::channel();
        let held = SaysWhenDropped(Some(dropped));
        let task = Supervisor::default().spawn("ledger", async move {
            let _held = held;
            pending::<()>().await;
        });
        task.end_within(Duration::from_secs(5)).await.unwrap();
        is_dropped.await.unwrap();
    }
}
