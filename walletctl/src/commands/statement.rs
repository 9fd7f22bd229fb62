//! `statement`: saves what history makes, as it comes.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use anyhow::Context;

use super::Outcome;
use crate::{
    cli::{Form, Options, Statement},
    client::{Client, Service},
};

/// How long history may take to arrive where it is awaited.
const WAIT: Duration = Duration::from_secs(20);

type Query = Vec<(&'static str, String)>;

pub(super) async fn statement(
    client: &Client,
    options: &Options,
    asked: &Statement,
) -> anyhow::Result<Outcome> {
    let form = if options.json { Form::Json } else { Form::Csv };
    let query = query(asked, asked.format.unwrap_or(form));
    match asked.output.as_deref() {
        Some(file) if file != Path::new("-") => save(client, asked, &query, file).await?,
        Some(_) | None => {
            let mut out = io::stdout();
            write(client, asked, &query, &mut out).await?;
            out.flush()?;
        }
    }
    Ok(Outcome::Success)
}

/// Under its name only once all of it is there.
async fn save(
    client: &Client,
    asked: &Statement,
    query: &Query,
    file: &Path,
) -> anyhow::Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let mut out =
        File::create(part).with_context(|| format!("{} cannot be written", part.display()))?;
    let saved = match write(client, asked, query, &mut out).await {
        Ok(()) => out.sync_all().and_then(|()| fs::rename(part, file)),
        Err(error) => {
            // What is left of it is no statement.
            drop(fs::remove_file(part));
            return Err(error);
        }
    };
    saved.with_context(|| format!("{} cannot be written", file.display()))
}

async fn write(
    client: &Client,
    asked: &Statement,
    query: &Query,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let path = ["wallets", &asked.wallet.to_string(), "statement"];
    let wait = asked.min_sequence.map_or(Duration::ZERO, |_| WAIT);
    client
        .download(Service::History, &path, query, wait, out)
        .await
}

fn query(asked: &Statement, form: Form) -> Query {
    let mut query = vec![("format", form.as_str().to_owned())];
    let said = [
        ("month", &asked.month),
        ("from", &asked.from),
        ("to", &asked.to),
        ("time_zone", &asked.time_zone),
    ];
    for (name, value) in said {
        query.extend(value.clone().map(|value| (name, value)));
    }
    if let Some(sequence) = asked.min_sequence {
        query.push(("min_sequence", sequence.to_string()));
        query.push(("wait_ms", WAIT.as_millis().to_string()));
    }
    query
}
