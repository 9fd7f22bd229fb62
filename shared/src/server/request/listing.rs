//! The parameters that listings of both services share, each read in one way.

use std::collections::BTreeSet;

use schemars::json_schema;
use strum::VariantNames;

use super::{
    describe::Shape,
    fields::Fields,
    parse::{self, Invalid, Value},
};
use crate::{
    InvalidMoment, Timestamp,
    event::{EventKind, UnknownKind},
    page::{Cursor, Limit, PageRequest},
    problem::Code,
};

/// Which page of a listing, and which way it goes.
pub fn page_request(fields: &mut Fields) -> PageRequest {
    PageRequest {
        limit: limit(fields),
        cursor: cursor(fields),
        order: fields
            .says("`desc`, newest first, is also meant when it is not given.")
            .optional("order", parse::from_str)
            .unwrap_or_default(),
    }
}

pub fn limit(fields: &mut Fields) -> Limit {
    fields
        .says("How many items the page holds at most. More than may be is refused, not clamped.")
        .optional("limit", parse::limit)
        .unwrap_or_default()
}

pub fn cursor(fields: &mut Fields) -> Option<Cursor> {
    fields
        .says("The `next_cursor` of the page before, with the same path, filters and order; any other is refused.")
        .optional("cursor", parse::cursor)
}

/// One kind of event, such as `wallet.funded`.
///
/// # Errors
/// `invalid_value`, and the kinds there are.
pub fn event_kind(text: &str) -> Result<EventKind, Invalid> {
    text.parse().map_err(|error: UnknownKind| {
        let known: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Invalid::value(format_args!("{error}; known are {}", known.join(", ")))
    })
}

/// One kind of event or several with commas between them and nothing else: `wallet.funded,transfer.sent`. Their order,
/// and naming one twice, make no difference.
///
/// It is described as the text that it is: clients that are generated send lists as several parameters.
///
/// # Errors
/// `invalid_value` when one is not known, also when it is empty.
pub fn event_kinds(value: Value<'_>) -> Result<BTreeSet<EventKind>, Invalid> {
    value.describe(|| {
        let kinds = EventKind::VARIANTS.join("|").replace('.', r"\.");
        let schema = json_schema!({
            "type": "string",
            "pattern": format!("^({kinds})(,({kinds}))*$"),
            "examples": ["wallet.funded,transfer.received"],
        });
        Shape::like(&[Code::InvalidValue], schema)
    })?;
    value.as_text()?.split(',').map(event_kind).collect()
}

/// A moment with its zone, as RFC 3339 has it; a day alone is not one.
///
/// # Errors
/// `invalid_value`
pub fn moment(text: &str) -> Result<Timestamp, Invalid> {
    text.parse().map_err(|invalid: InvalidMoment| {
        let plus = text
            .rsplit_once(' ')
            .is_some_and(|(moment, zone)| format!("{moment}+{zone}").parse::<Timestamp>().is_ok());
        if plus {
            return Invalid::value(
                "has a space before its zone: in a query string a + is a space, so write it as %2B, such as \
                 2026-11-21T08:00:00%2B02:00",
            );
        }
        Invalid::value(invalid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_that_became_a_space_is_told_as_such() {
        let said = moment("2026-11-21T08:00:00 02:00").unwrap_err();
        assert!(said.message.contains("%2B"), "{said:?}");
        for text in [
            "2026-11-21",
            "2026-11-21T08:00:00",
            "2026-11-21T08:00:00 xx",
            "2026-12-31T23:59:60Z",
        ] {
            let said = moment(text).unwrap_err();
            assert_eq!(said.message, InvalidMoment.to_string());
        }
    }
}
