//! HTTP clients: one way to begin one, whatever it speaks.

use std::{sync::Once, time::Duration};

use reqwest::{Client, ClientBuilder, Url};

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
