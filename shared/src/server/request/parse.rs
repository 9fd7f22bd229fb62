//! How one value is read. Each reader takes a [`Value`] and gives what it proves, or says what is wrong with it.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use schemars::{JsonSchema, json_schema};

use super::{
    describe::{Asked, Shape},
    node::Node,
};
use crate::{
    idempotency::InvalidIdempotencyKey,
    money::AmountError,
    page::{Cursor, Limit},
    problem::Code,
};

/// Why a value was refused: a stable code and a sentence part that follows the field's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    pub code: Code,
    pub message: String,
}

impl Invalid {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The common case: the right type, the wrong content.
    pub fn value(message: impl Display) -> Self {
        Self::new(Code::InvalidValue, message.to_string())
    }
}

impl<M: Into<String>> From<(Code, M)> for Invalid {
    fn from((code, message): (Code, M)) -> Self {
        Self::new(code, message)
    }
}

impl From<AmountError> for Invalid {
    fn from(error: AmountError) -> Self {
        Self::new(Code::from(&error), error.to_string())
    }
}

impl From<InvalidIdempotencyKey> for Invalid {
    fn from(error: InvalidIdempotencyKey) -> Self {
        Self::new(Code::IdempotencyKeyInvalid, error.to_string())
    }
}

/// One value as it was sent; or none, for a reader that is asked what it reads ([`super::describe`]).
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub(super) node: &'a Node,
    pub(super) origin: Origin,
    asked: Option<&'a Asked>,
}

/// Where fields come from: in a query string every value is a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Json,
    Query,
}

impl<'a> Value<'a> {
    pub(super) const fn new(node: &'a Node, origin: Origin) -> Self {
        Self {
            node,
            origin,
            asked: None,
        }
    }

    pub(super) const fn asking(asked: &'a Asked) -> Self {
        Self {
            node: &Node::Null,
            origin: Origin::Json,
            asked: Some(asked),
        }
    }

    /// How a reader begins: says what it reads when it is asked, and is done then.
    ///
    /// # Errors
    /// When it was asked.
    pub fn describe(self, shape: impl FnOnce() -> Shape) -> Result<(), Invalid> {
        match self.asked {
            None => Ok(()),
            Some(asked) => {
                asked.tell(shape);
                Err(Invalid::value("is not given"))
            }
        }
    }

    /// # Errors
    /// `invalid_type` when it is not a text.
    pub fn as_text(self) -> Result<&'a str, Invalid> {
        self.describe(|| Shape::like(&[Code::InvalidType], json_schema!({"type": "string"})))?;
        match self.node {
            Node::Text(text) => Ok(text),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Array(_) | Node::Object(_) => {
                Err(self.wrong_type("a text"))
            }
        }
    }

    fn wrong_type(self, wanted: &str) -> Invalid {
        Invalid::new(
            Code::InvalidType,
            format!("must be {wanted}, not {}", self.node.kind()),
        )
    }
}

/// An id in the canonical form of a UUID, 8-4-4-4-12 hexadecimal digits. `FromStr` of `Uuid` alone would also take
/// three other spellings, and one id should have one.
///
/// # Errors
/// `invalid_uuid`, or `invalid_type` when it is not a text.
pub fn uuid<T: FromStr>(value: Value<'_>) -> Result<T, Invalid> {
    value.describe(|| {
        let schema = json_schema!({
            "type": "string", "format": "uuid", "examples": ["01a21acc-92ad-764d-82dc-e0c2c9a98123"],
        });
        Shape::like(&[Code::InvalidType, Code::InvalidUuid], schema)
    })?;
    uuid_text(value.as_text()?)
}

pub(super) fn uuid_text<T: FromStr>(text: &str) -> Result<T, Invalid> {
    let canonical = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let parsed = if canonical { text.parse().ok() } else { None };
    parsed.ok_or_else(|| {
        Invalid::new(
            Code::InvalidUuid,
            "must be a UUID such as 0198c1a2-7b3c-7def-8123-456789abcdef",
        )
    })
}

/// A text of 1 to `length_max` characters (not bytes) that holds nothing hidden ([`crate::text`]): what cannot be seen should
/// not be stored, and Postgres cannot keep NUL at all.
pub fn text(length_max: usize) -> impl Fn(Value<'_>) -> Result<String, Invalid> {
    move |value| {
        value.describe(|| text_shape(length_max, ANY))?;
        let text = value.as_text()?;
        check_text(text, length_max)?;
        Ok(text.to_owned())
    }
}

/// Why something is done: a [`text`] that says something. Who looks for the reason later learns nothing from spaces.
pub fn reason(length_max: usize) -> impl Fn(Value<'_>) -> Result<String, Invalid> {
    move |value| {
        let reason = any_reason(length_max)(value)?;
        check_reason(&reason, length_max)?;
        Ok(reason)
    }
}

const ANY: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
const MORE_THAN_SPACES: &str =
    r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

const NO_OUTER_SPACE: &str =
    r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$";

fn text_shape(length_max: usize, pattern: &str) -> Shape {
    let schema = json_schema!({
        "type": "string", "minLength": 1, "maxLength": length_max, "pattern": pattern,
    });
    Shape::like(&[Code::InvalidType, Code::InvalidValue], schema)
}

/// Any text, to be judged by a rule such as [`text_rule`] of the same length.
pub fn any_text(length_max: usize) -> impl Fn(Value<'_>) -> Result<String, Invalid> {
    move |value| {
        value.describe(|| text_shape(length_max, ANY))?;
        value.as_text().map(str::to_owned)
    }
}

/// The same of a [`reason`], to be judged by [`reason_rule`].
pub fn any_reason(length_max: usize) -> impl Fn(Value<'_>) -> Result<String, Invalid> {
    move |value| {
        value.describe(|| text_shape(length_max, MORE_THAN_SPACES))?;
        value.as_text().map(str::to_owned)
    }
}

/// The same of a label, to be judged by [`label_rule`].
pub fn any_label(length_max: usize) -> impl Fn(Value<'_>) -> Result<String, Invalid> {
    move |value| {
        value.describe(|| text_shape(length_max, NO_OUTER_SPACE))?;
        value.as_text().map(str::to_owned)
    }
}

/// A text that people read in the place of a name: with nothing hidden, and without white space at its ends, so that it is
/// more than spaces.
pub fn label_rule(length_max: usize) -> impl Fn(&String) -> Result<(), Invalid> {
    move |label| {
        check_text(label, length_max)?;
        crate::name::check_ends(label).map_err(Invalid::value)
    }
}

/// What [`text`] asks of a text, as a rule.
pub fn text_rule(length_max: usize) -> impl Fn(&String) -> Result<(), Invalid> {
    move |text| check_text(text, length_max)
}

/// What [`reason`] asks of a text, as a rule.
pub fn reason_rule(length_max: usize) -> impl Fn(&String) -> Result<(), Invalid> {
    move |reason| check_reason(reason, length_max)
}

fn check_reason(reason: &str, length_max: usize) -> Result<(), Invalid> {
    check_text(reason, length_max)?;
    if reason.trim().is_empty() {
        return Err(Invalid::value("must be more than spaces"));
    }
    Ok(())
}

/// The same of a text that is a new name too: see [`crate::name`].
pub fn name_rule(length_max: usize) -> impl Fn(&String) -> Result<(), Invalid> {
    move |name| {
        check_text(name, length_max)?;
        crate::name::check(name).map_err(Invalid::value)
    }
}

pub(super) fn check_text(text: &str, length_max: usize) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(Invalid::value("must not be empty"));
    }
    if text.len() > length_max && text.chars().count() > length_max {
        return Err(Invalid::value(format_args!(
            "must have at most {length_max} characters"
        )));
    }
    crate::text::check(text).map_err(Invalid::value)
}

/// Anything that parses from a text; its error becomes the message of `invalid_value`, so it has to be one that tells
/// callers the rule.
///
/// # Errors
/// `invalid_value`, or `invalid_type` when it is not a text.
pub fn from_str<T>(value: Value<'_>) -> Result<T, Invalid>
where
    T: FromStr + JsonSchema + 'static,
    T::Err: Display,
{
    value.describe(|| Shape::of::<T>(&[Code::InvalidType, Code::InvalidValue]))?;
    value.as_text()?.parse().map_err(Invalid::value)
}

/// A page's size, in every listing.
///
/// # Errors
/// `invalid_limit`, or `invalid_type` when it is not a text.
pub fn limit(value: Value<'_>) -> Result<Limit, Invalid> {
    value.describe(|| Shape::of::<Limit>(&[Code::InvalidLimit]))?;
    let parsed = value.as_text()?.parse::<Limit>();
    parsed.map_err(|error| Invalid::new(Code::InvalidLimit, error.to_string()))
}

/// Where a listing goes on.
///
/// # Errors
/// `invalid_cursor`, or `invalid_type` when it is not a text.
pub fn cursor(value: Value<'_>) -> Result<Cursor, Invalid> {
    value.describe(|| Shape::of::<Cursor>(&[Code::InvalidCursor]))?;
    let parsed = value.as_text()?.parse::<Cursor>();
    parsed.map_err(|error| Invalid::new(Code::InvalidCursor, error.to_string()))
}

/// A text read by a function of the caller's.
pub fn with<T: JsonSchema + 'static, E: Into<Invalid>>(
    read: impl FnOnce(&str) -> Result<T, E>,
) -> impl FnOnce(Value<'_>) -> Result<T, Invalid> {
    move |value| {
        value.describe(|| Shape::of::<T>(&[Code::InvalidType, Code::InvalidValue]))?;
        read(value.as_text()?).map_err(Into::into)
    }
}

const AMOUNT_CODES: &[Code] = &[
    Code::InvalidType,
    Code::AmountMalformed,
    Code::AmountNotPositive,
    Code::AmountNotString,
    Code::AmountOutOfRange,
    Code::AmountTooPrecise,
];

/// An amount: always a text, because a JSON number goes through a float in too many callers' hands. The text itself is
/// read by `read`.
pub fn amount<T: JsonSchema + 'static, E: Into<Invalid>>(
    read: impl FnOnce(&str) -> Result<T, E>,
) -> impl FnOnce(Value<'_>) -> Result<T, Invalid> {
    move |value| {
        value.describe(|| Shape::of::<T>(AMOUNT_CODES))?;
        if matches!(value.node, Node::Number(_)) {
            return Err(Invalid::new(
                Code::AmountNotString,
                r#"must be a text such as "100.00", not a number"#,
            ));
        }
        read(value.as_text()?).map_err(Into::into)
    }
}

/// A whole number within `allowed`; in a query string written in digits.
pub fn integer<T>(allowed: RangeInclusive<T>) -> impl Fn(Value<'_>) -> Result<T, Invalid>
where
    T: FromStr + PartialOrd + Display + serde::Serialize,
{
    move |value| {
        value.describe(|| {
            let (least, most) = (allowed.start(), allowed.end());
            let schema = json_schema!({"type": "integer", "minimum": least, "maximum": most});
            Shape::like(&[Code::InvalidType, Code::InvalidValue], schema)
        })?;
        // Through its text: that parses exactly or not at all, whatever the width of `T`.
        match (value.node, value.origin) {
            (Node::Number(number), _) => integer_text(&number.to_string(), &allowed),
            (Node::Text(text), Origin::Query) => integer_text(text, &allowed),
            _ => Err(value.wrong_type(&whole_number(&allowed))),
        }
    }
}

/// The same of what is text wherever it stands, such as a part of a path.
pub(super) fn integer_text<T>(text: &str, allowed: &RangeInclusive<T>) -> Result<T, Invalid>
where
    T: FromStr + PartialOrd + Display,
{
    let parsed = text.parse().ok().filter(|number| allowed.contains(number));
    parsed.ok_or_else(|| Invalid::value(format_args!("must be {}", whole_number(allowed))))
}

fn whole_number<T: Display>(allowed: &RangeInclusive<T>) -> String {
    let (least, most) = (allowed.start(), allowed.end());
    format!("a whole number from {least} to {most}")
}

/// `true` or `false`.
///
/// # Errors
/// `invalid_type` for anything else; `invalid_value` in a query string.
pub fn flag(value: Value<'_>) -> Result<bool, Invalid> {
    value.describe(|| {
        let codes = [Code::InvalidType, Code::InvalidValue];
        Shape::like(&codes, json_schema!({"type": "boolean"}))
    })?;
    match (value.node, value.origin) {
        (Node::Bool(flag), _) => Ok(*flag),
        (Node::Text(text), Origin::Query) => text
            .parse()
            .map_err(|_| Invalid::value("must be true or false")),
        _ => Err(value.wrong_type("true or false")),
    }
}
