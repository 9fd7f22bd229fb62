//! The clock of an installation for tests: set ahead, so that an end or a window is met in a moment.

use std::sync::Arc;

use axum::{Json, extract::State};
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    Timestamp,
    problem::{Code, Problem},
    server::{
        headers::OrderHeaders,
        request::{Fields, FromFields, JsonBody, parse},
    },
};

use super::context::Api;

pub(super) const ROUTE: &str = "/admin/clock/advance";

/// At once; it may be asked for again.
const SECONDS_MAX: i64 = 10 * 366 * 24 * 60 * 60;

pub(super) struct Advance {
    by: TimeDelta,
}

impl FromFields for Advance {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let seconds = fields
            .says("By how much the clock is set ahead. It is never set back.")
            .required("seconds", parse::integer(1..=SECONDS_MAX));
        Some(Self {
            by: TimeDelta::seconds(seconds?),
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Clock")]
pub(super) struct ClockBody {
    /// The time of the installation from now on.
    now: Timestamp,
}

pub(super) async fn advance(
    State(api): State<Arc<Api>>,
    _: OrderHeaders,
    JsonBody(Advance { by }): JsonBody<Advance>,
) -> Result<Json<ClockBody>, Problem> {
    let clock = api.test_clock.as_ref().ok_or_else(|| {
        let detail = "The clock of this installation is not for tests: TEST_CLOCK is not set.";
        Problem::new(Code::NoTestClock, detail)
    })?;
    let now = clock.advance(by).await?;
    Ok(Json(ClockBody { now }))
}
