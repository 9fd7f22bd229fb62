//! How long, how large, how many, and for which web pages: every bound of the HTTP edge, with its variable and its default.

use std::time::Duration;

use super::{cors::CorsOrigins, tls::TlsFiles};
use crate::server::settings::SettingsReader;

/// Ten minutes: no orchestrator waits longer for a process to leave.
const SHUTDOWN_GRACE_MS_MAX: u64 = 10 * 60 * 1000;

/// The bounds of one listener. The field documentation names the variable and the default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpLimits {
    /// `HTTP_HEADER_TIMEOUT_MS`, 10 s: from the first byte of a request, or from the accept, to the end of its headers.
    pub header_timeout: Duration,
    /// `HTTP_HEADER_BYTES`, 16 KiB: request line and headers together; more is 431.
    pub header_limit_bytes: usize,
    /// `HTTP_IDLE_TIMEOUT_MS`, 60 s: how long a connection may wait between two requests, and how long a client may
    /// leave an answer unread. Longer than the header time, so that pooled clients are not cut while they rest.
    pub idle_timeout: Duration,
    /// `HTTP_BODY_TIMEOUT_MS`, 5 s: from the start of a request to the end of its body; later is 408. Shorter than the
    /// request time, so that the answer says whose fault it was.
    pub body_timeout: Duration,
    /// `BODY_LIMIT_BYTES`, 64 KiB: more is 413. Of all routes but those that are named as a [`super::LargeBody`].
    pub body_limit_bytes: usize,
    /// `REQUEST_TIMEOUT_MS`, 10 s: from the start of a request to the head of its answer; later is 503. What streams
    /// after the head is not bounded by it.
    pub request_timeout: Duration,
    /// `HTTP_CONNECTIONS_MAX`, 2048: for further ones those that rest or dawdle longest give way, or they wait in the listen
    /// queue of the kernel.
    pub connections_max: usize,
    /// `CORS_ORIGINS`, none: the web pages that may read answers.
    pub cors_origins: CorsOrigins,
    /// `HTTP_TLS_CERT_FILE` and `HTTP_TLS_KEY_FILE`, none: HTTPS is spoken with them, and nothing else.
    pub tls: Option<TlsFiles>,
    /// `SHUTDOWN_GRACE_MS`, 0: how long a process that was told to stop goes on serving, while its readiness says that it
    /// leaves. Longer than balancers need to notice, so that none sends a request to a closed port.
    pub shutdown_grace: Duration,
    /// `DRAIN_TIMEOUT_MS`, 20 s: how long requests in flight may take to finish once the listener is closed. Below
    /// the 30 s after which Kubernetes kills, which has to be raised by the grace.
    pub drain_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            header_limit_bytes: 16 * 1024,
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(5),
            body_limit_bytes: 64 * 1024,
            request_timeout: Duration::from_secs(10),
            connections_max: 2048,
            cors_origins: CorsOrigins::default(),
            tls: None,
            shutdown_grace: Duration::ZERO,
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl HttpLimits {
    /// Reads them.
    pub fn from_settings(settings: &SettingsReader<'_>) -> Self {
        let default = Self::default();
        Self {
            header_timeout: settings.millis("HTTP_HEADER_TIMEOUT_MS", default.header_timeout),
            header_limit_bytes: settings.ranged(
                "HTTP_HEADER_BYTES",
                default.header_limit_bytes,
                1024..=1024 * 1024,
            ),
            idle_timeout: settings.millis("HTTP_IDLE_TIMEOUT_MS", default.idle_timeout),
            body_timeout: settings.millis("HTTP_BODY_TIMEOUT_MS", default.body_timeout),
            body_limit_bytes: settings.ranged(
                "BODY_LIMIT_BYTES",
                default.body_limit_bytes,
                1024..=16 * 1024 * 1024,
            ),
            request_timeout: settings.millis("REQUEST_TIMEOUT_MS", default.request_timeout),
            connections_max: settings.ranged(
                "HTTP_CONNECTIONS_MAX",
                default.connections_max,
                1..=1_000_000,
            ),
            cors_origins: CorsOrigins::from_settings(settings),
            tls: TlsFiles::from_settings(settings),
            shutdown_grace: Duration::from_millis(settings.ranged(
                "SHUTDOWN_GRACE_MS",
                0,
                0..=SHUTDOWN_GRACE_MS_MAX,
            )),
            drain_timeout: settings.millis("DRAIN_TIMEOUT_MS", default.drain_timeout),
        }
    }
}
