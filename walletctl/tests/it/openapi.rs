//! The OpenAPI documents say what the services do: every route, every code, every scope, in a form that clients can be
//! generated from. What they say is in `docs/openapi`, so that a change of the API is seen as one.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use serde_json::{Value, json};
use shared::server::{auth::Access, http::Route};
use strum::IntoEnumIterator;

use crate::{
    docs::{error_rows, named_codes, read, root, rows, section},
    requests::faults,
};

/// Name, routes and document of each service.
fn services() -> [(&'static str, Vec<Route>, Value); 2] {
    [
        (
            "wallet",
            wallet_service::http::routes(),
            wallet_service::http::document(),
        ),
        (
            "history",
            history_service::http::routes(),
            history_service::http::document(),
        ),
    ]
}

/// Every operation, by `GET /wallets/{id}`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods)| {
        let methods: &Value = methods;
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    };
    paths.iter().flat_map(of_path).collect()
}

/// Every value of an object and of what is in it, with the name it stands under.
pub(crate) fn walk<'a>(value: &'a Value, see: &mut impl FnMut(&str, &'a Value)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                see(name, member);
                walk(member, see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The codes an operation says it refuses with.
fn codes(operation: &Value) -> BTreeSet<String> {
    let responses = operation["responses"].as_object().unwrap().values();
    responses
        .filter_map(|response| {
            response["content"]["application/problem+json"]["examples"].as_object()
        })
        .flat_map(|examples| examples.keys().cloned())
        .collect()
}

#[test]
fn a_document_that_changes_is_seen_in_the_repository() {
    for (name, _, document) in services() {
        let path = root().join(format!("docs/openapi/{name}.json"));
        let text = format!("{document:#}\n");
        if env::var_os("UPDATE_OPENAPI").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let differs = kept.lines().zip(text.lines()).find(|(a, b)| a != b);
        assert!(
            kept == text,
            "the API of {name} is another than docs/openapi says; if that is meant, run this with UPDATE_OPENAPI=1: {differs:?}"
        );
    }
}

#[test]
fn every_route_is_described_with_its_scope_and_a_name_of_its_own() {
    for (name, routes, document) in services() {
        let described: BTreeSet<_> = operations(&document)
            .into_iter()
            .map(|(route, operation)| (route, operation["security"][0]["token"][0].to_string()))
            .collect();
        let served = routes.iter().map(|route| {
            let scope = match route.access {
                Access::Open => Value::Null,
                Access::Scope(scope) => scope.as_str().into(),
            };
            (route.to_string(), scope.to_string())
        });
        assert_eq!(described, served.collect(), "{name}");
        let ids: BTreeSet<_> = operations(&document)
            .into_iter()
            .map(|(_, operation)| operation["operationId"].to_string())
            .collect();
        assert_eq!(ids.len(), routes.len(), "{name}: {ids:?}");
    }
}

#[test]
fn every_body_has_a_name_and_every_name_a_schema() {
    for (service, _, document) in services() {
        walk(&document, &mut |name, value| {
            if name == "$ref" {
                let target = value.as_str().unwrap().strip_prefix('#').unwrap();
                assert!(document.pointer(target).is_some(), "{service}: {value}");
            }
        });
        for (route, operation) in operations(&document) {
            walk(operation, &mut |name, value| {
                if name == "content" {
                    for (media_type, content) in value.as_object().unwrap() {
                        let schema = &content["schema"];
                        let is_plain = schema["type"] == "string" || schema["type"] == "object";
                        let has_no_members = schema.get("properties").is_none();
                        assert!(
                            schema.get("$ref").is_some() || (is_plain && has_no_members),
                            "{service}, {route}: {media_type} is {schema}"
                        );
                    }
                }
            });
        }
    }
}

#[test]
fn every_body_that_is_read_has_an_example_that_its_schema_allows() {
    for (service, _, document) in services() {
        for (route, operation) in operations(&document) {
            let Some(body) = operation.get("requestBody") else {
                continue;
            };
            let content = &body["content"]["application/json"];
            let wrong = faults(
                &document["components"],
                &content["schema"],
                &content["example"],
            );
            assert!(wrong.is_empty(), "{service}, {route}: {wrong:?}");
        }
    }
}

#[test]
fn every_member_that_is_read_says_what_it_is() {
    for (service, _, document) in services() {
        walk(&document, &mut |name, value| {
            if name == "properties" || name == "schema" {
                let schemas: Vec<_> = if name == "schema" {
                    vec![value]
                } else {
                    value.as_object().unwrap().values().collect()
                };
                for schema in schemas {
                    assert!(
                        schema.as_object().is_some_and(|schema| !schema.is_empty()),
                        "{service}: {value}"
                    );
                }
            }
        });
    }
}

#[test]
fn the_documents_have_every_code_and_the_page_of_errors_has_theirs() {
    /// Of no route, so of no operation; or how a stream ends.
    const OF_NO_ROUTE: [&str; 3] = ["method_not_allowed", "reader_too_slow", "route_not_found"];
    assert_eq!(shared::problem::Code::iter().count(), error_rows().len());
    for (service, _, document) in services() {
        let mut documented = BTreeSet::new();
        for (_, operation) in operations(&document) {
            documented.extend(codes(operation));
        }
        let listed: BTreeSet<String> = error_rows()
            .into_iter()
            .filter(|row| row[2] == service || row[2] == "both")
            .map(|row| row[1].trim_matches('`').to_owned())
            .filter(|code| !OF_NO_ROUTE.contains(&code.as_str()))
            .collect();
        assert_eq!(documented, listed, "{service}");
    }
}

#[test]
fn a_route_refuses_as_its_section_of_the_page_says() {
    /// What any route may answer, which the pages say once.
    const ANY: [&str; 3] = ["internal_error", "request_timeout", "unavailable"];
    let of_requests = error_rows()
        .into_iter()
        .filter(|row| row[3].contains("request"));
    let of_requests: BTreeSet<_> = of_requests
        .map(|row| row[1].trim_matches('`').to_owned())
        .collect();
    for (service, _, document) in services() {
        let page = read(&format!("docs/api/{service}.md"));
        let mut sections: BTreeMap<String, Vec<(String, BTreeSet<String>)>> = BTreeMap::new();
        for (route, operation) in operations(&document) {
            let start = format!("[`{route}`](#");
            let row = rows(&page)
                .into_iter()
                .find(|row| row[0].starts_with(&start));
            if let Some(row) = row {
                let anchor = row[0][start.len()..].trim_end_matches(')').to_owned();
                sections
                    .entry(anchor)
                    .or_default()
                    .push((route, codes(operation)));
            }
        }
        assert!(sections.len() > 10, "{service}");
        for (anchor, routes) in sections {
            let named = named_codes(&section(&page, &anchor)).into_iter();
            let named: BTreeSet<_> = named.map(|(_, code)| code).collect();
            let all: BTreeSet<_> = routes.iter().flat_map(|(_, codes)| codes.clone()).collect();
            let not_described: Vec<_> = named.difference(&all).collect();
            assert!(
                not_described.is_empty(),
                "{service}, {anchor}: {not_described:?}"
            );
            for (route, codes) in routes {
                let of_its_own = codes.difference(&of_requests);
                let not_named: Vec<_> = of_its_own
                    .filter(|code| !named.contains(*code) && !ANY.contains(&code.as_str()))
                    .collect();
                assert!(
                    not_named.is_empty(),
                    "{service}, {route}: {not_named:?} are not on the page"
                );
            }
        }
    }
}

#[test]
fn every_parameter_header_and_field_that_is_sent_says_what_it_is_for() {
    for (service, _, document) in services() {
        for (route, operation) in operations(&document) {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters {
                assert!(
                    parameter["description"].is_string(),
                    "{service}, {route}: {parameter}"
                );
            }
        }
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let is_sent = name.ends_with("Request") || name.ends_with("Command");
            let fields = schema["properties"].as_object().into_iter().flatten();
            for (field, schema) in fields.filter(|_| is_sent) {
                assert!(
                    schema["description"].is_string(),
                    "{service}, {name}.{field}: {schema}"
                );
            }
        }
    }
}

#[test]
fn what_a_command_of_a_batch_says_is_told_apart_by_its_kind() {
    let [(_, _, document), _] = services();
    let schemas = &document["components"]["schemas"];
    let items = &schemas["SubmitBatchRequest"]["properties"]["commands"]["items"];
    assert_eq!(items["discriminator"]["propertyName"], "kind");
    let kinds = items["discriminator"]["mapping"].as_object().unwrap();
    assert_eq!(kinds.len(), 10);
    for (kind, target) in kinds {
        let name = target.as_str().unwrap().rsplit('/').next().unwrap();
        let variant = &schemas[name]["properties"];
        assert_eq!(variant["kind"]["const"], kind.as_str());
        let has = |field: &str| variant.get(field).is_some();
        let with_destination = ["transfer", "place_hold", "capture_hold"];
        let is_with = with_destination.contains(&kind.as_str());
        assert_eq!(has("to_wallet_id"), is_with, "{variant}");
        let of_hold = kind.ends_with("_hold") && kind != "place_hold";
        assert_eq!(has("hold_id"), of_hold, "{variant}");
        let of_transaction = kind.ends_with("_transaction");
        let is_reversal = kind == "reverse_transaction";
        assert_eq!(has("transaction_id"), is_reversal, "{variant}");
        assert_eq!(has("wallet_id"), !of_hold && !of_transaction, "{variant}");
        let has_amount = kind != "extend_hold" && kind != "post_transaction";
        assert_eq!(has("amount"), has_amount, "{variant}");
        // What may be left out may be null, as alone.
        for (field, plain) in [
            ("amount", "string"),
            ("amount_minor", "integer"),
            ("reference", "string"),
        ] {
            if let Some(value) = variant.get(field) {
                assert_eq!(value["type"], json!([plain, "null"]), "{field}");
            }
        }
    }
}

#[test]
fn a_body_is_described_by_the_code_that_reads_it() {
    let [(_, _, document), _] = services();
    let bodies = &document["components"]["schemas"];
    let body = &bodies["FundWalletRequest"];
    // One of two fields, which the texts say.
    assert_eq!(body["required"], json!([]));
    assert_eq!(
        bodies["TransferBetweenWalletsRequest"]["required"],
        json!(["to_wallet_id"])
    );
    assert_eq!(body["additionalProperties"], false);
    assert_eq!(body["properties"]["reference"]["maxLength"], 128);
    assert_eq!(body["properties"]["description"]["maxLength"], 512);
    assert_eq!(body["properties"]["metadata"]["maxProperties"], 20);
}
