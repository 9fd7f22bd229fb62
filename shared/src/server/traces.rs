//! Traces for OpenTelemetry: what became of one request, from its first byte to the row in history.
//!
//! Spans are sent by OTLP over HTTP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set. When it is not, all of this is one look at
//! something that is empty. A batch is a span of its own, linked with the requests it was made of and they with it: it
//! belongs to none of them.
//!
//! A collector that is away holds up nothing and is told of in the log. What carries a trace along is its `traceparent`, in
//! the request, the outbox, the message and nowhere else. Spans hold no ids of wallets or users, no amounts and no texts of
//! callers.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use axum::http::Method;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState,
        Tracer as _, TracerProvider,
    },
};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter as Export},
};
use tokio::time::Instant;
use url::Url;

use super::{
    http_client,
    outage::Outage,
    settings::{SettingsReader, service_url},
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";

/// How many requests a batch is linked with at most: the limit of the protocol's own libraries.
const LINKS_MAX: usize = 128;
/// How long the last spans may take to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

static TRACES: OnceLock<Traces> = OnceLock::new();

/// Where spans are told. See the module.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Sends what was told last when it is dropped.
#[derive(Debug)]
#[must_use = "the last spans are sent when this is dropped"]
pub struct Flush(());

/// Where a span stands in its trace, for others to be linked with it or to come under it.
#[derive(Clone, Debug)]
pub struct Place(SpanContext);

/// A span that is over.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub name: &'static str,
    pub kind: Kind,
    pub began: Instant,
    pub ended: Instant,
}

/// What a span is to those around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Within the process.
    Internal,
    /// It hands something to another process by Kafka.
    Producer,
    /// It takes something from there.
    Consumer,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct RequestSpan(Span);

/// The traces, when they are wanted.
pub fn wanted() -> Option<&'static Traces> {
    TRACES.get()
}

/// Where traces are sent, and how many.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceSettings {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: not set, there are no traces.
    endpoint: Option<Url>,
    /// `OTEL_TRACES_SAMPLER_ARG`, 1: the share of traces that are begun here and sent.
    ratio: f64,
}

impl TraceSettings {
    /// Reads them.
    pub fn from_settings(settings: &SettingsReader<'_>) -> Self {
        let endpoint = settings.checked(ENDPOINT, service_url);
        let ratio = settings.checked(RATIO, |text| {
            let ratio = text.parse().ok();
            let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
            ratio.ok_or("allowed is a share, 0 to 1")
        });
        Self {
            endpoint,
            ratio: ratio.unwrap_or(1.0),
        }
    }
}

/// Begins to send traces, when the settings name an endpoint. Once in a process.
///
/// # Errors
/// When there can be no client for it.
pub fn init(settings: &TraceSettings, service: &'static str) -> Result<Flush, ExporterBuildError> {
    if let Some(endpoint) = &settings.endpoint {
        let exporter = Watched::to(endpoint)?;
        let sampler = Sampler::TraceIdRatioBased(settings.ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(Resource::builder().with_service_name(service).build())
            .build();
        let tracer = provider.tracer("wallet-system");
        drop(TRACES.set(Traces { provider, tracer }));
    }
    Ok(Flush(()))
}

impl Drop for Flush {
    fn drop(&mut self) {
        if let Some(traces) = wanted()
            && let Err(error) = traces.provider.shutdown_with_timeout(FLUSH_TIMEOUT)
        {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Sends spans, and says in the log when that begins to fail and when it works again.
#[derive(Debug)]
struct Watched {
    exporter: SpanExporter,
    outage: Outage,
}

impl Watched {
    fn to(endpoint: &Url) -> Result<Self, ExporterBuildError> {
        let endpoint = endpoint.as_str().trim_end_matches('/');
        http_client::install_tls();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?;
        Ok(Self {
            exporter,
            outage: Outage::new("traces cannot be sent, and those of meanwhile are lost"),
        })
    }
}

impl Export for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        match &sent {
            Ok(()) => {
                self.outage.worked();
            }
            Err(error) => self.outage.failed(error),
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl Traces {
    /// Begins the span of a request under the one that its caller tells of.
    pub fn begin_request(&self, method: &Method, route: &str, parent: Option<&str>) -> RequestSpan {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            // A caller may make one up. The conventions' word for it.
            _ => "_OTHER",
        };
        let builder = SpanBuilder::from_name(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", route.to_owned()),
            ]);
        RequestSpan(self.tracer.build_with_context(builder, &under(parent)))
    }

    /// Tells of a step of its own, made of what these `traceparent`s belong to.
    pub fn batch<'a>(&self, step: Step, of: impl IntoIterator<Item = &'a str>) -> Place {
        let links = of.into_iter().filter_map(place).take(LINKS_MAX);
        let links = links.map(Link::with_context).collect();
        self.tell(step, links, &Context::new())
    }

    /// Tells of a step of what a `traceparent` belongs to, linked with the batch it was part of.
    pub fn step(&self, step: Step, of: &str, batch: Option<&Place>) {
        let links = batch.map(|Place(batch)| Link::with_context(batch.clone()));
        self.tell(step, Vec::from_iter(links), &under(Some(of)));
    }

    fn tell(&self, step: Step, links: Vec<Link>, parent: &Context) -> Place {
        let kind = match step.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        };
        let (now, told) = (Instant::now(), SystemTime::now());
        let at = |instant: Instant| told - now.saturating_duration_since(instant);
        let builder = SpanBuilder::from_name(step.name)
            .with_kind(kind)
            .with_start_time(at(step.began))
            .with_links(links);
        let mut span = self.tracer.build_with_context(builder, parent);
        span.end_with_timestamp(at(step.ended));
        Place(span.span_context().clone())
    }
}

impl RequestSpan {
    /// For what is done for the request, here and elsewhere.
    pub fn traceparent(&self) -> String {
        let place = self.0.span_context();
        let (trace, span) = (place.trace_id(), place.span_id());
        format!("00-{trace}-{span}-{:02x}", place.trace_flags().to_u8())
    }

    pub fn answered(mut self, status: u16, code: Option<&'static str>) {
        let status_code = KeyValue::new("http.response.status_code", i64::from(status));
        self.0.set_attribute(status_code);
        if let Some(code) = code {
            self.0.set_attribute(KeyValue::new("error.type", code));
        }
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

fn under(traceparent: Option<&str>) -> Context {
    match traceparent.and_then(place) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    }
}

/// Of a `traceparent` that is one.
fn place(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let flags = TraceFlags::new(flags);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;
    use crate::server::{settings::Settings, telemetry::captured};

    #[test]
    fn without_an_endpoint_there_are_no_traces() {
        let settings = Settings::from_pairs([]);
        let settings = settings.read(TraceSettings::from_settings).unwrap();
        assert_eq!(settings.endpoint, None);
        let _flush = init(&settings, "a-service").unwrap();
        assert!(wanted().is_none());
    }

    #[test]
    fn a_collector_that_refuses_is_a_line_at_its_beginning_and_one_at_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let answers = ["400 Bad Request", "400 Bad Request", "200 OK", "200 OK"];
        let collector = std::thread::spawn(move || {
            for answer in answers {
                let (mut caller, _) = listener.accept().unwrap();
                let mut head = [0; 4096];
                assert!(caller.read(&mut head).unwrap() > 0);
                let answer =
                    format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                caller.write_all(answer.as_bytes()).unwrap();
            }
        });
        let watched = Watched::to(&endpoint.parse().unwrap()).unwrap();
        let (lines, sent) = futures::executor::block_on(captured(async {
            let mut sent = Vec::new();
            for _ in answers {
                sent.push(watched.export(Vec::new()).await.is_ok());
            }
            sent
        }));
        collector.join().unwrap();
        assert_eq!(sent, [false, false, true, true]);
        let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str()).collect();
        assert_eq!(levels, [Some("WARN"), Some("INFO")], "{lines:?}");
        assert!(
            lines[0]["error"].as_str().unwrap().contains("400"),
            "{lines:?}"
        );
        assert_eq!(lines[1]["failures"], 2);
    }

    #[test]
    fn a_traceparent_says_where_a_span_stands() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let place = place(text).unwrap();
        assert_eq!(
            place.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(place.span_id().to_string(), "b7ad6b7169203331");
        assert!(place.is_sampled());
    }
}
