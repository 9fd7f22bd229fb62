//! That what docs/operations.md grants is no more than it says: each kind of thing is tried as each user.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
};
use shared::{
    server::{kafka::KafkaSettings, settings::Settings},
    testing::patience,
};

use super::{GROUP, TOPIC, broker::Broker};

const SOON: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// What may be tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Look,
    Write,
    Read,
    /// Be a member of history's group.
    Join,
    JoinAnotherGroup,
    /// It is there already, which is said to those alone who might.
    Make,
    MakeAnother,
    Alter,
    Delete,
}

/// In this order: the last would leave the others nothing.
const ACTS: [Act; 9] = [
    Act::Look,
    Act::Write,
    Act::Read,
    Act::Join,
    Act::JoinAnotherGroup,
    Act::Make,
    Act::MakeAnother,
    Act::Alter,
    Act::Delete,
];

const MAY: [(&str, &[Act]); 3] = [
    ("wallet-service", &[Act::Look, Act::Write, Act::Make]),
    ("history-service", &[Act::Look, Act::Read, Act::Join]),
    ("stranger", &[]),
];

type Done = Result<(), RDKafkaErrorCode>;

/// With nothing in the topic but what the services left there.
pub(super) async fn each_user_may_do_its_own_and_nothing_else() {
    let broker = Broker::get().await;
    for (user, may) in MAY {
        let settings = broker.as_user(user);
        let pairs = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let kafka = Settings::from_pairs(pairs).read(KafkaSettings::from_settings);
        let kafka = kafka.unwrap();
        assert_eq!(kafka.topic, TOPIC);
        for act in ACTS {
            // Who may not look at a topic waits for it: the client library reports nothing.
            if act == Act::Read && !may.contains(&Act::Look) {
                continue;
            }
            let done = tried(&kafka, act).await;
            let is_refused = match done {
                Ok(()) => false,
                Err(
                    RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed,
                ) => true,
                Err(other) => panic!("{user}: {act:?}: {other}"),
            };
            assert_eq!(is_refused, !may.contains(&act), "{user}: {act:?}: {done:?}");
        }
    }
}

async fn tried(kafka: &KafkaSettings, act: Act) -> Done {
    let settings = kafka.clone();
    match act {
        Act::Write => write(kafka).await,
        Act::Make => made(kafka, TOPIC).await,
        Act::MakeAnother => made(kafka, "another").await,
        Act::Alter => alter(kafka).await,
        Act::Delete => {
            let admin = admin(kafka);
            let deleted = admin.delete_topics(&[TOPIC], &AdminOptions::new());
            first(deleted.await.unwrap())
        }
        Act::Look => blocking(move || look(&settings)).await,
        Act::Read => blocking(move || read(&settings)).await,
        Act::Join => blocking(move || join(&settings, GROUP)).await,
        Act::JoinAnotherGroup => blocking(move || join(&settings, "another")).await,
    }
}

async fn blocking(act: impl FnOnce() -> Done + Send + 'static) -> Done {
    tokio::task::spawn_blocking(act).await.unwrap()
}

fn admin(kafka: &KafkaSettings) -> AdminClient<DefaultClientContext> {
    kafka.client_config().create().unwrap()
}

/// The outcome of a question about one thing.
fn first<T>(outcomes: Vec<Result<T, (impl Sized, RDKafkaErrorCode)>>) -> Done {
    let outcome = outcomes.into_iter().next().unwrap();
    outcome.map(drop).map_err(|(_, code)| code)
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap()
}

fn look(kafka: &KafkaSettings) -> Done {
    let admin = admin(kafka);
    let seen = admin.inner().fetch_metadata(Some(TOPIC), SOON).unwrap();
    let topic = seen.topics().first().unwrap();
    topic.error().map_or(Ok(()), |error| Err(error.into()))
}

async fn write(kafka: &KafkaSettings) -> Done {
    let producer: FutureProducer = kafka.client_config().create().unwrap();
    let record = FutureRecord::<(), _>::to(TOPIC).payload("no event");
    let sent = producer.send(record, SOON).await;
    sent.map(drop).map_err(|(error, _)| code(&error))
}

async fn made(kafka: &KafkaSettings, topic: &str) -> Done {
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let made = admin(kafka)
        .create_topics([&topic], &AdminOptions::new())
        .await;
    match first(made.unwrap()) {
        Err(RDKafkaErrorCode::TopicAlreadyExists) => Ok(()),
        made => made,
    }
}

/// What takes the right Alter. The client library says nothing of a refusal to change settings.
async fn alter(kafka: &KafkaSettings) -> Done {
    let more = NewPartitions::new(TOPIC, 2);
    let admin = admin(kafka);
    let altered = admin.create_partitions([&more], &AdminOptions::new());
    first(altered.await.unwrap())
}

/// Reads the partition. That it may not be a member of a group, which it is not, is passed over.
fn read(kafka: &KafkaSettings) -> Done {
    let consumer: BaseConsumer = kafka.consumer_config("no-group").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&list).unwrap();
    polled(|| match consumer.poll(POLL)? {
        Ok(_) => Some(Ok(())),
        Err(error) if code(&error) == RDKafkaErrorCode::GroupAuthorizationFailed => None,
        Err(error) => Some(Err(code(&error))),
    })
}

fn join(kafka: &KafkaSettings, group: &str) -> Done {
    let consumer: BaseConsumer = kafka.consumer_config(group).create().unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    polled(|| match consumer.poll(POLL) {
        Some(Ok(_)) => Some(Ok(())),
        Some(Err(error)) => Some(Err(code(&error))),
        None => {
            let assigned = consumer.assignment();
            let is_member = assigned.is_ok_and(|list| list.count() > 0);
            is_member.then_some(Ok(()))
        }
    })
}

/// Until there is an outcome.
fn polled(look: impl Fn() -> Option<Done>) -> Done {
    let until = Instant::now() + patience(SOON);
    while Instant::now() < until {
        if let Some(done) = look() {
            return done;
        }
    }
    Err(RDKafkaErrorCode::OperationTimedOut)
}
