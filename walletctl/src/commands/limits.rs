//! `limits show` and `limits set`.

use std::io::{self, Write};

use reqwest::Method;
use serde::{Deserialize, Serialize};
use shared::{
    WalletId,
    limits::{Movements, Period, Zone},
};

use super::{Outcome, money::note_outcome};
use crate::{
    cli::{Limits, Options, SetLimits, Stretch},
    client::{Change, Client, Service, parsed},
    output::{self, Align, Step, Table, Wallet, amount, moment},
};

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceiling: Option<String>,
    caps: Vec<CapBody>,
    windows: Vec<WindowBody>,
}

#[derive(Serialize)]
struct CapBody {
    of: Movements,
    maximum: String,
}

#[derive(Serialize)]
struct WindowBody {
    of: Movements,
    period: Period,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<Zone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_count: Option<u32>,
}

impl Body {
    fn of(set: &SetLimits) -> Self {
        let mut windows: Vec<WindowBody> = Vec::new();
        for sum in &set.sums {
            windows.push(WindowBody {
                maximum: Some(sum.maximum.to_string()),
                ..WindowBody::of(&sum.stretch)
            });
        }
        // A sum and a number of the same are one window.
        for count in &set.counts {
            let same = windows
                .iter_mut()
                .find(|window| window.is_on(&count.stretch) && window.maximum_count.is_none());
            match same {
                Some(window) => window.maximum_count = Some(count.maximum),
                None => windows.push(WindowBody {
                    maximum_count: Some(count.maximum),
                    ..WindowBody::of(&count.stretch)
                }),
            }
        }
        let cap = |cap: &crate::cli::Cap| CapBody {
            of: cap.of,
            maximum: cap.maximum.to_string(),
        };
        Self {
            floor: set.floor.map(|floor| floor.to_string()),
            ceiling: set.ceiling.map(|ceiling| ceiling.to_string()),
            caps: set.caps.iter().map(cap).collect(),
            windows,
        }
    }
}

impl WindowBody {
    fn of(stretch: &Stretch) -> Self {
        Self {
            of: stretch.of,
            period: stretch.period,
            time_zone: stretch.time_zone.clone(),
            maximum: None,
            maximum_count: None,
        }
    }

    fn is_on(&self, stretch: &Stretch) -> bool {
        (self.of, self.period, &self.time_zone) == (stretch.of, stretch.period, &stretch.time_zone)
    }
}

/// The answer to limits that were put.
#[derive(Deserialize)]
struct Done {
    wallet: Wallet,
}

/// What limits a wallet, as far as people look at it.
#[derive(Deserialize)]
pub(super) struct Shown {
    currency: String,
    floor: String,
    left_to_floor: String,
    ceiling: Option<String>,
    left_to_ceiling: Option<String>,
    caps: Vec<CapShown>,
    windows: Vec<WindowShown>,
}

#[derive(Deserialize)]
struct CapShown {
    of: String,
    maximum: String,
}

#[derive(Deserialize)]
struct WindowShown {
    of: String,
    period: String,
    time_zone: Option<String>,
    maximum: Option<String>,
    maximum_count: Option<u32>,
    used: String,
    used_count: u32,
    left: Option<String>,
    left_count: Option<u32>,
    until: Option<String>,
}

pub(super) async fn limits(
    client: &Client,
    options: &Options,
    limits: &Limits,
) -> anyhow::Result<Outcome> {
    match limits {
        Limits::Show { wallet } => show(client, options, *wallet).await,
        Limits::Set(set) => put(client, options, set).await,
    }
}

async fn show(client: &Client, options: &Options, wallet: WalletId) -> anyhow::Result<Outcome> {
    let path = ["wallets", &wallet.to_string(), "limits"];
    let answer = client.read(Service::Wallet, &path, &[]).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        table(&parsed(&answer)?, options.width()).write(&mut out)?;
    }
    Ok(Outcome::Success)
}

async fn put(client: &Client, options: &Options, set: &SetLimits) -> anyhow::Result<Outcome> {
    let change = Change {
        path: &["wallets", &set.wallet.to_string(), "limits"],
        body: &Body::of(set),
        if_match: set.if_match,
        key: set.trial.attempt.key.as_ref(),
        is_dry_run: set.trial.dry_run,
    };
    let answer = client.change_by(Method::PUT, &change).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    let done: Done = parsed(&answer)?;
    output::wallets_table([&done.wallet], options.width()).write(&mut out)?;
    out.flush()?;
    note_outcome(&answer)?;
    Ok(Outcome::Success)
}

const FIT: &[Step] = &[
    Step::Round("UNTIL (UTC)", 16),
    Step::Cut("IN", 12),
    Step::Drop("USED"),
    Step::Cut("LIMIT", 16),
];

/// A row for each limit.
pub(super) fn table(shown: &Shown, width: Option<usize>) -> Table {
    let mut table = Table::new(&[
        ("LIMIT", Align::Left),
        ("IN", Align::Left),
        ("MAXIMUM", Align::Right),
        ("USED", Align::Right),
        ("LEFT", Align::Right),
        ("UNTIL (UTC)", Align::Left),
    ]);
    let money = |text: &String| amount(text, &shown.currency);
    let mut row = |[name, stretch]: [&str; 2], cells: [Option<String>; 4]| {
        let [maximum, used, left, until] = cells.map(Option::unwrap_or_default);
        table.row([
            name.to_owned(),
            stretch.to_owned(),
            maximum,
            used,
            left,
            until,
        ]);
    };
    let (floor, left) = (money(&shown.floor), money(&shown.left_to_floor));
    row(["floor", ""], [Some(floor), None, Some(left), None]);
    if let Some(ceiling) = &shown.ceiling {
        let left = shown.left_to_ceiling.as_ref().map(money);
        row(["ceiling", ""], [Some(money(ceiling)), None, left, None]);
    }
    for cap in &shown.caps {
        let name = format!("each of {}", cap.of);
        row([&name, ""], [Some(money(&cap.maximum)), None, None, None]);
    }
    for window in &shown.windows {
        let stretch = match &window.time_zone {
            Some(zone) => format!("a {}, {zone}", window.period),
            None => format!("the last {}", window.period),
        };
        let until = window.until.as_ref().map(|until| moment(until));
        if let Some(maximum) = &window.maximum {
            let left = window.left.as_ref().map(money);
            let cells = [
                Some(money(maximum)),
                Some(money(&window.used)),
                left,
                until.clone(),
            ];
            row([&window.of, &stretch], cells);
        }
        if let Some(maximum) = window.maximum_count {
            let left = window.left_count.map(|left| left.to_string());
            let used = Some(window.used_count.to_string());
            let name = format!("number of {}", window.of);
            row(
                [&name, &stretch],
                [Some(maximum.to_string()), used, left, until],
            );
        }
    }
    table.fit(width, FIT);
    table
}
