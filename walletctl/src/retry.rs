//! What is sent again, and after which pause: the section «Retrying» of `docs/errors.md`, in one place for commands, tail
//! and load. A test holds both against each other.

use std::time::Duration;

use shared::server::backoff::Backoff;
use tokio::time::sleep;

/// History has the wallet's events up to a lower number than the one asked for.
pub const HISTORY_BEHIND: &str = "history_behind";

/// The longest pause, also when `Retry-After` asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Whether the same request, under the same key, may be answered otherwise later.
pub const fn is_retryable(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=599)
}

/// Whether a retryable answer says that nothing was done, so that even a command without a key can be sent again.
pub fn is_without_effect(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("body_timeout" | "clock_skew" | "overloaded" | "rate_limited" | "unavailable")
    )
}

/// The pauses between attempts.
#[derive(Debug)]
pub struct Pauses(Backoff);

impl Pauses {
    pub fn beginning_with(first: Duration) -> Self {
        Self(Backoff::new(first, PAUSE_MAX))
    }

    /// Waits as long as the service asked to, within what makes sense.
    pub async fn wait(&mut self, retry_after: Option<Duration>) {
        let pause = self.0.next_pause();
        sleep(retry_after.unwrap_or_default().clamp(pause, PAUSE_MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/errors.md");

    /// Status, code and "again?" of every row of the page's table.
    fn rows() -> Vec<(u16, &'static str, &'static str)> {
        let row = |line: &'static str| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, status, code, _, _, again, ..] = cells[..] else {
                return None;
            };
            let code = code.strip_prefix('`')?.strip_suffix('`')?;
            Some((status.parse().ok()?, code, again))
        };
        PAGE.lines().filter_map(row).collect()
    }

    /// The paragraph of "Retrying" that begins with these words.
    fn paragraph(begins: &str) -> &'static str {
        let (_, section) = PAGE.split_once("\n## Retrying\n").unwrap();
        let found = section
            .split("\n\n")
            .find(|text| text.trim_start().starts_with(begins));
        found.unwrap_or_else(|| {
            panic!("docs/errors.md, \"Retrying\", has no paragraph \"{begins}\"")
        })
    }

    #[test]
    fn what_is_sent_again_is_what_the_page_of_errors_says() {
        let rows = rows();
        assert!(
            rows.len() > 30,
            "docs/errors.md has a table of codes: {rows:?}"
        );
        for (status, code, again) in rows {
            let expected = if is_retryable(status) { "yes" } else { "no" };
            assert_eq!(
                again, expected,
                "docs/errors.md, row {status} {code}, column \"again?\", against walletctl's is_retryable"
            );
        }
        let between = paragraph("Send a request again");
        for status in [429, 502, 504] {
            assert!(is_retryable(status), "{status}");
            assert!(
                between.contains(&status.to_string()),
                "docs/errors.md, \"Retrying\", lacks {status}"
            );
        }
    }

    #[test]
    fn without_a_key_only_what_did_nothing_is_sent_again() {
        for (code, without_effect) in [
            ("clock_skew", true),
            ("overloaded", true),
            ("rate_limited", true),
            ("unavailable", true),
            ("body_timeout", true),
            ("outcome_unknown", false),
            ("request_timeout", false),
            ("internal_error", false),
        ] {
            assert_eq!(is_without_effect(Some(code)), without_effect, "{code}");
        }
        let said = paragraph("Without a key");
        for (_, code, _) in rows() {
            assert_eq!(
                said.contains(&format!("`{code}`")),
                is_without_effect(Some(code)),
                "docs/errors.md, \"Retrying\", on commands without a key: {code}"
            );
        }
    }
}
