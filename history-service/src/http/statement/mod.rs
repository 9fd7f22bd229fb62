//! A wallet's statement, in one of several forms. It is written part by part as its reader takes it, so that one of a million
//! lines needs no more memory than one of ten.

mod camt053;
mod csv;
mod html;
mod json;
mod period;

use std::{future::ready, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use shared::{
    Sequence, Timestamp, WalletId,
    access::Caller,
    limits::Zone,
    problem::Problem,
    server::{
        auth::Principal,
        request::{PathId, QueryParams},
    },
};

pub(super) use self::{
    json::StatementBody,
    period::{Asked, Day, Format, Month, StatementQuery, month, zone},
};
use super::context::Api;
use crate::history::{Account, History, HistoryError, Line, Noted, Period};

pub(super) async fn find(
    State(api): State<Api>,
    Principal { caller, .. }: Principal,
    PathId(wallet): PathId<WalletId>,
    QueryParams(StatementQuery {
        asked,
        format,
        freshness,
    }): QueryParams<StatementQuery>,
) -> Result<Response, Problem> {
    let freshness = freshness.map(|wanted| api.bounded(wanted.of(wallet)));
    let Asked { period, zone } = asked;
    let account = api
        .history
        .account(wallet, period, freshness.as_ref(), &caller)
        .await?;
    let heading = Heading {
        is_provisional: Timestamp::now() < period.to,
        account,
        period,
        zone,
    };
    answer(api.history, heading, format, caller).await
}

/// What a statement says of itself.
struct Heading {
    account: Account,
    period: Period,
    /// Whose calendar the period is of.
    zone: Zone,
    /// The period is not over: what comes until then will be in it.
    is_provisional: bool,
}

/// What moved in all the lines so far, in minor units.
#[derive(Clone, Copy, Default)]
struct Totals {
    lines: u64,
    credits: i128,
    debits: i128,
}

impl Totals {
    fn add(&mut self, line: &Line) {
        let minor = i128::from(line.amount.minor());
        self.lines += 1;
        // Billions of the largest amounts fit.
        if minor < 0 {
            self.debits = self.debits.saturating_sub(minor);
        } else {
            self.credits = self.credits.saturating_add(minor);
        }
    }
}

/// A form of a statement: its text before the lines, of a line, and after all of them.
trait Form: Send + 'static {
    fn head(&self, heading: &Heading) -> String;
    fn line(&self, heading: &Heading, number: u64, line: &Line) -> String;
    fn foot(&self, heading: &Heading, totals: Totals) -> String;
}

async fn answer(
    history: History,
    heading: Heading,
    format: Format,
    caller: Arc<Caller>,
) -> Result<Response, Problem> {
    let headers = [
        (CONTENT_TYPE, format.media_type().to_owned()),
        (CONTENT_DISPOSITION, disposition(&heading, format)),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'".to_owned(),
        ),
    ];
    let form: Box<dyn Form> = match format {
        Format::Json => Box::new(json::Json),
        Format::Csv => Box::new(csv::Csv),
        Format::Camt053 => Box::new(camt053::Camt053),
        Format::Html => Box::new(html::Html),
    };
    let mut text = form.head(&heading);
    let mut writing = Writing {
        history,
        caller,
        form,
        totals: Totals::default(),
        next: Some(heading.account.before()),
        heading,
    };
    // Before anything is said: what cannot be read is another answer, and not one that breaks off.
    text.push_str(&writing.lines().await?.unwrap_or_default());
    let first = stream::once(ready(Ok(text)));
    let parts = first.chain(stream::try_unfold(writing, Writing::part));
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// Those for programs are saved under a name, those for people are shown.
fn disposition(heading: &Heading, format: Format) -> String {
    let wallet = heading.account.wallet_id;
    let day = |moment: Timestamp| {
        heading
            .zone
            .clock_text(moment.seconds())
            .unwrap_or_default()
    };
    let (from, to) = (day(heading.period.from), day(heading.period.to));
    let day = |text: &str| text.get(..10).unwrap_or_default().to_owned();
    format!(
        "{}; filename=\"statement-{wallet}-{}-{}.{}\"",
        format.disposition(),
        day(&from),
        day(&to),
        format.extension()
    )
}

/// A statement that is being written.
struct Writing {
    history: History,
    caller: Arc<Caller>,
    heading: Heading,
    form: Box<dyn Form>,
    totals: Totals,
    /// After which event it goes on, until its end is written.
    next: Option<Sequence>,
}

impl Writing {
    /// One part of the text. When history cannot be read any more the answer breaks off, which its reader sees: it has no end.
    async fn part(mut self) -> Result<Option<(String, Self)>, HistoryError> {
        let text = self.lines().await.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            let wallet_id = self.heading.account.wallet_id;
            tracing::warn!(error, %wallet_id, "a statement broke off");
        })?;
        Ok(text.map(|text| (text, self)))
    }

    /// The next lines, or what comes after the last of them; nothing after that.
    async fn lines(&mut self) -> Result<Option<String>, HistoryError> {
        let Some(after) = self.next else {
            return Ok(None);
        };
        let account = &self.heading.account;
        let found = self.history.lines(account, after, &self.caller).await?;
        let Some((lines, end)) = found else {
            self.next = None;
            return Ok(Some(self.form.foot(&self.heading, self.totals)));
        };
        self.next = Some(end);
        let mut text = String::new();
        for line in &lines {
            self.totals.add(line);
            text.push_str(&self.form.line(&self.heading, self.totals.lines, line));
        }
        Ok(Some(text))
    }
}
