//! From which state on a reader wants to be answered, and how long it waits for that.

use std::{collections::BTreeMap, time::Duration};

use schemars::json_schema;
use shared::{
    Sequence, WalletId,
    problem::Code,
    server::request::{Fields, Invalid, Value, describe::Shape, parse},
};

use crate::history::Freshness;

/// The longest a reader may ask to wait.
pub const WAIT_MAX: Duration = Duration::from_millis(WAIT_MAX_MS);
const WAIT_MAX_MS: u64 = 30_000;

/// How far the wallet in the path has to be.
#[derive(Clone, Copy)]
pub(in crate::http) struct AtLeast {
    min_sequence: Sequence,
    wait: Duration,
}

impl AtLeast {
    pub(in crate::http) fn of(self, wallet: WalletId) -> Freshness {
        Freshness {
            least: [(wallet, self.min_sequence)].into(),
            wait: self.wait,
        }
    }
}

/// How far the wallet has to be, and how long to wait for that. The request's own time limit, less a second, bounds it as
/// well.
pub(in crate::http) fn freshness(fields: &mut Fields) -> Option<AtLeast> {
    let min_sequence = fields
        .says("What is answered is read from a state that includes at least this event of the wallet, or refused with `history_behind`.")
        .optional("min_sequence", parse::integer(1..=Sequence::LAST.get()));
    let wait = wait(fields, "min_sequence", min_sequence.is_some());
    let min_sequence = Sequence::try_from(min_sequence?).ok()?;
    Some(AtLeast { min_sequence, wait })
}

/// The same of several wallets.
pub(super) fn of_several(fields: &mut Fields) -> Option<Freshness> {
    let least = fields
        .says("The page is read from a state that includes at least these events, or refused with `history_behind`: a wallet, a colon and its `min_sequence`, and further ones after commas.")
        .optional("min_sequences", min_sequences);
    let wait = wait(fields, "min_sequences", least.is_some());
    Some(Freshness {
        least: least?,
        wait,
    })
}

fn wait(fields: &mut Fields, awaited: &str, is_asked: bool) -> Duration {
    let wait_ms = fields
        .says("How many milliseconds to wait until history is that far; 0 when it is not given. Refused when nothing is to be waited for.")
        .optional("wait_ms", parse::integer(0..=WAIT_MAX_MS));
    if !is_asked && wait_ms.is_some() {
        let why = format!("says how long to wait for {awaited}, which is missing");
        fields.reject("wait_ms", Code::InvalidValue, why);
    }
    Duration::from_millis(wait_ms.unwrap_or_default())
}

/// As many as a transaction has legs.
const AWAITED_MAX: usize = 100;

/// `WALLET:5,ANOTHER:7`.
fn min_sequences(value: Value<'_>) -> Result<BTreeMap<WalletId, Sequence>, Invalid> {
    value.describe(|| {
        let one = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}:[1-9][0-9]{0,18}";
        let schema = json_schema!({
            "type": "string",
            "pattern": format!("^{one}(,{one})*$"),
            "examples": ["01a21acc-922a-7356-8c18-6056061c03df:5,01a21acc-92ad-764d-82dc-e0c2c9a98123:7"],
        });
        Shape::like(&[Code::InvalidValue], schema)
    })?;
    let mut least = BTreeMap::new();
    for one in value.as_text()?.split(',') {
        let (wallet, sequence) = min_sequence(one).ok_or_else(|| {
            Invalid::value(
                "must be wallets, each with a colon and its sequence, with commas between them",
            )
        })?;
        if least.insert(wallet, sequence).is_some() {
            return Err(Invalid::value("must name each wallet once"));
        }
        if least.len() > AWAITED_MAX {
            let most = format_args!("must name at most {AWAITED_MAX} wallets");
            return Err(Invalid::value(most));
        }
    }
    Ok(least)
}

fn min_sequence(text: &str) -> Option<(WalletId, Sequence)> {
    let (wallet, sequence) = text.split_once(':')?;
    let sequence = sequence.parse::<i64>().ok()?;
    let sequence = Sequence::try_from(sequence).ok()?;
    let is_canonical = wallet.len() == 36;
    let wallet = wallet.parse().ok().filter(|_| is_canonical)?;
    (sequence > Sequence::ZERO).then_some((wallet, sequence))
}
