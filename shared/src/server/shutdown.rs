//! How a process ends: SIGTERM or SIGINT cancels one token that everything long-lived watches, and the exit code tells
//! how it went.

use std::{fmt::Display, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process that was interrupted: 128 + SIGINT.
const INTERRUPTED_EXIT_CODE: i32 = 130;

/// A token that the first SIGTERM or SIGINT cancels. A second signal ends the process at once with exit code 130,
/// where the drain is not worth waiting for. Call it once, inside the runtime.
///
/// # Errors
/// When the signals cannot be watched.
pub fn signal_token() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "stopping; a second signal ends at once");
        cancelled.cancel();
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "ended without waiting");
        std::process::exit(INTERRUPTED_EXIT_CODE);
    });
    Ok(token)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// The end of `main`: success, or the reason on standard error, without a backtrace.
pub fn exit_code<E: Display>(process: &str, ended: Result<(), E>) -> ExitCode {
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    #[expect(
        clippy::print_stderr,
        reason = "logging itself may be what failed, and the reason has to be told"
    )]
    {
        // The alternate form of an error chain names the causes too.
        eprintln!("{process}: {error:#}");
    }
    ExitCode::FAILURE
}
