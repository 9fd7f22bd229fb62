//! HTTPS at the listener: who is served, what a slip with the files does, and that the bounds of connections hold.

use std::{path::PathBuf, time::Duration};

use axum::http::StatusCode;
use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::super::{HttpLimits, Server, tls::TlsFiles};
use crate::{
    server::{
        http_client::{Trusted, bad_certificate, trusting},
        settings::Settings,
    },
    testing::certificates::Certificates,
};

const SOON: Duration = Duration::from_secs(20);

struct Running {
    certificates: Certificates,
    port: u16,
    stop: CancellationToken,
    shown: std::sync::Arc<super::super::tls::Shown>,
    task: JoinHandle<()>,
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("https-{}", uuid::Uuid::now_v7()))
}

/// A server that shows the certificate of this name.
async fn running(name: &str, limits: HttpLimits) -> Running {
    let certificates = Certificates::make(folder());
    for end in ["pem", "key"] {
        let from = certificates.path(&format!("{name}.{end}"));
        std::fs::copy(from, certificates.path(&format!("shown.{end}"))).unwrap();
    }
    let files = TlsFiles::new(
        certificates.path("shown.pem"),
        certificates.path("shown.key"),
    );
    let limits = HttpLimits {
        tls: Some(files),
        ..limits
    };
    let router = axum::Router::new().route("/", axum::routing::get(async || "served"));
    let server = Server::bind(([127, 0, 0, 1], 0).into(), router, limits);
    let server = server.await.unwrap();
    let (port, stop) = (server.local_addr().port(), CancellationToken::new());
    let shown = server.shown().unwrap();
    let task = tokio::spawn(server.run(stop.clone()));
    Running {
        certificates,
        port,
        stop,
        shown,
        task,
    }
}

impl Running {
    async fn get(&self, trusted: &str) -> reqwest::Result<StatusCode> {
        let url: Url = format!("https://localhost:{}/", self.port).parse().unwrap();
        let trusted = Trusted::read(&self.certificates.path(trusted)).unwrap();
        let client = trusting(&[&url], Some(&trusted)).timeout(SOON).build()?;
        let answer = client.get(url).send().await?;
        Ok(answer.status())
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.task)
            .await
            .unwrap()
            .unwrap();
        std::fs::remove_dir_all(self.certificates.folder()).unwrap();
    }
}

#[tokio::test]
async fn only_a_certificate_that_is_trusted_valid_and_of_this_host_is_spoken_to() {
    for (name, trusted, fault) in [
        ("good", "ca.pem", None),
        ("good", "other-ca.pem", Some("signed by none")),
        ("expired", "ca.pem", Some("has expired")),
        ("elsewhere", "ca.pem", Some("for another host")),
    ] {
        let server = running(name, HttpLimits::default()).await;
        let answer = server.get(trusted).await;
        match fault {
            None => assert_eq!(answer.unwrap(), StatusCode::OK),
            Some(fault) => {
                let error = answer.unwrap_err();
                let said = bad_certificate(&error).unwrap_or_default();
                assert!(said.contains(fault), "{name}: {said}: {error:?}");
            }
        }
        server.end().await;
    }
}

#[tokio::test]
async fn a_reload_takes_the_new_certificate_and_a_bad_one_leaves_the_old() {
    let server = running("good", HttpLimits::default()).await;
    server.certificates.make_another("next");
    let put = |certificate: &str, key: &str| {
        for (from, to) in [(certificate, "shown.pem"), (key, "shown.key")] {
            let from = server.certificates.path(from);
            std::fs::copy(from, server.certificates.path(to)).unwrap();
        }
        server.shown.reload();
    };
    for (certificate, key) in [
        ("next.pem", "good.key"),
        ("next.key", "next.key"),
        ("next.pem", "next.pem"),
        ("expired.pem", "expired.key"),
    ] {
        put(certificate, key);
        assert_eq!(
            server.get("ca.pem").await.unwrap(),
            StatusCode::OK,
            "{certificate}"
        );
    }
    put("next.pem", "next.key");
    assert_eq!(server.get("next-ca.pem").await.unwrap(), StatusCode::OK);
    server.get("ca.pem").await.unwrap_err();
    server.end().await;
}

#[tokio::test]
async fn a_connection_that_never_shakes_hands_gives_way_and_is_ended_in_time() {
    let one = HttpLimits {
        connections_max: 1,
        ..HttpLimits::default()
    };
    let server = running("good", one).await;
    let _silent = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    assert_eq!(server.get("ca.pem").await.unwrap(), StatusCode::OK);
    server.end().await;

    let short = HttpLimits {
        header_timeout: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let server = running("good", short).await;
    for begun in [&b""[..], &[22, 3, 1]] {
        let mut silent = TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        silent.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(SOON, silent.read_to_end(&mut rest)).await;
        drop(ended.unwrap());
        assert_eq!(rest, b"");
    }
    server.end().await;
}

#[tokio::test]
async fn who_speaks_plain_http_to_it_is_told_what_to_speak() {
    let server = running("good", HttpLimits::default()).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let answer = crate::server::http_client::plain()
        .get(url)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let said = answer.text().await.unwrap();
    assert!(said.contains("https:"), "{said}");
    server.end().await;
}

#[test]
fn files_that_cannot_be_used_are_refused_by_the_name_of_their_setting() {
    let certificates = Certificates::make(folder());
    let path = |name: &str| certificates.path(name);
    for (certificate, key, names) in [
        (
            path("good.pem"),
            String::new(),
            "HTTP_TLS_KEY_FILE is not set",
        ),
        (
            String::new(),
            path("good.key"),
            "HTTP_TLS_CERT_FILE is not set",
        ),
        (path("none"), path("good.key"), "HTTP_TLS_CERT_FILE=\""),
        (path("good.key"), path("good.key"), "HTTP_TLS_CERT_FILE=\""),
        (path("good.pem"), path("none"), "HTTP_TLS_KEY_FILE=\""),
        (path("good.pem"), path("good.pem"), "HTTP_TLS_KEY_FILE=\""),
        (path("good.pem"), path("elsewhere.key"), "is not the key"),
    ] {
        let settings = Settings::from_pairs([
            ("HTTP_TLS_CERT_FILE", certificate.as_str()),
            ("HTTP_TLS_KEY_FILE", key.as_str()),
        ]);
        let error = settings.read(HttpLimits::from_settings).unwrap_err();
        assert!(error.to_string().contains(names), "{names}: {error}");
    }
    std::fs::remove_dir_all(certificates.folder()).unwrap();
}
