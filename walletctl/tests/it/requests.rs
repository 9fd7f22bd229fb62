//! `docs/requests.http`: every route is in it, and every request in it is answered as it says.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Client, Method};
use serde_json::Value;
use shared::server::{http::Route, http_client};

use crate::{docs::read, e2e::system::System};

/// One request of the file.
struct Call<'a> {
    title: &'a str,
    status: u16,
    /// Under which later requests refer to its answer.
    name: Option<&'a str>,
    method: &'a str,
    url: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: String,
}

impl<'a> Call<'a> {
    fn of(section: &'a str) -> Self {
        let mut lines = section.lines();
        let (title, status) = lines.next().unwrap().rsplit_once(": ").unwrap();
        let mut name = None;
        let request = loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("{title}: no request"));
            match line.strip_prefix("# @name ") {
                Some(said) => name = Some(said),
                None => break line,
            }
        };
        let (method, url) = request.split_once(' ').unwrap();
        let mut headers = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            headers.push(line.split_once(": ").unwrap());
        }
        Self {
            title,
            status: status.parse().unwrap(),
            name,
            method,
            url,
            headers,
            body: lines.collect::<Vec<_>>().join("\n").trim().to_owned(),
        }
    }
}

fn calls(file: &str) -> Vec<Call<'_>> {
    file.split("\n### ").skip(1).map(Call::of).collect()
}

/// A text with every `{{name}}` replaced; `{{name.response.body.a.b}}` is of an answer from before.
fn filled(text: &str, variables: &BTreeMap<String, Value>) -> String {
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap();
        let (name, path) = name.split_once(".response.body.").unwrap_or((name, ""));
        let pointer = if path.is_empty() {
            String::new()
        } else {
            format!("/{}", path.replace('.', "/"))
        };
        match variables[name].pointer(&pointer) {
            Some(Value::String(text)) => filled.push_str(text),
            Some(other) => filled.push_str(&other.to_string()),
            None => panic!("{name} has no {path}"),
        }
        filled.push_str(rest);
    }
    filled
}

/// The route a path is of: one that is written out goes before one with parameters.
fn route_of(routes: &[Route], method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let is_of = |route: &&Route| {
        let (said, asked) = (route.path.split('/'), path.split('/'));
        route.method == method
            && said.clone().count() == asked.clone().count()
            && said
                .zip(asked)
                .all(|(said, asked)| said == asked || said.starts_with('{'))
    };
    let of = routes.iter().filter(is_of);
    let route = of.min_by_key(|route| route.path.matches('{').count());
    route
        .unwrap_or_else(|| panic!("{path} is no route"))
        .to_string()
}

async fn send(
    client: &Client,
    call: &Call<'_>,
    variables: &BTreeMap<String, Value>,
) -> (u16, Value) {
    let method = Method::from_bytes(call.method.as_bytes()).unwrap();
    let mut request = client.request(method, filled(call.url, variables));
    for (name, value) in &call.headers {
        request = request.header(*name, filled(value, variables));
    }
    if !call.body.is_empty() {
        request = request.body(filled(&call.body, variables));
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_file_is_answered_as_it_says_and_every_route_is_in_it() {
    let system = System::start().await;
    let mut wallet = system.service("wallet-service");
    wallet.start().await;
    let mut history = system
        .service("history-service")
        .with("LEDGER_URL", wallet.url());
    history.start().await;
    let client = http_client::builder(&[]).build().unwrap();
    let mut variables = BTreeMap::from([
        ("wallet".to_owned(), Value::String(wallet.url())),
        ("history".to_owned(), Value::String(history.url())),
    ]);
    let services = [
        ("{{wallet}}", wallet_service::http::routes()),
        ("{{history}}", history_service::http::routes()),
    ];
    let file = read("docs/requests.http");
    let mut called = BTreeSet::new();
    for call in calls(&file) {
        let (status, body) = send(&client, &call, &variables).await;
        assert_eq!(status, call.status, "{}: {body}", call.title);
        let (service, path, routes) = services
            .iter()
            .find_map(|(service, routes)| Some((*service, call.url.strip_prefix(service)?, routes)))
            .unwrap();
        let path = filled(path, &variables);
        called.insert((service, route_of(routes, call.method, &path)));
        if let Some(name) = call.name {
            variables.insert(name.to_owned(), body);
        }
    }
    let served: BTreeSet<_> = services
        .iter()
        .flat_map(|(service, routes)| routes.iter().map(|route| (*service, route.to_string())))
        .collect();
    assert_eq!(called, served);
    assert!(wallet.terminate().await.success());
    assert!(history.terminate().await.success());
}
