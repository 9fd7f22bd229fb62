//! The OpenAPI document of a list of routes.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use strum::IntoEnumIterator;

use super::{About, AnswerHeader, Operation, operation::Answer};
use crate::{
    problem::{self, Code, Problem},
    schema::say_absent_by_leaving_out,
    server::{
        auth::Access,
        http::{Listed, Route},
        request::describe::{Body, Header, Member, Reads, Shape},
    },
};

/// What any request may be refused with, whatever it is for.
const ALWAYS: [Code; 9] = [
    Code::MalformedRequest,
    Code::UnknownParameter,
    Code::InvalidValue,
    Code::BodyTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InternalError,
    Code::UnsupportedTransferEncoding,
    Code::RequestTimeout,
];

/// What a request for a guarded route may be refused with.
const GUARDED: [Code; 6] = [
    Code::RateLimited,
    Code::TokenExpired,
    Code::TokenInvalid,
    Code::TokenMissing,
    Code::ScopeMissing,
    Code::Unavailable,
];

/// The document.
pub fn document(about: &About, listed: &[Listed]) -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut requests = Map::new();
    let mut paths = Map::new();
    for listed in listed {
        let Route { path, method, .. } = &listed.route;
        let of_path = paths.entry(*path).or_insert_with(|| json!({}));
        let described = operation(listed, &mut generator, &mut requests);
        of_path[method.as_str().to_ascii_lowercase()] = described;
    }
    let problem = generator.subschema_for::<Problem>();
    debug_assert!(problem.get("$ref").is_some(), "problems have a name");
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(say_closed_sets_plainly);
    // What is closed is read, and may be null where it may be left out.
    let answered = |schema: &&mut Value| schema["additionalProperties"] != false;
    for schema in schemas.values_mut().filter(answered) {
        say_absent_by_leaving_out(schema);
    }
    schemas.append(&mut requests);
    let About {
        title,
        description,
        version,
    } = about;
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title, "version": version, "description": description,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "examples": Code::iter().map(example).collect::<Map<_, _>>(),
            "securitySchemes": {"token": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "Asked for by installations with AUTH=jwt. Each operation names the scope it needs.",
            }},
        },
    })
}

/// Where a variant of a closed set has a comment, its schema would be a choice of schemas: no generator makes a set of them.
fn say_closed_sets_plainly(schema: &mut Value) {
    let values_of = |one: &Value| match (one.get("const"), one["enum"].as_array()) {
        (Some(value), _) => Some(vec![value.clone()]),
        (None, values) => values.cloned(),
    };
    let one_of = schema["oneOf"].as_array();
    let values: Option<Vec<_>> = one_of.and_then(|all| all.iter().map(values_of).collect());
    if let (Some(values), Some(schema)) = (values, schema.as_object_mut()) {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), values.concat().into());
    }
}

fn operation(
    listed: &Listed,
    generator: &mut SchemaGenerator,
    requests: &mut Map<String, Value>,
) -> Value {
    let Listed {
        route,
        operation,
        reads,
    } = listed;
    let Reads {
        path,
        query,
        headers,
        body,
        codes,
    } = reads();
    let mut codes: BTreeSet<Code> = codes.into_iter().chain(ALWAYS).collect();
    codes.extend(&operation.codes);
    let query = query.unwrap_or_default();
    for shape in path.iter().chain(query.iter().map(|member| &member.shape)) {
        codes.extend(&shape.codes);
    }
    // A text is always one in a path or a query string.
    codes.remove(&Code::InvalidType);
    let mut parameters = Vec::new();
    let names = route.path.split(['{', '}']).skip(1).step_by(2);
    for (name, shape) in names.zip(path) {
        let schema = shape.into_schema(generator).into();
        parameters.push(parameter("path", name, true, schema));
    }
    parameters.extend(parameters_beside_the_path(query, headers, generator));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(route.path)],
    });
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(Body { is_required, shape }) = body {
        let shape = shape.or_else(|| operation.body.as_ref().map(|body| body.0()));
        let shape = shape.unwrap_or_else(|| Shape::object(Vec::new()));
        codes.extend(&shape.codes);
        // Also of a body without fields: it may be no object.
        codes.insert(Code::InvalidType);
        let name = format!("{}Request", capitalised(operation.id));
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        requests.insert(name, shape.into_schema(generator).into());
        let mut content = json!({"schema": reference});
        if let Some(example) = &operation.example {
            content["example"] = example.clone();
        }
        described["requestBody"] = json!({
            "required": is_required, "content": {"application/json": content},
        });
    }
    if let Access::Scope(scope) = route.access {
        codes.extend(GUARDED);
        described["security"] = json!([{"token": [scope.as_str()]}]);
        described["description"] = format!("Needs the scope `{scope}`.").into();
    }
    described["responses"] = responses(operation, &codes, generator);
    described
}

fn parameters_beside_the_path(
    query: Vec<Member>,
    headers: Vec<Header>,
    generator: &mut SchemaGenerator,
) -> Vec<Value> {
    let mut parameters = Vec::new();
    for member in query {
        let (name, is_required) = (member.name.clone(), member.is_required);
        let schema = member.into_schema(generator);
        parameters.push(parameter("query", &name, is_required, schema));
    }
    for header in headers {
        let Header {
            name,
            says,
            mut schema,
        } = header;
        schema["description"] = says.into();
        parameters.push(parameter("header", name, false, schema));
    }
    parameters
}

/// What is said of the value is said of the parameter.
fn parameter(place: &str, name: &str, is_required: bool, mut schema: Value) -> Value {
    let says = schema
        .as_object_mut()
        .and_then(|schema| schema.remove("description"));
    json!({
        "name": name, "in": place, "required": is_required, "description": says, "schema": schema,
    })
}

/// The part of the API a route belongs to.
fn tag(path: &str) -> &str {
    let first = path.split('/').nth(1).unwrap_or_default();
    match first {
        "wallets" | "users" | "transactions" | "admin" => first,
        _ => "process",
    }
}

/// `createWallet` as a type is called: `CreateWallet`.
pub fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

fn responses(
    operation: &Operation,
    codes: &BTreeSet<Code>,
    generator: &mut SchemaGenerator,
) -> Value {
    let mut by_status: BTreeMap<u16, Value> = BTreeMap::new();
    for Answer {
        status,
        says,
        media_type,
        schema,
        headers,
    } in &operation.answers
    {
        let response = by_status
            .entry(*status)
            .or_insert_with(|| json!({"description": says}));
        if let Some(schema) = schema {
            response["content"][media_type] = json!({"schema": schema(generator)});
        }
        for AnswerHeader {
            name,
            says,
            is_always_there,
        } in headers
        {
            response["headers"][name] = json!({
                "description": says, "required": is_always_there, "schema": {"type": "string"},
            });
        }
    }
    let mut refusals: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        refusals.entry(code.status()).or_default().push(*code);
    }
    for (status, codes) in refusals {
        let named: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        let says = format!("Refused: {}.", named.join(", "));
        let response = by_status
            .entry(status)
            .or_insert_with(|| json!({"description": ""}));
        let said = response["description"].as_str().unwrap_or_default();
        response["description"] = format!("{said} {says}").trim_start().into();
        let examples: Map<String, Value> = codes.iter().map(example_of).collect();
        response["content"][problem::MEDIA_TYPE] =
            json!({"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples});
        for (header, says, is_of) in OF_REFUSALS {
            if codes.iter().any(|code| is_of(*code)) {
                response["headers"][header] =
                    json!({"description": says, "schema": {"type": "string"}});
            }
        }
    }
    let named = by_status
        .into_iter()
        .map(|(status, response)| (status.to_string(), response));
    Value::Object(named.collect())
}

/// A header, what it says, and which codes come with it.
type OfRefusals = (&'static str, &'static str, fn(Code) -> bool);

const OF_REFUSALS: [OfRefusals; 4] = [
    ("Retry-After", "Seconds to wait.", Code::may_pass_later),
    (
        "ETag",
        "The version that the wallet is at, in double quotes.",
        |code| matches!(code, Code::VersionMismatch),
    ),
    (
        "WWW-Authenticate",
        "What is wrong with the token, or missing in it.",
        |code| {
            matches!(
                code,
                Code::TokenExpired | Code::TokenInvalid | Code::TokenMissing | Code::ScopeMissing
            )
        },
    ),
    ("Accept", "What a body may be.", |code| {
        matches!(code, Code::UnsupportedMediaType)
    }),
];

fn example_of(code: &Code) -> (String, Value) {
    let path = format!("#/components/examples/{code}");
    (code.to_string(), json!({"$ref": path}))
}

fn example(code: Code) -> (String, Value) {
    let problem = Problem::new(code, code.title());
    let value = json!(problem.body(Some("01a21acf-c347-724c-9593-bcc53a42205d")));
    (
        code.to_string(),
        json!({"summary": code.title(), "value": value}),
    )
}
