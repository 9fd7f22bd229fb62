//! `verify`.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::Outcome;
use crate::{
    cli::{Options, Verify},
    output,
    verify::{self, VerifySettings},
};

pub(super) async fn verify(options: &Options, verify: Verify) -> anyhow::Result<Outcome> {
    let wallet_database_url = verify
        .wallet_url()
        .cloned()
        .ok_or_else(|| anyhow::anyhow!("no database to read"))?;
    let settings = VerifySettings {
        wallet_database_url,
        history_database_url: verify
            .history_url()
            .filter(|_| !verify.wallet_only)
            .cloned(),
        wait: Duration::from_secs(verify.wait),
        page_rows: verify::PAGE_ROWS,
    };
    let report = verify::run(&settings).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, report.to_json().to_string().as_bytes())?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(if report.is_clean() {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}
