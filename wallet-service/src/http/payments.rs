//! Money commands: fund, withdraw, transfer. Each is read from the fields of its body.

use shared::{
    Amount, Currency, WalletId,
    event::Details,
    money::DecimalAmount,
    problem::Code,
    server::request::{Fields, InPath, Invalid, Value, describe::Shape, parse},
};

use super::description::metadata;
use crate::ledger::{AskedAmount, Intent, Payment};

/// In characters. Long enough for any business id, short enough for an index.
pub(super) const REFERENCE_LENGTH_MAX: usize = 128;
/// In characters.
const DESCRIPTION_LENGTH_MAX: usize = 512;
/// `{amount, currency?, reference?, description?, metadata?}`: money comes into the wallet from outside.
pub(super) fn fund(fields: &mut Fields, wallet_id: Option<WalletId>) -> Option<Intent> {
    let payment = payment(fields);
    Some(Intent::Fund {
        wallet_id: wallet_id?,
        payment: payment?,
    })
}

/// The same the other way.
pub(super) fn withdraw(fields: &mut Fields, wallet_id: Option<WalletId>) -> Option<Intent> {
    let payment = payment(fields);
    Some(Intent::Withdraw {
        wallet_id: wallet_id?,
        payment: payment?,
    })
}

/// `to_wallet_id`, and the fields of a fund: money goes from one wallet to another.
pub(super) fn transfer(fields: &mut Fields, from: Option<WalletId>) -> Option<Intent> {
    let to = fields
        .says("The wallet the money goes to, of the same currency.")
        .required("to_wallet_id", parse::uuid);
    let payment = payment(fields);
    Some(Intent::Transfer {
        from: from?,
        to: to?,
        payment: payment?,
    })
}

/// How much, and what is written on it: the fields that all money commands share.
pub(super) fn payment(fields: &mut Fields) -> Option<Payment> {
    let says = "How much: a positive decimal with no more decimals than the currency has. Either this or `amount_minor`.";
    let amount = asked_amount(fields, says);
    let currency = fields
        .says("A check: refused when the wallet is of another currency.")
        .optional("currency", currency);
    let details = details(fields);
    Some(Payment {
        amount: amount?,
        currency,
        details,
    })
}

/// What is written on it.
pub(super) fn details(fields: &mut Fields) -> Details {
    Details {
        reference: fields
            .says("The caller's own id of this payment, a name: one transaction at most has it, and asking for the same again is answered with that.")
            .optional_by_rule(
                "reference",
                parse::any_text(REFERENCE_LENGTH_MAX),
                parse::name_rule(REFERENCE_LENGTH_MAX),
            ),
        description: fields.says("What people read about it.").optional_by_rule(
            "description",
            parse::any_text(DESCRIPTION_LENGTH_MAX),
            parse::text_rule(DESCRIPTION_LENGTH_MAX),
        ),
        metadata: metadata(fields),
    }
}

/// `amount`, or `amount_minor`.
pub(super) fn asked_amount(fields: &mut Fields, says: &'static str) -> Option<AskedAmount> {
    let errors_before = fields.errors().len();
    let amount = perhaps_amount(fields, says);
    if amount.is_none() && fields.errors().len() == errors_before {
        let message = "is required, or amount_minor in its place";
        fields.reject("amount", Code::MissingField, message);
    }
    amount
}

/// The same where neither need be given.
pub(super) fn perhaps_amount(fields: &mut Fields, says: &'static str) -> Option<AskedAmount> {
    let decimal = fields
        .says(says)
        .optional("amount", parse::amount(str::parse::<DecimalAmount>));
    let minor = fields
        .says("The same in minor units of the wallet's currency: `1000` is ten dollars, or a thousand yen.")
        .optional("amount_minor", parse::integer(1..=i64::MAX));
    match (decimal, minor) {
        (Some(decimal), None) => Some(decimal.into()),
        (None, Some(minor)) => Amount::try_new(minor).map(AskedAmount::Minor),
        (Some(_), Some(_)) => {
            let message = "is given beside amount: send one of the two";
            fields.reject("amount_minor", Code::InvalidValue, message);
            None
        }
        (None, None) => None,
    }
}

/// A currency's code. The message does not repeat what was sent, which may be anything.
pub(super) fn currency(value: Value<'_>) -> Result<Currency, Invalid> {
    value.describe(|| Shape::of::<Currency>(&[Code::InvalidType, Code::UnknownCurrency]))?;
    Currency::read(value.as_text()?)
}
