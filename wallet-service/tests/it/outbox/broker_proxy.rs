//! A proxy before Kafka that keeps the acknowledgements of a producer back, or loses one: the broker has the messages, and
//! the producer does not know.
//!
//! It speaks no more of the protocol than it has to: a request begins with what it asks and a number, an answer with that
//! number.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use shared::{
    server::kafka::KafkaSettings,
    testing::{
        kafka_brokers,
        kafka_message::{name_another_port, next_message},
    },
};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What a produce request begins with.
const PRODUCE: [u8; 2] = [0, 0];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Acknowledgements {
    Pass,
    Wait,
    /// The next is lost with its connection.
    LoseOne,
}

/// See the module. Unencrypted, for tests on loopback.
pub(super) struct BrokerProxy {
    address: SocketAddr,
    state: Arc<watch::Sender<Acknowledgements>>,
}

impl BrokerProxy {
    pub(super) async fn start() -> Self {
        let upstream: SocketAddr = kafka_brokers().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(Acknowledgements::Pass));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(upstream).await.unwrap();
                let ports = (upstream.port(), address.port());
                tokio::spawn(serve(client, server, ports, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// These settings, by way of the proxy.
    pub(super) fn before(&self, kafka: &KafkaSettings) -> KafkaSettings {
        KafkaSettings {
            brokers: self.address.to_string(),
            ..kafka.clone()
        }
    }

    pub(super) fn keep_acknowledgements(&self) {
        self.state.send_replace(Acknowledgements::Wait);
    }

    pub(super) fn pass_acknowledgements(&self) {
        self.state.send_replace(Acknowledgements::Pass);
    }

    pub(super) fn lose_one_acknowledgement(&self) {
        self.state.send_replace(Acknowledgements::LoseOne);
    }

    /// Whether the one to be lost was lost: a fault that never bit proves nothing.
    pub(super) fn has_lost_one(&self) -> bool {
        *self.state.borrow() == Acknowledgements::Pass
    }
}

async fn serve(
    client: TcpStream,
    server: TcpStream,
    ports: (u16, u16),
    state: Arc<watch::Sender<Acknowledgements>>,
) {
    let produced = Arc::new(Mutex::new(HashSet::new()));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either side ending ends the connection.
    tokio::select! {
        () = requests(from_client, to_server, Arc::clone(&produced)) => {}
        () = answers(from_server, to_client, ports, produced, state) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    produced: Arc<Mutex<HashSet<[u8; 4]>>>,
) {
    while let Some(message) = next_message(&mut from).await {
        if message[4..6] == PRODUCE {
            let number = message[8..12].try_into().unwrap();
            produced.lock().unwrap().insert(number);
        }
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (port, own_port): (u16, u16),
    produced: Arc<Mutex<HashSet<[u8; 4]>>>,
    state: Arc<watch::Sender<Acknowledgements>>,
) {
    let mut changes = state.subscribe();
    while let Some(mut message) = next_message(&mut from).await {
        let number: [u8; 4] = message[4..8].try_into().unwrap();
        let is_acknowledgement = produced.lock().unwrap().remove(&number);
        if is_acknowledgement {
            let is_lost = state.send_if_modified(|state| {
                let loses = *state == Acknowledgements::LoseOne;
                if loses {
                    *state = Acknowledgements::Pass;
                }
                loses
            });
            if is_lost {
                return;
            }
            let passes = |state: &Acknowledgements| *state == Acknowledgements::Pass;
            if changes.wait_for(passes).await.is_err() {
                return;
            }
        }
        name_another_port(&mut message, port, own_port);
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}
