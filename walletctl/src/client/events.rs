//! Server-sent events, as they come: the form of <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;

use super::{Client, ClientError, Doubt, Refusal, Service, refusal};

/// A stream on which nothing comes for so long, not even a comment, has broken off without anybody having said so.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// One message.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Event {
    pub id: Option<String>,
    /// `message` where the stream does not say.
    pub kind: String,
    pub data: String,
}

/// A stream that was opened.
#[derive(Debug)]
pub struct Events {
    response: Response,
    parser: Parser,
}

impl Client {
    /// Opens a stream, asked once, to go on after a message of it.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn events(
        &self,
        service: Service,
        path: &[&str],
        last_id: Option<&str>,
    ) -> Result<Events, ClientError> {
        let url = self.url(service, path);
        let mut request = self.http.get(url.clone());
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        let no_answer =
            |source| ClientError::no_answer((service, &url), 1, Doubt::NothingDone, source);
        let late = |_| ClientError::Late {
            url: url.clone(),
            after: self.timeout,
        };
        let sent = timeout(self.timeout, self.let_in(request)?.send()).await;
        let response = sent.map_err(late)?.map_err(no_answer)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Ok(Events {
                response,
                parser: Parser::default(),
            });
        }
        let body = timeout(self.timeout, response.bytes()).await;
        let body = body.map_err(late)?.map_err(no_answer)?.to_vec();
        Err(ClientError::Refused(Box::new(Refusal {
            asked: Some((service, url)),
            ..refusal(status, &headers, body)
        })))
    }
}

impl Events {
    /// The next message; nothing when the stream has broken off, whoever did it.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.next() {
                return Some(event);
            }
            let chunk = timeout(SILENCE_MAX, self.response.chunk()).await;
            self.parser.add(&chunk.ok()?.ok()??);
        }
    }
}

/// Lines into messages.
#[derive(Default, Debug)]
struct Parser {
    bytes: Vec<u8>,
    read: usize,
    event: Event,
    data: Vec<String>,
}

impl Parser {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message that is complete.
    fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let (event, data) = (
                    std::mem::take(&mut self.event),
                    std::mem::take(&mut self.data),
                );
                if !data.is_empty() {
                    return Some(Event {
                        kind: if event.kind.is_empty() {
                            "message".to_owned()
                        } else {
                            event.kind
                        },
                        data: data.join("\n"),
                        id: event.id,
                    });
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "id" => self.event.id = Some(value),
                "event" => self.event.kind = value,
                "data" => self.data.push(value),
                // A comment has no name; the pause before the next connection is this program's own.
                _ => {}
            }
        }
        None
    }

    /// The next line that has its end: a line feed, maybe after a carriage return.
    fn line(&mut self) -> Option<String> {
        let rest = self.bytes.get(self.read..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.get(..length)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = String::from_utf8_lossy(line).into_owned();
        self.read += length + 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let text = "retry: 2000\nid: 7\nevent: a\ndata: {\"b\":\ndata: 1}\n\n:\n\nid\ndata:x\r\n\r\nevent: half\n";
        let expected = [
            Event {
                id: Some("7".to_owned()),
                kind: "a".to_owned(),
                data: "{\"b\":\n1}".to_owned(),
            },
            Event {
                id: Some(String::new()),
                kind: "message".to_owned(),
                data: "x".to_owned(),
            },
        ];
        for size in 1..=text.len() {
            let mut parser = Parser::default();
            let mut seen = Vec::new();
            for part in text.as_bytes().chunks(size) {
                parser.add(part);
                while let Some(event) = parser.next() {
                    seen.push(event);
                }
            }
            assert_eq!(seen, expected, "in parts of {size}");
        }
    }
}
