//! HTTPS: the certificate that callers are shown. It is read again on SIGHUP; one that cannot be used leaves the one before
//! in its place, so that no callers are sent away by a slip.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_cert::{Certificate, der::Decode};

use crate::server::{health::Probe, settings::SettingsReader};

const CERT_FILE: &str = "HTTP_TLS_CERT_FILE";
const KEY_FILE: &str = "HTTP_TLS_KEY_FILE";
/// The first byte of a handshake.
const HANDSHAKE: u8 = 22;
/// One record of TLS, which is the most that is encrypted at a time.
const BUFFER_BYTES: usize = 16 * 1024;
/// What is said to a caller who speaks plain HTTP here: an error of TLS would be no answer to it.
const SPEAK_HTTPS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 50\r\n\r\nThis port speaks HTTPS: begin the URL with https:\n";
/// Who renews certificates does it well before.
const TOLD_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Between two looks at when it ends.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// `HTTP_TLS_CERT_FILE`, the certificate and those that it was signed by, and `HTTP_TLS_KEY_FILE`, its private key; both in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error("{CERT_FILE}={path:?} cannot be used: {reason}")]
    Certificate { path: PathBuf, reason: String },
    #[error("{KEY_FILE}={path:?} cannot be used: {reason}")]
    Key { path: PathBuf, reason: String },
}

impl TlsFiles {
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        Self { certificate, key }
    }

    /// Nothing when neither is set, and HTTP is spoken.
    pub(super) fn from_settings(settings: &SettingsReader<'_>) -> Option<Self> {
        let is_set = [CERT_FILE, KEY_FILE].map(|name| settings.optional(name).is_some());
        match is_set {
            [true, false] => drop(settings.required(KEY_FILE)),
            [false, true] => drop(settings.required(CERT_FILE)),
            [true, true] | [false, false] => {}
        }
        let path = |text: &str| PathBuf::from(text);
        let certificate =
            settings.checked(CERT_FILE, |text| chain(&path(text)).map(|_| path(text)));
        let key = settings.checked(KEY_FILE, |text| private(&path(text)).map(|_| path(text)));
        let files = Self::new(certificate?, key?);
        if let Err(TlsError::Certificate { reason, .. } | TlsError::Key { reason, .. }) =
            files.load()
        {
            settings.checked(KEY_FILE, |_| Err::<(), _>(reason));
        }
        Some(files)
    }

    fn load(&self) -> Result<Loaded, TlsError> {
        let Self { certificate, key } = self;
        let of_certificate = |reason| TlsError::Certificate {
            path: certificate.clone(),
            reason,
        };
        let of_key = |reason| TlsError::Key {
            path: key.clone(),
            reason,
        };
        let (chain, ends) = chain(certificate).map_err(of_certificate)?;
        let private = private(key).map_err(of_key)?;
        let certified =
            CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| {
                if matches!(error, rustls::Error::InconsistentKeys(_)) {
                    of_key("it is not the key of the certificate".to_owned())
                } else {
                    of_key(error.to_string())
                }
            })?;
        Ok(Loaded {
            certified: Arc::new(certified),
            ends,
        })
    }
}

/// A certificate with those that it was signed by, and when it ends.
fn chain(path: &Path) -> Result<(Vec<CertificateDer<'static>>, SystemTime), String> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| error.to_string())?;
    let first = chain.first();
    let first = first.ok_or("there is no certificate in it, in PEM form")?;
    let read = Certificate::from_der(first).map_err(|error| error.to_string())?;
    let ends = read.tbs_certificate().validity().not_after;
    Ok((chain, SystemTime::UNIX_EPOCH + ends.to_unix_duration()))
}

/// When the certificate of a file ends, if there is one in it.
pub(in crate::server) fn end_of(path: &Path) -> Option<SystemTime> {
    chain(path).ok().map(|(_, ends)| ends)
}

fn private(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| error.to_string())
}

struct Loaded {
    certified: Arc<CertifiedKey>,
    ends: SystemTime,
}

/// The certificate in use.
pub(super) struct Shown {
    files: TlsFiles,
    loaded: RwLock<Loaded>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shown").field(&self.files).finish()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&loaded.certified))
    }
}

impl Shown {
    fn ends(&self) -> SystemTime {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.ends
    }

    /// Reads the files again. What cannot be used changes nothing, and neither does a certificate that is over.
    pub(super) fn reload(&self) {
        let loaded = match self.files.load() {
            Ok(loaded) if loaded.ends <= SystemTime::now() && self.ends() > loaded.ends => {
                tracing::error!("{CERT_FILE} has ended: the certificate of before stays in use");
                return;
            }
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!("{error}; the certificate of before stays in use");
                return;
            }
        };
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        tracing::info!("the certificate of {CERT_FILE} was read again and is in use");
    }

    fn tell(&self, probe: &Probe) {
        let left = self.ends().duration_since(SystemTime::now());
        match left {
            Err(_) => probe.degraded(format!(
                "the certificate has ended: put a new one into {CERT_FILE} and send SIGHUP"
            )),
            Ok(left) if left < TOLD_BEFORE => probe.degraded(format!(
                "the certificate ends within {} days: put a new one into {CERT_FILE} and send SIGHUP",
                left.as_secs() / (24 * 60 * 60) + 1
            )),
            Ok(_) => probe.ok(),
        }
    }
}

/// What makes a connection encrypted.
pub(super) struct Tls {
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
    hangup: Signal,
}

impl Tls {
    /// From here on SIGHUP does not end the process any more.
    pub(super) fn new(files: &TlsFiles) -> io::Result<Self> {
        let loaded = files.load().map_err(io::Error::other)?;
        let shown = Arc::new(Shown {
            files: files.clone(),
            loaded: RwLock::new(loaded),
        });
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            shown,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    #[cfg(test)]
    pub(super) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// Reads the certificate again at each SIGHUP, and tells when it ends. Never done.
    pub(super) async fn keep(mut self, probe: Option<Probe>) {
        loop {
            if let Some(probe) = &probe {
                self.shown.tell(probe);
            }
            if let Ok(Some(())) = timeout(LOOK_EVERY, self.hangup.recv()).await {
                self.shown.reload();
            }
        }
    }
}

/// The handshake, which has to be over in time.
pub(super) async fn handshake(
    acceptor: &TlsAcceptor,
    mut stream: TcpStream,
    within: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    let shaking = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            stream.write_all(SPEAK_HTTPS).await?;
            stream.shutdown().await?;
            return Err(io::Error::other("the caller does not speak TLS"));
        }
        acceptor
            .accept_with(stream, |connection| {
                // What is encrypted before it is sent: a reader that stops keeps so much of each connection.
                connection.set_buffer_limit(Some(BUFFER_BYTES));
            })
            .await
    };
    match timeout(within, shaking).await {
        Ok(shaken) => shaken,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the TLS handshake was not over in time",
        )),
    }
}
