//! A reader of a stream, as a careful one is: it keeps the last id, and goes on there.

use std::{net::SocketAddr, time::Duration};

use reqwest::Response;
use serde_json::Value;
use shared::{server::http_client, testing::patience};
use tokio::time::timeout;

use crate::harness::SOON;

/// One message, or a comment, whose event is empty.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Message {
    pub(super) id: Option<String>,
    pub(super) event: String,
    pub(super) data: Value,
}

pub(super) struct Reader {
    response: Response,
    text: String,
    /// What a browser would send to go on.
    pub(super) last_id: String,
    /// What the stream said of itself first.
    pub(super) position: Value,
}

/// How a stream is asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub(super) last_id: Option<&'a str>,
    pub(super) token: Option<&'a str>,
}

impl Reader {
    /// # Errors
    /// With status and body of a refusal.
    pub(super) async fn open(
        address: SocketAddr,
        path: &str,
        asked: Asked<'_>,
    ) -> Result<Self, (u16, Value)> {
        let mut request = http_client::plain().get(format!("http://{address}{path}"));
        if let Some(last_id) = asked.last_id {
            request = request.header("last-event-id", last_id);
        }
        if let Some(token) = asked.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status != 200 {
            return Err((status, response.json().await.unwrap()));
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut reader = Self {
            response,
            text: String::new(),
            last_id: String::new(),
            position: Value::Null,
        };
        let first = reader.next().await.unwrap();
        assert_eq!(first.event, "position");
        reader.position = first.data;
        Ok(reader)
    }

    /// From now on.
    pub(super) async fn now(address: SocketAddr, path: &str) -> Self {
        Self::open(address, path, Asked::default()).await.unwrap()
    }

    /// After a message.
    pub(super) async fn after(address: SocketAddr, path: &str, last_id: &str) -> Self {
        let asked = Asked {
            last_id: Some(last_id),
            token: None,
        };
        Self::open(address, path, asked).await.unwrap()
    }

    /// The next message; nothing after the end.
    pub(super) async fn next(&mut self) -> Option<Message> {
        let next = timeout(patience(SOON), self.message());
        next.await
            .unwrap_or_else(|_| panic!("no message comes, and no end"))
    }

    /// The same without comments.
    pub(super) async fn event(&mut self) -> Option<Message> {
        // Comments come for ever.
        let next = timeout(patience(SOON), async {
            loop {
                let message = self.message().await?;
                if !message.event.is_empty() {
                    return Some(message);
                }
            }
        });
        next.await
            .unwrap_or_else(|_| panic!("no event comes, and no end"))
    }

    /// The sequences of so many events.
    pub(super) async fn sequences(&mut self, count: usize) -> Vec<i64> {
        let mut sequences = Vec::new();
        while sequences.len() < count {
            let message = self.event().await.unwrap();
            sequences.push(message.data["sequence"].as_i64().unwrap());
        }
        sequences
    }

    /// Whether nothing but comments comes for a moment.
    pub(super) async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(700), self.event())
            .await
            .is_err()
    }

    /// The code that it ends with, and that it ends.
    pub(super) async fn end(&mut self) -> String {
        let end = self.event().await.unwrap();
        assert_eq!(end.event, "end", "{end:?}");
        assert!(self.next().await.is_none(), "nothing comes after the end");
        end.data["code"].as_str().unwrap().to_owned()
    }

    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(self.read(&message));
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn read(&mut self, text: &str) -> Message {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let message = Message {
            id: field("id").map(str::to_owned),
            event: field("event").unwrap_or_default().to_owned(),
            data: field("data").map_or(Value::Null, |data| serde_json::from_str(data).unwrap()),
        };
        if let Some(id) = &message.id {
            self.last_id.clone_from(id);
        }
        message
    }
}
