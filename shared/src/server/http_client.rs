//! HTTP clients: one way to begin one, whatever it speaks.

use std::{error::Error, fs, sync::Once, time::Duration};

use reqwest::{Certificate, Client, ClientBuilder, Url};

/// A host that does not take the connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The beginning of a client for these places. TLS trusts what the system trusts; a client of plain HTTP does not read
/// that.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where clients begin"
)]
pub fn builder(places: &[&Url]) -> ClientBuilder {
    install_tls();
    let builder = Client::builder().connect_timeout(CONNECT_TIMEOUT);
    if places.iter().any(|place| place.scheme() == "https") {
        return builder;
    }
    // No certificate is good: nothing here speaks TLS.
    builder.tls_certs_only([])
}

/// Certificates that are trusted instead of the system's.
#[derive(Clone, Debug)]
pub struct Trusted(Vec<Certificate>);

impl Trusted {
    /// Reads a file of them, in PEM.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn read(path: &str) -> Result<Self, String> {
        const ALLOWED: &str = "allowed is a file of certificates in PEM form";
        let content =
            fs::read(path).map_err(|error| format!("it cannot be read ({error}); {ALLOWED}"))?;
        match Certificate::from_pem_bundle(&content) {
            Ok(certificates) if certificates.is_empty() => {
                Err(format!("there is no certificate in it; {ALLOWED}"))
            }
            Ok(certificates) => Ok(Self(certificates)),
            Err(_) => Err(format!("a certificate in it cannot be read; {ALLOWED}")),
        }
    }
}

/// As [`builder`], with certificates to trust instead of the system's, if there are any.
pub fn trusting(places: &[&Url], trusted: Option<&Trusted>) -> ClientBuilder {
    match trusted {
        Some(Trusted(certificates)) => builder(places).tls_certs_only(certificates.iter().cloned()),
        None => builder(places),
    }
}

/// What is wrong with the certificate of the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CertificateFault {
    Expired,
    NotYetValid,
    OfAnotherHost,
    NotTrusted,
    Unusable,
}

/// What is wrong with the certificate of the other side, in words, when that is why no answer came.
pub fn bad_certificate(error: &(dyn Error + 'static)) -> Option<&'static str> {
    Some(match certificate_fault(error)? {
        CertificateFault::Expired => "its certificate has expired",
        CertificateFault::NotYetValid => "its certificate is not valid yet",
        CertificateFault::OfAnotherHost => {
            "its certificate is for another host than the one in the URL"
        }
        CertificateFault::NotTrusted => "its certificate was signed by none that is trusted here",
        CertificateFault::Unusable => "its certificate cannot be used",
    })
}

/// As [`bad_certificate`], for words of one's own.
pub(super) fn certificate_fault(error: &(dyn Error + 'static)) -> Option<CertificateFault> {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(fault)) =
            error.downcast_ref::<rustls::Error>().or(inner)
        {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the others are one to whoever has to mend it"
            )]
            return Some(match fault {
                Expired | ExpiredContext { .. } => CertificateFault::Expired,
                NotValidYet | NotValidYetContext { .. } => CertificateFault::NotYetValid,
                NotValidForName | NotValidForNameContext { .. } => CertificateFault::OfAnotherHost,
                UnknownIssuer | BadSignature => CertificateFault::NotTrusted,
                _ => CertificateFault::Unusable,
            });
        }
        let below = error.downcast_ref::<std::io::Error>();
        next = match below.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// A client of plain HTTP that is as they are by default.
///
/// # Panics
/// When the machine has no resources for a client.
#[expect(clippy::expect_used, reason = "for tests and measurements")]
pub fn plain() -> Client {
    builder(&[]).build().expect("resources for a client")
}

/// Has TLS use `ring`, as the connections to Postgres do. For a client that is begun elsewhere.
pub(super) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // One that another part of the process installed before is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}
