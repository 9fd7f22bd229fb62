//! All commands at once: several callers on the same wallets, through two instances, of which one is killed meanwhile.
//! Each answer is one that a caller can act on, and in the end both services' books are proved.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use shared::{server::http_client, testing::eventually};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use super::system::{DEADLINE, System};

const CALLERS: usize = 8;
const COMMANDS_EACH: usize = 150;
const WALLETS: usize = 6;

/// Every command, as often as it stands here. What ends a wallet is rare.
const COMMANDS: [&str; 31] = [
    "fund",
    "fund",
    "fund",
    "fund",
    "withdraw",
    "withdraw",
    "transfer",
    "transfer",
    "transfer",
    "hold",
    "hold",
    "hold",
    "capture",
    "capture",
    "release",
    "increase",
    "extend",
    "freeze",
    "unfreeze",
    "unfreeze",
    "update",
    "main wallet",
    "batch",
    "limits",
    "limits",
    "legs",
    "legs",
    "reverse",
    "reverse",
    "reverse",
    "close",
];

/// Method, path and body.
type Request = (Method, String, Value);

fn post(path: String, body: Value) -> Request {
    (Method::POST, path, body)
}

/// What the callers have heard of, and ask for.
#[derive(Default)]
struct Known {
    wallets: Vec<String>,
    /// Wallets that hold nothing, and that nothing but their end is asked of.
    spare: Vec<String>,
    holds: Vec<String>,
    transactions: Vec<String>,
    /// How often each command was accepted, and refused.
    answers: BTreeMap<(&'static str, u16), usize>,
}

struct Caller {
    random: fastrand::Rng,
    client: Client,
    instances: [String; 2],
    known: Arc<Mutex<Known>>,
}

impl Caller {
    fn amount(&mut self) -> String {
        let minor = self.random.i64(1..=3_000);
        format!("{}.{:02}", minor / 100, minor % 100)
    }

    fn wallet(&mut self) -> String {
        let known = self.known.lock().unwrap();
        known.wallets[self.random.usize(..known.wallets.len())].clone()
    }

    fn spare(&mut self) -> String {
        let known = self.known.lock().unwrap();
        known.spare[self.random.usize(..known.spare.len())].clone()
    }

    fn another(&mut self, than: &str) -> String {
        let wallets = self.known.lock().unwrap().wallets.clone();
        let others: Vec<_> = wallets.iter().filter(|id| *id != than).collect();
        others[self.random.usize(..others.len())].clone()
    }

    /// One that was placed lately, if any was.
    fn hold(&mut self) -> Option<String> {
        let known = self.known.lock().unwrap();
        let latest = known.holds.iter().rev().take(20).collect::<Vec<_>>();
        let place = self.random.usize(..latest.len().max(1));
        latest.get(place).map(|hold| (*hold).clone())
    }

    /// One that was carried out lately, if any was.
    fn transaction(&mut self) -> Option<String> {
        let known = self.known.lock().unwrap();
        let latest = known.transactions.iter().rev().take(20).collect::<Vec<_>>();
        let place = self.random.usize(..latest.len().max(1));
        latest.get(place).map(|transaction| (*transaction).clone())
    }

    /// Some that are met now and then, or none.
    fn limits(&mut self) -> Value {
        if self.random.bool() {
            return json!({});
        }
        let window = json!({"of": "debits", "period": "day", "time_zone": "Europe/Berlin",
                            "maximum": self.amount(), "maximum_count": 20});
        json!({"floor": "-20.00", "ceiling": "900.00", "windows": [window]})
    }

    /// The request of a command.
    fn request(&mut self, command: &'static str) -> Request {
        match command {
            "capture" | "release" | "increase" | "extend" => self.request_of_hold(command),
            "freeze" | "unfreeze" | "close" | "update" | "limits" | "main wallet" => {
                self.request_of_wallet(command)
            }
            _ => self.request_of_money(command),
        }
    }

    fn request_of_money(&mut self, command: &'static str) -> Request {
        let (id, amount) = (self.wallet(), self.amount());
        match command {
            "fund" | "withdraw" => post(
                format!("/wallets/{id}/{command}"),
                json!({"amount": amount}),
            ),
            "transfer" => {
                let body = json!({"amount": amount, "to_wallet_id": self.another(&id)});
                post(format!("/wallets/{id}/transfer"), body)
            }
            "hold" => {
                let mut body = json!({"amount": amount, "expires_in": self.random.u32(1..600)});
                if self.random.bool() {
                    body["to_wallet_id"] = json!(self.another(&id));
                }
                post(format!("/wallets/{id}/holds"), body)
            }
            "legs" => {
                let body = json!({"legs": [
                    {"wallet_id": id, "amount": format!("-{amount}")},
                    {"wallet_id": self.another(&id), "amount": amount},
                ]});
                post("/transactions".to_owned(), body)
            }
            "reverse" => {
                let Some(transaction) = self.transaction() else {
                    return self.request("transfer");
                };
                let mut body = json!({"reason": "a mistake"});
                if self.random.bool() {
                    body["amount"] = json!(amount);
                }
                post(format!("/transactions/{transaction}/reverse"), body)
            }
            "batch" => {
                let (from, to) = (id.clone(), self.another(&id));
                // The keys are the commands' own.
                let [one, two, three] = [(); 3].map(|()| Uuid::now_v7().to_string());
                let body = json!({"commands": [
                    {"kind": "fund", "wallet_id": from, "amount": amount, "idempotency_key": one},
                    {"kind": "transfer", "wallet_id": from, "to_wallet_id": to, "amount": amount,
                     "idempotency_key": two},
                    {"kind": "place_hold", "wallet_id": to, "amount": amount, "idempotency_key": three},
                ]});
                post("/transactions/batch".to_owned(), body)
            }
            unknown => panic!("no command is called {unknown}"),
        }
    }

    fn request_of_wallet(&mut self, command: &'static str) -> Request {
        let id = self.wallet();
        match command {
            "freeze" => {
                let direction = ["debit", "credit", "all"][self.random.usize(..3)];
                let body = json!({"reason": "a look", "direction": direction});
                post(format!("/wallets/{id}/freeze"), body)
            }
            "unfreeze" => post(format!("/wallets/{id}/unfreeze"), json!({"reason": "done"})),
            // A wallet in use is seldom free of holds and of a floor.
            "close" if self.random.bool() => {
                let spare = self.spare();
                post(format!("/wallets/{spare}/close"), json!({"reason": "left"}))
            }
            "close" => {
                let body = json!({"reason": "left", "drain_to": self.another(&id)});
                post(format!("/wallets/{id}/close"), body)
            }
            "update" => {
                let text = self.amount();
                let body = json!({"label": text, "metadata": {"n": text}});
                (Method::PATCH, format!("/wallets/{id}"), body)
            }
            "limits" => {
                let path = format!("/wallets/{id}/limits");
                (Method::PUT, path, self.limits())
            }
            _ => {
                let path = format!("/users/user-{}/wallets/USD", self.random.u8(..4));
                (Method::PUT, path, json!({}))
            }
        }
    }

    fn request_of_hold(&mut self, command: &'static str) -> Request {
        let Some(hold) = self.hold() else {
            return self.request("hold");
        };
        let body = match command {
            "capture" => json!({"amount": self.amount(), "final": self.random.bool()}),
            "extend" => json!({"expires_in": self.random.u32(600..1_200)}),
            _ => json!({"amount": self.amount()}),
        };
        post(format!("/holds/{hold}/{command}"), body)
    }

    /// Asks one instance or the other, under one key, until the answer is definite.
    async fn answered(&mut self, (method, path, body): Request) -> (u16, Value) {
        let key = Uuid::now_v7().to_string();
        let until = Instant::now() + DEADLINE;
        loop {
            let instance = &self.instances[self.random.usize(..2)];
            let call = self
                .client
                .request(method.clone(), format!("{instance}{path}"));
            let call = match path.as_str() {
                "/transactions/batch" => call.json(&body),
                _ => call.header("idempotency-key", &key).json(&body),
            };
            if let Ok(answer) = call.send().await
                && answer.status().as_u16() != 503
                && let status = answer.status().as_u16()
                && let Ok(body) = answer.json::<Value>().await
                && body["code"] != "idempotency_in_progress"
            {
                return (status, body);
            }
            assert!(Instant::now() < until, "{method} {path} was never answered");
            tokio::task::yield_now().await;
        }
    }

    async fn work(mut self) {
        for _ in 0..COMMANDS_EACH {
            let command = COMMANDS[self.random.usize(..COMMANDS.len())];
            let request = self.request(command);
            let asked = format!("{} {} {}", request.0, request.1, request.2);
            let (status, body) = self.answered(request).await;
            // Another caller may have extended it for longer meanwhile.
            let is_late = status == 400 && command == "extend";
            assert!(
                is_late || matches!(status, 200 | 201 | 409 | 422),
                "{asked}: {status} {body}"
            );
            let mut known = self.known.lock().unwrap();
            *known.answers.entry((command, status)).or_default() += 1;
            if let Some(hold) = body["hold"]["id"].as_str().filter(|_| status == 201) {
                known.holds.push(hold.to_owned());
            }
            if let Some(transaction) = body["transaction"]["id"].as_str() {
                known.transactions.push(transaction.to_owned());
            }
        }
    }
}

/// A new wallet.
async fn made(caller: &mut Caller, user: usize) -> String {
    let body = json!({"user_id": format!("user-{}", user % 4)});
    let made = caller.answered((Method::POST, "/wallets".to_owned(), body));
    made.await.1["id"].as_str().unwrap().to_owned()
}

/// The same, with some money.
async fn funded(caller: &mut Caller, user: usize) -> String {
    let id = made(caller, user).await;
    let path = format!("/wallets/{id}/fund");
    let body = json!({"amount": "500.00"});
    assert_eq!(caller.answered((Method::POST, path, body)).await.0, 201);
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn all_commands_at_once_through_two_instances_of_which_one_is_killed_prove_in_the_end() {
    let system = System::start().await;
    let [mut one, mut other] = [(); 2].map(|()| system.service("wallet-service"));
    let mut history = system.service("history-service");
    for service in [&mut one, &mut other, &mut history] {
        service.start().await;
    }
    let known = Arc::new(Mutex::new(Known::default()));
    let caller = |seed: usize| Caller {
        random: fastrand::Rng::with_seed(seed as u64),
        client: http_client::builder(&[])
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap(),
        instances: [one.url(), other.url()],
        known: Arc::clone(&known),
    };
    let mut maker = caller(CALLERS);
    for number in 0..WALLETS {
        let (id, spare) = (
            funded(&mut maker, number).await,
            made(&mut maker, number).await,
        );
        let mut known = known.lock().unwrap();
        known.wallets.push(id);
        known.spare.push(spare);
    }
    let mut callers = JoinSet::new();
    for seed in 0..CALLERS {
        callers.spawn(caller(seed).work());
    }
    let total = CALLERS * COMMANDS_EACH;
    let answered = || known.lock().unwrap().answers.values().sum::<usize>();
    eventually("half of it is done", DEADLINE, async || {
        while let Some(ended) = callers.try_join_next() {
            ended.unwrap();
        }
        (answered() * 2 > total || callers.is_empty()).then_some(())
    })
    .await;
    other.kill().await;
    other.start().await;
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let answers = known.lock().unwrap().answers.clone();
    for command in COMMANDS {
        let accepted = answers
            .iter()
            .filter(|((of, status), _)| *of == command && *status < 300);
        assert!(
            accepted.count() > 0,
            "{command} was never accepted: {answers:?}"
        );
    }
    system.verify().await;
}
