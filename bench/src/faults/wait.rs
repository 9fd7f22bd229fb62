//! Waiting for a condition, with a deadline. Nothing of the fault run waits for time to pass where it could look.

use std::time::{Duration, Instant};

use anyhow::bail;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until there is something to see, and gives it.
///
/// # Errors
/// After the deadline, with what the last look saw instead.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> anyhow::Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(instead) if Instant::now() > end => {
                bail!("not within {deadline:?}: {what}: {instead}")
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
