//! What is said while the benchmark runs. Everything goes to standard output through here.

use std::io::{self, Write};

use walletctl::format::thousands;

use crate::{load::Run, numbers};

/// # Errors
/// When standard output cannot be written.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// One line about a run.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(run: &Run) -> io::Result<()> {
    let mut text = format!(
        "  {}: {}/s, p50 {}, p99 {}",
        run.label,
        thousands(run.per_second),
        numbers::millis(run.p50_us),
        numbers::millis(run.p99_us)
    );
    if let Some(seen) = run.freshness {
        text.push_str(&format!(
            "; freshness p50 {}, p99 {}",
            numbers::millis(seen.p50_us),
            numbers::millis(seen.p99_us)
        ));
    }
    line(&text)
}
