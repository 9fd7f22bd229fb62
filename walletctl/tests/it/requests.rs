//! `docs/requests.http`: every route is in it, every request in it is answered as it says, and every answer is as the
//! OpenAPI document describes it.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Client, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use shared::server::http_client;

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

/// The route a path is of, and its operation.
fn described<'a>(document: &'a Value, method: &str, path: &str) -> (String, &'a Value) {
    let path = path.split('?').next().unwrap();
    let is_of = |route: &str| {
        let (said, asked) = (route.split('/'), path.split('/'));
        said.clone().count() == asked.clone().count()
            && said
                .zip(asked)
                .all(|(said, asked)| said == asked || said.starts_with('{'))
    };
    let paths = document["paths"].as_object().unwrap();
    // A path that is written out goes before one with parameters.
    let mut routes: Vec<_> = paths.iter().filter(|(route, _)| is_of(route)).collect();
    routes.sort_by_key(|(route, _)| route.matches('{').count());
    let (route, methods) = routes
        .first()
        .unwrap_or_else(|| panic!("{path} is no route"));
    (format!("{method} {route}"), &methods[method.to_lowercase()])
}

/// The schemas of a document, where no object may have other members than are described, but for those that say so.
fn closed(document: &Value) -> Value {
    let mut schemas = document["components"]["schemas"].clone();
    for schema in schemas.as_object_mut().unwrap().values_mut() {
        let is_object = schema.get("properties").is_some();
        if is_object && schema.get("additionalProperties").is_none() {
            schema["additionalProperties"] = false.into();
        }
    }
    json!({"schemas": schemas})
}

/// What of a value is not as the schema says.
pub(crate) fn faults(components: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut schema = schema.clone();
    schema["components"] = components.clone();
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors = validator.iter_errors(value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

async fn send(
    client: &Client,
    call: &Call<'_>,
    variables: &BTreeMap<String, Value>,
) -> (u16, String, Value) {
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
    let media_type = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    // A stream has no end.
    let text = if media_type == "text/event-stream" {
        let mut answer = answer;
        let first = answer.chunk().await.unwrap().unwrap();
        String::from_utf8(first.to_vec()).unwrap()
    } else {
        answer.text().await.unwrap()
    };
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, media_type, body)
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
    let documents = [
        ("{{wallet}}", wallet_service::http::document()),
        ("{{history}}", history_service::http::document()),
    ];
    let file = read("docs/requests.http");
    let mut called = BTreeSet::new();
    for call in calls(&file) {
        let (status, media_type, body) = send(&client, &call, &variables).await;
        let title = call.title;
        assert_eq!(status, call.status, "{title}: {body}");
        let (service, document) = documents
            .iter()
            .find(|(service, _)| call.url.starts_with(service))
            .unwrap();
        let path = filled(call.url, &variables);
        let path = path.strip_prefix(
            variables[service.trim_matches(['{', '}'])]
                .as_str()
                .unwrap(),
        );
        let (route, operation) = described(document, call.method, path.unwrap());
        let response = &operation["responses"][status.to_string()]["content"][&media_type];
        assert!(
            response.is_object(),
            "{title}: {route} never answers {status} {media_type}"
        );
        let wrong = faults(&closed(document), &response["schema"], &body);
        assert!(wrong.is_empty(), "{title}: {wrong:#?}");
        if let Some(code) = body["code"].as_str() {
            assert!(
                response["examples"].get(code).is_some(),
                "{title}: {code} is not described"
            );
        }
        called.insert((*service, route));
        if let Some(name) = call.name {
            variables.insert(name.to_owned(), body);
        }
    }
    let of = |service, routes: Vec<shared::server::http::Route>| {
        let routes = routes.into_iter();
        routes.map(move |route| (service, route.to_string()))
    };
    let served: BTreeSet<_> = of("{{wallet}}", wallet_service::http::routes())
        .chain(of("{{history}}", history_service::http::routes()))
        .collect();
    assert_eq!(called, served);
    assert!(wallet.terminate().await.success());
    assert!(history.terminate().await.success());
}
