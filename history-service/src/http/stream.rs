//! What happens, as server-sent events, for as long as its reader stays and may.
//!
//! Each message is an entry as listings show it. What is not an event says so by another name: `position` where a stream begins,
//! `end` why it ends, and comments that nothing happened.

use std::{fmt::Write, pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderName, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::{FutureExt, future::BoxFuture, stream};
use serde_json::json;
use shared::{
    Timestamp, UserId, WalletId,
    access::{Caller, Reach},
    event::EventItem,
    problem::{Code, Problem},
    server::{
        auth::Principal,
        headers::LastEventId,
        http::EVENT_STREAM,
        request::{PathId, PathValue, QueryParams},
    },
};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{
    context::Api,
    error,
    query::{UserStreamQuery, WalletStreamQuery},
};
use crate::history::{
    live::{Began, Ended, Following, Message, Point, Positions, What},
    model::Entry,
};

/// After how many milliseconds a browser connects again.
const RETRY_MS: u32 = 2_000;

/// Of an event without long texts.
const MESSAGE_BYTES: usize = 1_024;

/// What proxies must not gather: each message is of use only while it is new.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) async fn of_wallet(
    State(api): State<Api>,
    principal: Principal,
    PathId(wallet): PathId<WalletId>,
    last: Option<LastEventId>,
    QueryParams(WalletStreamQuery { freshness }): QueryParams<WalletStreamQuery>,
) -> Result<Response, Problem> {
    let after = last.map(|last| point(&last)).transpose()?;
    let caller = &principal.caller;
    let freshness = freshness.map(|wanted| api.bounded(wanted.of(wallet)));
    api.history.wait_for(freshness.as_ref(), caller).await?;
    let following = api.streams.of_wallet(wallet, after, caller).await?;
    let applied = |began: &Began| json!({"applied_sequence": began.applied.get(&wallet)});
    Ok(answer(following, &api, &principal, applied))
}

pub(super) async fn of_user(
    State(api): State<Api>,
    principal: Principal,
    PathValue(user): PathValue<UserId>,
    last: Option<LastEventId>,
    QueryParams(UserStreamQuery { freshness }): QueryParams<UserStreamQuery>,
) -> Result<Response, Problem> {
    let caller = &principal.caller;
    if !caller.reach.includes(&user) {
        return Err(error::user_not_found(&user));
    }
    let after = last.map(|last| positions(&last, &user)).transpose()?;
    let freshness = freshness.map(|wanted| api.bounded(wanted));
    api.history.wait_for(freshness.as_ref(), caller).await?;
    let following = api.streams.of_user(&user, after, caller).await?;
    let applied = |began: &Began| json!({"applied_sequences": began.applied});
    Ok(answer(following, &api, &principal, applied))
}

fn point(LastEventId(text): &LastEventId) -> Result<Point, Problem> {
    let rule = "Last-Event-ID must be the id of a message of this stream, the sequence of an event of the wallet, \
                or 0 for all of them.";
    text.parse().map_err(|_| LastEventId::refused(rule))
}

fn positions(LastEventId(text): &LastEventId, user: &UserId) -> Result<Positions, Problem> {
    let rule =
        "Last-Event-ID must be the id of a message of this user's stream, or 0 for all events.";
    Positions::read(text, user).map_err(|_| LastEventId::refused(rule))
}

fn answer(
    mut following: Following,
    api: &Api,
    principal: &Principal,
    applied: impl Fn(&Began) -> serde_json::Value,
) -> Response {
    let began = following.began();
    let first = began.map(|began| {
        let data = applied(&began).to_string();
        let position = said(Some(&began.id), "position", &data);
        format!("retry: {RETRY_MS}\n{position}")
    });
    let heartbeat = api.streams.heartbeat();
    let writing = Writing {
        following,
        first,
        caller: Arc::clone(&principal.caller),
        token: believed(principal.clone()).boxed(),
        heartbeat,
        beat: Box::pin(sleep(heartbeat)),
        written: Instant::now(),
        has_ended: false,
    };
    let parts = stream::unfold(writing, async |mut writing| {
        let part = writing.part().await?;
        Some((
            Ok::<_, std::convert::Infallible>(Bytes::from(part)),
            writing,
        ))
    });
    let headers = [(CONTENT_TYPE, EVENT_STREAM), (UNBUFFERED, "no")];
    (headers, Body::from_stream(parts)).into_response()
}

/// When the clock will say so.
fn moment(seconds: i64) -> Instant {
    let left = seconds
        .saturating_mul(1_000_000)
        .saturating_sub(Timestamp::now().micros());
    let left = Duration::from_micros(u64::try_from(left).unwrap_or_default());
    let now = Instant::now();
    now.checked_add(left).unwrap_or(now + FAR)
}

/// As good as for ever.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A stream that is being written.
struct Writing {
    following: Following,
    first: Option<String>,
    caller: Arc<Caller>,
    /// Why the token is not believed any more, when that is so.
    token: BoxFuture<'static, (Code, &'static str)>,
    heartbeat: Duration,
    /// No later than a heartbeat after `written`. It is not moved with each event, which would cost more than to look when it
    /// is over.
    beat: Pin<Box<Sleep>>,
    /// When something was written last.
    written: Instant,
    has_ended: bool,
}

impl Writing {
    /// What is written next; nothing after the end.
    async fn part(&mut self) -> Option<String> {
        if self.has_ended {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let written = tokio::select! {
                // Nothing is told after the end of the token, also when it is there already.
                biased;
                (code, why) = &mut self.token => {
                    self.following.expire();
                    self.end(code, why)
                }
                next = self.following.next() => match next {
                    Ok(messages) => told(&messages, &self.caller.reach),
                    Err(why) => self.ended(why),
                },
                () = self.beat.as_mut() => match self.beats() {
                    Some(comment) => comment,
                    None => continue,
                },
            };
            self.written = Instant::now();
            return Some(written);
        }
    }

    /// A comment, if nothing was written for so long.
    fn beats(&mut self) -> Option<String> {
        let now = Instant::now();
        let is_due = now >= self.written + self.heartbeat;
        let last = if is_due { now } else { self.written };
        self.beat.as_mut().reset(last + self.heartbeat);
        is_due.then(|| ":\n\n".to_owned())
    }

    fn ended(&mut self, why: Ended) -> String {
        match why {
            Ended::TooSlow => self.end(
                Code::ReaderTooSlow,
                "What was sent was not read in time: connect again, and go on after the last event.",
            ),
            Ended::TooManyWallets => self.end(
                Code::TooManyWallets,
                "The user has more wallets than a stream can follow: follow them one by one.",
            ),
            Ended::Archived => self.end(
                Code::Archived,
                "What comes next is in an archive by now: an operator can restore it.",
            ),
            Ended::Stopped => self.end(
                Code::Unavailable,
                "The service ends: connect again, and go on after the last event.",
            ),
        }
    }

    fn end(&mut self, code: Code, why: &str) -> String {
        self.has_ended = true;
        let problem = Problem::new(code, why).to_json(None);
        said(None, "end", &String::from_utf8_lossy(&problem))
    }
}

/// For as long as the caller's token is believed. Says why it is not any more.
async fn believed(principal: Principal) -> (Code, &'static str) {
    let expired = async {
        match principal.good_until {
            Some(good_until) => sleep_until(moment(good_until)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = expired => (
            Code::TokenExpired,
            "The token has ended: connect again with another.",
        ),
        () = principal.until_withdrawn() => (
            Code::TokenInvalid,
            "The key of the token was withdrawn: connect again with a token of another.",
        ),
    }
}

fn told(messages: &[Message], reach: &Reach) -> String {
    let mut text = String::with_capacity(messages.len() * MESSAGE_BYTES);
    for Message { id, what } in messages {
        match what {
            What::Event(event) => {
                // Writing to a text cannot fail.
                let _ = writeln!(text, "id: {id}");
                text.push_str(event.text(reach, shown));
            }
            What::Replaced { wallet, keep } => {
                let data = json!({"wallet_id": wallet, "from_sequence": keep.next()});
                text.push_str(&said(Some(id), "replaced", &data.to_string()));
            }
        }
    }
    text
}

/// An event as every reader has it, without the id by which each goes on.
fn shown(entry: Entry) -> String {
    let kind = entry.kind.clone();
    // Text, numbers and JSON: nothing here can fail to be written.
    let data = serde_json::to_string(&EventItem::from(entry)).unwrap_or_default();
    said(None, &kind, &data)
}

/// One message. A line ends it, so what JSON has of them between its tokens becomes a space; inside a text it has none.
fn said(id: Option<&str>, event: &str, data: &str) -> String {
    let in_a_line = |text: &str| text.replace(['\n', '\r'], " ");
    let mut text = String::with_capacity(data.len() + 64);
    // Writing to a text cannot fail.
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let (event, data) = (in_a_line(event), in_a_line(data));
    let _ = write!(text, "event: {event}\ndata: {data}\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_lines_that_are_not_its_own() {
        let text = said(Some("7"), "wallet.funded", "{\n\"a\":\r\n\"\\n\"}");
        assert_eq!(
            text,
            "id: 7\nevent: wallet.funded\ndata: { \"a\":  \"\\n\"}\n\n"
        );
    }
}
