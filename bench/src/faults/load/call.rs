//! One call to a service, and what came of it: a definite answer, or what has to be sent again.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use uuid::Uuid;

use super::record::Acknowledged;

const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// A command with its key.
#[derive(Clone, Debug)]
pub struct Command {
    path: String,
    key: String,
    body: Value,
}

/// What came of a call.
#[derive(Debug)]
pub enum Came {
    Done(Acknowledged),
    /// For want of money.
    Refused,
    /// Not definite.
    Again {
        words: String,
        says_when: bool,
        says_nothing_was_done: bool,
    },
    /// Not definite either, and nothing that a caller should have to see.
    Broken(String),
    /// Definite, and nothing that a caller may be told.
    Odd(String),
}

/// What a reader saw.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// The last event of the wallet; none when it is not there.
    At(Option<i64>),
    Failed(String),
    /// What no reader may see.
    Odd(String),
}

impl Command {
    pub fn fund(wallet: Uuid, amount: &str) -> Self {
        Self::new(wallet, "fund", json!({"amount": amount}))
    }

    pub fn withdraw(wallet: Uuid, amount: &str) -> Self {
        Self::new(wallet, "withdraw", json!({"amount": amount}))
    }

    pub fn transfer(from: Uuid, to: Uuid, amount: &str) -> Self {
        let body = json!({"amount": amount, "to_wallet_id": to});
        Self::new(from, "transfer", body)
    }

    fn new(wallet: Uuid, what: &str, body: Value) -> Self {
        Self {
            path: format!("/wallets/{wallet}/{what}"),
            key: Uuid::now_v7().to_string(),
            body,
        }
    }

    /// Sends it once.
    pub async fn send(&self, http: &reqwest::Client, url: &str, timeout: Duration) -> Came {
        let call = http
            .post(format!("{url}{}", self.path))
            .header("idempotency-key", &self.key)
            .timeout(timeout)
            .json(&self.body);
        match call.send().await {
            Ok(answer) => self.came(answer).await,
            Err(error) => again(no_answer(&error)),
        }
    }

    async fn came(&self, answer: Response) -> Came {
        let status = answer.status();
        let says_when = answer.headers().contains_key(RETRY_AFTER);
        let body: Value = match answer.json().await {
            Ok(body) => body,
            Err(_) => return again("an answer that was cut".to_owned()),
        };
        let code = body["code"].as_str().unwrap_or_default();
        match status {
            StatusCode::CREATED => match acknowledged(&body) {
                Some(acknowledged) => Came::Done(acknowledged),
                None => Came::Odd(format!("{}: {body}", self.path)),
            },
            StatusCode::UNPROCESSABLE_ENTITY if code == "insufficient_funds" => Came::Refused,
            StatusCode::SERVICE_UNAVAILABLE => Came::Again {
                words: format!("503 {code}"),
                says_when,
                says_nothing_was_done: body.to_string().contains("othing was done"),
            },
            _ if status.is_server_error() => {
                Came::Broken(format!("{}: {status} {body}", self.path))
            }
            _ => Came::Odd(format!("{}: {status} {body}", self.path)),
        }
    }
}

fn again(words: String) -> Came {
    Came::Again {
        words,
        says_when: false,
        says_nothing_was_done: false,
    }
}

fn no_answer(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "a refused connection"
    } else {
        "a broken connection"
    };
    what.to_owned()
}

fn acknowledged(body: &Value) -> Option<Acknowledged> {
    let id = |value: &Value| value.as_str()?.parse().ok();
    Some(Acknowledged {
        transaction: id(&body["transaction"]["id"])?,
        wallet: id(&body["wallet"]["id"])?,
        sequence: body["wallet"]["version"].as_i64()?,
    })
}

/// Reads the newest page of a wallet's history.
pub(super) async fn read(http: &reqwest::Client, url: &str, wallet: Uuid) -> Seen {
    let call = http.get(format!("{url}/wallets/{wallet}/history?limit=10"));
    let answer = match call.timeout(READ_TIMEOUT).send().await {
        Ok(answer) => answer,
        Err(error) => return Seen::Failed(format!("a read: {}", no_answer(&error))),
    };
    let status = answer.status();
    let Ok(body) = answer.json::<Value>().await else {
        return Seen::Failed("a read: an answer that was cut".to_owned());
    };
    let code = body["code"].as_str().unwrap_or_default();
    match status {
        StatusCode::OK => match last(&body) {
            Some(last) => Seen::At(Some(last)),
            None => Seen::Odd(format!("a page with a hole: {body}")),
        },
        StatusCode::NOT_FOUND => Seen::At(None),
        StatusCode::SERVICE_UNAVAILABLE => Seen::Failed(format!("a read: 503 {code}")),
        _ => Seen::Odd(format!("a read of {wallet}: {status} {body}")),
    }
}

/// The number at which a page begins, when all its numbers follow on each other.
fn last(page: &Value) -> Option<i64> {
    let applied = page["applied_sequence"].as_i64()?;
    for (place, item) in (0..).zip(page["items"].as_array()?) {
        if item["sequence"].as_i64()? != applied - place {
            return None;
        }
    }
    Some(applied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_with_a_hole_is_found() {
        let page = |numbers: &[i64]| {
            let items: Vec<_> = numbers.iter().map(|at| json!({"sequence": at})).collect();
            last(&json!({"applied_sequence": 5, "items": items}))
        };
        assert_eq!(page(&[5, 4, 3]), Some(5));
        assert_eq!(page(&[5, 3]), None);
        assert_eq!(page(&[4, 3]), None);
    }
}
