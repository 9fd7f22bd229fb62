//! `load`.

use std::io::{self, Write};

use super::Outcome;
use crate::{
    cli::Options,
    load::{self, settings::Load},
    output,
};

pub(super) async fn load(options: &Options, load: &Load) -> anyhow::Result<Outcome> {
    let report = load::run(options, load).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &report.to_json()?)?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(if report.passed() {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}
