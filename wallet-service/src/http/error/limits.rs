//! Limits that stand in the way, and limits that cannot be.

use serde_json::json;
use shared::{
    Amount, Balance, Currency,
    limits::Window,
    problem::{Code, Problem},
};

use super::about;
use crate::ledger::model::{
    answer::Role,
    limits::{FLOOR, FLOOR_MAX, LimitTold, LimitsUnfit},
};

/// Who reaches the wallet is told which limit it is, what is left of it and until when; others that there is one.
pub(super) fn exceeded(
    code: Code,
    role: Role,
    currency: Currency,
    required: Balance,
    limit: &LimitTold,
) -> Problem {
    let text = |minor: i64| currency.text(minor);
    let (required, of) = (text(required.minor()), super::named(role));
    let problem = |detail: String, message: &str| {
        let errors = match role {
            Role::Wallet => about_amount(code, message),
            Role::Destination | Role::DrainTo | Role::Settlement => about(role, code, message),
        };
        let problem = Problem::new(code, detail).with_errors(errors);
        problem
            .with_extra("required", json!(required))
            .with_extra("currency", json!(currency))
    };
    match limit {
        LimitTold::Ceiling { maximum, left } => {
            let (maximum, left) = (text(maximum.minor()), text(left.minor()));
            let detail = format!(
                "{of} may have {maximum} {currency} at most: {left} {currency} may come in and {required} {currency} would."
            );
            problem(capital(&detail), "would leave more than the ceiling")
                .with_extra("limit", json!("ceiling"))
                .with_extra("maximum", json!(maximum))
                .with_extra("left", json!(left))
        }
        LimitTold::Cap { of: kind, maximum } => {
            let maximum = text(maximum.minor());
            let detail = format!(
                "One of {kind} of {of} may be {maximum} {currency} at most and {required} {currency} is asked for."
            );
            problem(detail, "is more than one movement may be")
                .with_extra("limit", json!("cap"))
                .with_extra("of", json!(kind))
                .with_extra("maximum", json!(maximum))
                .with_extra("left", json!(maximum))
        }
        LimitTold::Window {
            window,
            left,
            left_count,
            ..
        } => {
            let detail = passed(window, of, currency, *left, *left_count);
            let problem = problem(detail, "is more than is left of a limit");
            with_window(problem, currency, limit)
        }
        LimitTold::Untold => {
            let detail = format!("A limit of {of} does not let {required} {currency} pass.");
            problem(detail, "is limited")
        }
    }
}

/// What is told of a window besides.
fn with_window(problem: Problem, currency: Currency, limit: &LimitTold) -> Problem {
    let LimitTold::Window {
        window,
        left,
        left_count,
        until,
    } = limit
    else {
        return problem;
    };
    let text = |minor: i64| json!(currency.text(minor));
    let zone = window.time_zone.as_ref();
    let told = [
        ("limit", Some(json!("window"))),
        ("of", Some(json!(window.of))),
        ("period", Some(json!(window.period))),
        ("time_zone", zone.map(|zone| json!(zone))),
        ("maximum", window.maximum.map(Amount::minor).map(text)),
        (
            "maximum_count",
            window.maximum_count.map(|count| json!(count)),
        ),
        ("left", left.map(Balance::minor).map(text)),
        ("left_count", left_count.map(|count| json!(count))),
        ("until", until.map(|until| json!(until))),
    ];
    let told = told
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    told.fold(problem, |problem, (name, value)| {
        problem.with_extra(name, value)
    })
}

fn about_amount(code: Code, message: &str) -> Vec<shared::problem::FieldError> {
    vec![shared::problem::FieldError::new("amount", code, message)]
}

fn passed(
    window: &Window,
    of: &str,
    currency: Currency,
    left: Option<Balance>,
    left_count: Option<u32>,
) -> String {
    let Window {
        of: kind,
        period,
        time_zone,
        ..
    } = window;
    let stretch = match time_zone {
        Some(zone) => format!("this {period} in {zone}"),
        None => format!("the last {period}"),
    };
    let left = match (left, left_count) {
        (Some(left), Some(count)) => {
            format!(
                "{} {currency} and {count} more",
                currency.text(left.minor())
            )
        }
        (Some(left), None) => format!("{} {currency}", currency.text(left.minor())),
        (None, count) => format!("{} more", count.unwrap_or(0)),
    };
    format!("{left} of {kind} is left to {of} for {stretch}.")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Limits that this wallet cannot have.
pub(super) fn unfit(code: Code, unfit: &LimitsUnfit) -> Problem {
    match unfit {
        LimitsUnfit::Amount {
            field,
            currency,
            is_too_precise,
        } => {
            if *is_too_precise {
                let decimals = currency.decimals();
                let message = format!("has more decimals than {currency} allows ({decimals})");
                return Problem::invalid_field(field, code, message);
            }
            let is_floor = field == FLOOR;
            let maximum = if is_floor {
                FLOOR_MAX.minor()
            } else {
                i64::MAX
            };
            let maximum = currency.text(maximum);
            let message = if is_floor {
                format!("must be from -{maximum} to {maximum} {currency}")
            } else {
                format!("is larger than a limit can be: {maximum} {currency} at most")
            };
            Problem::invalid_field(field, code, message)
                .with_extra("maximum", json!(maximum))
                .with_extra("currency", json!(currency))
        }
        LimitsUnfit::FloorAboveAvailable {
            currency,
            floor,
            available,
        } => {
            let [floor, available] = [floor, available].map(|it| currency.text(it.minor()));
            let detail = format!(
                "The wallet has {available} {currency} available, which is less than a floor of {floor} {currency}."
            );
            Problem::new(code, detail)
                .with_error("floor", code, "is more than is available")
                .with_extra("required", json!(floor))
                .with_extra("available", json!(available))
                .with_extra("currency", json!(currency))
        }
        LimitsUnfit::CeilingBelowFloor {
            currency,
            ceiling,
            floor,
        } => {
            let [ceiling, floor] = [ceiling, floor].map(|it| currency.text(it.minor()));
            let message = format!("is {ceiling} {currency}, below the floor of {floor} {currency}");
            Problem::invalid_field("ceiling", code, message)
        }
    }
}
