//! Why no broker answers, when that is because this process is not let in. The client library says so only to a client that
//! is polled, which one for questions is not; and of a certificate it says that it is not taken, and not what is wrong with
//! it. So when no answer came, one more client listens, and a certificate is looked at closer. It changes nothing.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, Producer, ProducerContext},
    types::RDKafkaErrorCode,
};
use reqwest::Url;

use super::{
    KafkaSettings, Quiet,
    refusal::{
        CERTIFICATE, CERTIFICATE_EXPIRED, CERTIFICATE_NOT_TRUSTED, CERTIFICATE_NOT_YET,
        CERTIFICATE_OF_ANOTHER_HOST, CLOSED_AT_ONCE, OWN_CERTIFICATE, OWN_CERTIFICATE_EXPIRED,
        OWN_CERTIFICATE_MISSING, Refusal,
    },
};
use crate::server::{
    http::certificate_end,
    http_client::{self, CertificateFault, Trusted},
};

/// A broker that does not let this process in says so at once, and so does a machine where none listens.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// See the module.
pub(super) async fn not_let_in(settings: &KafkaSettings) -> Option<Refusal> {
    let asked = settings.clone();
    let heard = tokio::task::spawn_blocking(move || heard(&asked));
    match heard.await.ok().flatten()? {
        CERTIFICATE => Some(fault_of_theirs(settings).await.unwrap_or(CERTIFICATE)),
        OWN_CERTIFICATE => Some(fault_of_ours(settings)),
        refusal => Some(refusal),
    }
}

/// Hears what a client is told.
#[derive(Default)]
struct Listening {
    quiet: Quiet,
    /// Each broker was tried, and none is left.
    all_tried: AtomicBool,
    /// A connection was closed before the broker had said anything.
    is_closed_at_once: AtomicBool,
}

impl ClientContext for Listening {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if message.contains("closed by peer") && message.contains("in state APIVERSION_QUERY") {
            self.is_closed_at_once.store(true, Ordering::Relaxed);
        }
        self.quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.all_tried.store(true, Ordering::Relaxed);
        }
        self.quiet.error(error, reason);
    }
}

impl ProducerContext for Listening {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

fn heard(settings: &KafkaSettings) -> Option<Refusal> {
    let mut config = settings.client_config();
    config.set_log_level(RDKafkaLogLevel::Info);
    let client: BaseProducer<Listening> = config.create_with_context(Listening::default()).ok()?;
    let listening = client.context();
    let until = Instant::now() + HEARD_WITHIN;
    // It connects when it is asked something.
    while client.client().fetch_metadata(None, POLL).is_err() && Instant::now() < until {
        client.poll(POLL);
        let refusal = listening.quiet.refusal();
        if refusal.is_some() || listening.all_tried.load(Ordering::Relaxed) {
            let is_closed = listening.is_closed_at_once.load(Ordering::Relaxed);
            return refusal.or(is_closed.then_some(CLOSED_AT_ONCE));
        }
    }
    None
}

/// Shakes hands with each broker once more, with a library that says what is wrong.
async fn fault_of_theirs(settings: &KafkaSettings) -> Option<Refusal> {
    let trusted = match &settings.security.ca_location {
        Some(path) => Some(Trusted::read(path).ok()?),
        None => None,
    };
    for broker in settings.brokers.split(',') {
        let url: Url = format!("https://{broker}/").parse().ok()?;
        let client = http_client::trusting(&[&url], trusted.as_ref()).timeout(HEARD_WITHIN);
        let asked = client.build().ok()?.head(url).send().await;
        // No broker speaks HTTP: what is asked for is the handshake.
        let fault = asked
            .err()
            .as_ref()
            .and_then(|error| http_client::certificate_fault(error));
        match fault {
            None | Some(CertificateFault::Unusable) => {}
            Some(CertificateFault::Expired) => return Some(CERTIFICATE_EXPIRED),
            Some(CertificateFault::NotYetValid) => return Some(CERTIFICATE_NOT_YET),
            Some(CertificateFault::OfAnotherHost) => return Some(CERTIFICATE_OF_ANOTHER_HOST),
            Some(CertificateFault::NotTrusted) => return Some(CERTIFICATE_NOT_TRUSTED),
        }
    }
    None
}

fn fault_of_ours(settings: &KafkaSettings) -> Refusal {
    let Some(own) = &settings.security.certificate else {
        return OWN_CERTIFICATE_MISSING;
    };
    match certificate_end(Path::new(&own.certificate)) {
        Some(end) if end <= SystemTime::now() => OWN_CERTIFICATE_EXPIRED,
        Some(_) | None => OWN_CERTIFICATE,
    }
}
