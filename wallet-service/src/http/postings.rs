//! Transactions of any legs, and those that take another back: read from the fields of their bodies.
//!
//! A reversal names a transaction, and the ledger decides on its wallets: which these are, never changes, so it is looked up
//! here before the command is sent ([`locate`]). A transaction that is beyond the caller's reach is none.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use shared::{
    Currency, Sequence, TransactionId, WalletId,
    access::Caller,
    money::{Change, DecimalBalance},
    problem::{Code, Problem},
    server::request::{Fields, FromFields, Invalid, Value, parse},
};

use super::{
    context::Api,
    payments::{currency, details, perhaps_amount},
    reach,
    status::reason,
};
use crate::ledger::{
    Intent, LedgerError, Refusal, Transaction,
    model::posting::{AskedChange, LegSide, NewLeg, NewPosting, NewReversal},
};

/// Fewer move nothing, more hold up the commands of others.
const LEGS: std::ops::RangeInclusive<usize> = 2..=100;

/// What is written on a transaction stands in each of its legs: so much in all of them, in bytes.
const WRITTEN_MAX: usize = 512 * 1024;

/// `{legs, reference?, description?, metadata?}`: money goes from any wallets to any others, all of it or nothing.
pub(super) fn post(fields: &mut Fields) -> Option<Intent> {
    let says = "What is to happen to each wallet. The amounts of each currency come to nothing; a wallet has one leg at most.";
    let legs: Option<Vec<NewLeg>> = fields.says(says).objects("legs", LEGS);
    let details = details(fields);
    let posting = NewPosting {
        legs: legs?,
        details,
    };
    // Of legs that cannot be read it is not known.
    if posting.wallet_id().is_none() && fields.errors().is_empty() {
        fields.reject("legs", Code::InvalidValue, "must name a wallet");
    }
    let intent = Intent::Post(posting);
    let written = intent.details().map_or(0, |details| {
        let metadata = details.metadata.iter();
        let pairs = metadata.map(|(key, value)| key.len() + value.len());
        details.description.as_ref().map_or(0, String::len) + pairs.sum::<usize>()
    });
    if let Intent::Post(posting) = &intent
        && written * posting.legs.len() > WRITTEN_MAX
    {
        let message = format!("stands in each leg: {WRITTEN_MAX} bytes in all of them at most");
        fields.reject("metadata", Code::InvalidValue, message);
    }
    Some(intent)
}

impl FromFields for NewLeg {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let side = side(fields);
        let amount = asked_change(fields);
        let balance = |fields: &mut Fields, name: &'static str, says: &'static str| {
            fields
                .says(says)
                .optional(name, parse::amount(str::parse::<DecimalBalance>))
        };
        let says = "Refused when less is in the wallet after it.";
        let min_balance = balance(fields, "min_balance", says);
        let says = "Refused when more is in the wallet after it.";
        let max_balance = balance(fields, "max_balance", says);
        let expected_version = fields
            .says("Carried out only if the wallet is at this version.")
            .optional("expected_version", version);
        let (side, currency) = side?;
        if side.is_none_of_callers() {
            let asked = [
                ("min_balance", min_balance.is_some()),
                ("max_balance", max_balance.is_some()),
                ("expected_version", expected_version.is_some()),
            ];
            for (name, _) in asked.into_iter().filter(|(_, is_said)| *is_said) {
                let message = "is asked of a wallet, not of the outside world";
                fields.reject(name, Code::InvalidValue, message);
            }
        }
        Some(Self {
            side,
            amount: amount?,
            currency,
            min_balance,
            max_balance,
            expected_version,
        })
    }
}

impl LegSide {
    const fn is_none_of_callers(self) -> bool {
        matches!(self, Self::Settlement { .. })
    }
}

/// Whose money, and what is to be checked of the wallet's currency.
fn side(fields: &mut Fields) -> Option<(LegSide, Option<Currency>)> {
    let wallet_id: Option<WalletId> = fields
        .says("The wallet. Either this or `settlement`.")
        .optional("wallet_id", parse::uuid);
    let settlement = fields
        .says("`true` for the outside world, in the currency that is said: money comes from there, or goes there.")
        .optional("settlement", parse::flag)
        .unwrap_or(false);
    let errors_before = fields.errors().len();
    let currency = fields
        .says("Of a wallet a check: refused when it is of another currency. Required with `settlement`.")
        .optional("currency", currency);
    let is_wrong = fields.errors().len() > errors_before;
    match (wallet_id, settlement) {
        (Some(wallet_id), false) => Some((LegSide::Wallet { wallet_id }, currency)),
        (None, true) => {
            // What is wrong with one that is there is told.
            if currency.is_none() && !is_wrong {
                let message = "is required with settlement";
                fields.reject("currency", Code::MissingField, message);
            }
            let settlement = currency?;
            Some((LegSide::Settlement { settlement }, None))
        }
        (Some(_), true) => {
            let message = "is given beside wallet_id: send one of the two";
            fields.reject("settlement", Code::InvalidValue, message);
            None
        }
        (None, false) => {
            if fields.errors().is_empty() {
                let message = "is required, or settlement in its place";
                fields.reject("wallet_id", Code::MissingField, message);
            }
            None
        }
    }
}

/// `amount`, or `amount_minor`: by how much the wallet changes.
fn asked_change(fields: &mut Fields) -> Option<AskedChange> {
    let errors_before = fields.errors().len();
    let decimal = fields
        .says("By how much the wallet changes: `-30.00` leaves it. Either this or `amount_minor`.")
        .optional("amount", parse::amount(change));
    let minor = fields
        .says("The same in minor units of the wallet's currency.")
        .optional("amount_minor", parse::integer(-i64::MAX..=i64::MAX));
    match (decimal, minor) {
        (Some(decimal), None) => Some(AskedChange::Decimal(decimal)),
        (None, Some(minor)) => {
            let change = Change::try_new(minor);
            if change.is_none() {
                fields.reject("amount_minor", Code::AmountNotPositive, IS_NOTHING);
            }
            change.map(AskedChange::Minor)
        }
        (Some(_), Some(_)) => {
            let message = "is given beside amount: send one of the two";
            fields.reject("amount_minor", Code::InvalidValue, message);
            None
        }
        (None, None) => {
            if fields.errors().len() == errors_before {
                let message = "is required, or amount_minor in its place";
                fields.reject("amount", Code::MissingField, message);
            }
            None
        }
    }
}

const IS_NOTHING: &str = "must not be zero";

fn change(text: &str) -> Result<DecimalBalance, Invalid> {
    let amount: DecimalBalance = text.parse()?;
    if amount.is_zero() {
        return Err(Invalid::new(Code::AmountNotPositive, IS_NOTHING));
    }
    Ok(amount)
}

pub(super) fn version(value: Value<'_>) -> Result<Sequence, Invalid> {
    let number = parse::integer(0..=Sequence::LAST.get())(value)?;
    Sequence::try_from(number).map_err(Invalid::value)
}

/// `{amount? | amount_minor?, reason, allow_negative?, reference?, description?, metadata?}`: money goes back.
pub(super) fn reverse(
    fields: &mut Fields,
    transaction_id: Option<TransactionId>,
) -> Option<Intent> {
    const PART: &str =
        "How much; all that was not taken back yet when neither this nor `amount_minor` is given.";
    let amount = perhaps_amount(fields, PART);
    let reason = reason(fields);
    let allow_negative = fields
        .says("For operators: whether the wallets that give it back may be left with less than they may have otherwise.")
        .optional("allow_negative", parse::flag);
    let details = details(fields);
    Some(Intent::Reverse(NewReversal {
        transaction_id: transaction_id?,
        original: None,
        amount,
        reason: reason?,
        allow_negative: allow_negative.unwrap_or(false),
        details,
    }))
}

/// The field that is an operator's to ask for, where it is asked for.
pub(super) fn for_operators(intent: &Intent) -> Option<&'static str> {
    let reversal = intent.reversal();
    let overdraws = reversal.is_some_and(|reversal| reversal.allow_negative);
    overdraws.then_some("allow_negative")
}

/// Transactions that are there, and whose rows say nothing that this build knows.
pub(super) type Unreadable = HashSet<TransactionId>;

/// Tells the intents that take a transaction back which that is; those whose transaction the caller does not reach are left
/// without, and so are those whose transaction cannot be read, which are told. One statement for any number of them, and none
/// when there are none.
pub(super) async fn locate(
    api: &Api,
    caller: &Caller,
    intents: &mut [&mut Intent],
) -> Result<Unreadable, Problem> {
    let ids = intents.iter().filter_map(|intent| intent.reversal());
    let ids: Vec<TransactionId> = ids.map(|reversal| reversal.transaction_id).collect();
    if ids.is_empty() {
        return Ok(Unreadable::new());
    }
    let mut unreadable = Unreadable::new();
    let mut originals: HashMap<TransactionId, Arc<Transaction>> = HashMap::new();
    let _turn = api.reader.turn(caller).await?;
    for found in api.reader.find_transactions(&ids).await? {
        match found {
            Ok(found) if reach::transaction(caller, &found) => {
                originals.insert(found.id, Arc::new(found));
            }
            Ok(_) => {}
            Err(found) => {
                let error = &found as &dyn std::error::Error;
                tracing::error!(error, "a transaction cannot be taken back");
                unreadable.insert(found.id);
            }
        }
    }
    for intent in intents {
        if let Some(reversal) = intent.reversal_mut() {
            reversal.original = originals.get(&reversal.transaction_id).cloned();
        }
    }
    Ok(unreadable)
}

/// What there is to say of an intent whose transaction is not there for the caller, or cannot be read, once that was looked for.
pub(super) fn missing(
    intent: &Intent,
    unreadable: &Unreadable,
) -> Option<Result<Refusal, LedgerError>> {
    let reversal = intent.reversal()?;
    let transaction_id = reversal.transaction_id;
    if unreadable.contains(&transaction_id) {
        return Some(Err(LedgerError::Internal));
    }
    let is_missing = reversal.original.is_none();
    is_missing.then_some(Ok(Refusal::TransactionNotFound { transaction_id }))
}
