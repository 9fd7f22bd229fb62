//! The events on the topic are what their schemas say, and a schema that changes breaks no reader of before.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use serde_json::{Value, json};
use shared::{
    event::{EventKind, SCHEMA_VERSION, contract::schema_document},
    server::openapi::asyncapi,
};

use crate::{docs::root, openapi::walk, requests::faults};

/// Each version has a folder of its own: what breaks readers of one goes into the next.
fn path(kind: EventKind) -> PathBuf {
    root().join(format!("docs/schemas/v{SCHEMA_VERSION}/{kind}.json"))
}

fn read(path: &PathBuf) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// What a schema says for people alone.
const REMARKS: [&str; 4] = ["$schema", "title", "description", "examples"];

/// How a value that `now` allows may be none that `before` does, so that a reader who relied on that breaks. New members
/// are no such thing: readers pass over what they do not know.
fn breaks(before: &Value, now: &Value, at: &str) -> Vec<String> {
    let mut breaks = Vec::new();
    for (word, said) in before.as_object().into_iter().flatten() {
        let says = &now[word];
        let at = format!("{at}/{word}");
        match (word.as_str(), said) {
            (word, _) if REMARKS.contains(&word) => {}
            ("required", _) => {
                let still = set(says);
                let gone = set(said).into_iter().filter(|name| !still.contains(name));
                breaks.extend(gone.map(|name| format!("{at}: {name} may be missing")));
            }
            ("type" | "enum", _) => {
                let (known, may_be) = (set(said), set(says));
                if may_be.is_empty() {
                    breaks.push(format!("{at} is not said any more"));
                }
                let new = may_be.into_iter().filter(|value| !known.contains(value));
                breaks.extend(new.map(|value| format!("{at}: {value} is new")));
            }
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let at = format!("{at}/{name}");
                    match says.get(name) {
                        Some(says) => breaks.extend(self::breaks(property, says, &at)),
                        None => breaks.push(format!("{at} is gone")),
                    }
                }
            }
            (_, Value::Object(_)) => breaks.extend(self::breaks(said, says, &at)),
            (_, said) if said != says => breaks.push(format!("{at} was {said} and is {says}")),
            _ => {}
        }
    }
    breaks
}

/// The values of a list, or the one value that there is.
fn set(values: &Value) -> BTreeSet<String> {
    match values {
        Value::Null => BTreeSet::new(),
        Value::Array(values) => values.iter().map(Value::to_string).collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            BTreeSet::from([values.to_string()])
        }
    }
}

#[test]
fn a_schema_of_events_that_changes_is_seen_in_the_repository_and_breaks_no_reader() {
    for &kind in EventKind::ALL {
        let (path, now) = (path(kind), schema_document(kind));
        if let Some(before) = read(&path) {
            let breaks = breaks(&before, &now, "");
            assert!(
                breaks.is_empty(),
                "{kind}: readers of version {SCHEMA_VERSION} would break, so this needs the next: {breaks:#?}"
            );
        }
        if env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{now:#}\n")).unwrap();
        }
        assert_eq!(
            read(&path),
            Some(now),
            "{} is not what is written; if that is meant, run this with UPDATE_SCHEMAS=1",
            path.display()
        );
    }
}

#[test]
fn the_document_of_the_topic_that_changes_is_seen_in_the_repository() {
    let (path, now) = (root().join("docs/asyncapi.json"), asyncapi::document());
    if env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(&path, format!("{now:#}\n")).unwrap();
    }
    assert_eq!(
        read(&path),
        Some(now),
        "docs/asyncapi.json: UPDATE_SCHEMAS=1 writes it"
    );
}

/// What is done to a schema, and how it is called.
type Edit = (&'static str, fn(&mut Value));

#[test]
fn every_way_to_break_a_reader_is_known_for_one() {
    let before = schema_document(EventKind::LimitsChanged);
    let broken: [Edit; 12] = [
        ("a member is gone", |schema| {
            schema["properties"]
                .as_object_mut()
                .unwrap()
                .remove("actor");
        }),
        ("a member may be missing", |schema| {
            schema["required"]
                .as_array_mut()
                .unwrap()
                .retain(|name| name != "hash");
        }),
        ("nothing has to be there", |schema| {
            schema.as_object_mut().unwrap().remove("required");
        }),
        ("a text becomes a number", |schema| {
            schema["properties"]["actor"]["type"] = json!("integer")
        }),
        ("it may be null", |schema| {
            schema["properties"]["actor"]["type"] = json!(["string", "null"]);
        }),
        ("its type is not said", |schema| {
            schema["properties"]["actor"]
                .as_object_mut()
                .unwrap()
                .remove("type");
        }),
        ("another pattern", |schema| {
            schema["properties"]["balance_after"]["pattern"] = json!("^.*$")
        }),
        ("another format", |schema| {
            schema["properties"]["wallet_id"]["format"] = json!("uri")
        }),
        ("another kind", |schema| {
            schema["properties"]["kind"]["const"] = json!("limits.set")
        }),
        ("a larger number", |schema| {
            schema["properties"]["schema_version"]["maximum"] = json!(100_000);
        }),
        ("one more of a closed set", |schema| {
            let of = &mut schema["properties"]["data"]["properties"]["caps"]["items"]["properties"]
                ["of"]["enum"];
            of.as_array_mut().unwrap().push("fees".into());
        }),
        ("deep within, a member is gone", |schema| {
            let items = &mut schema["properties"]["data"]["properties"]["windows"]["items"];
            items["properties"]
                .as_object_mut()
                .unwrap()
                .remove("period");
        }),
    ];
    for (what, edit) in broken {
        let mut now = before.clone();
        edit(&mut now);
        assert_ne!(before, now, "{what}: the edit changes something");
        assert!(!breaks(&before, &now, "").is_empty(), "{what}: not found");
    }
}

#[test]
fn what_breaks_no_reader_may_be_changed() {
    let before = schema_document(EventKind::HoldPlaced);
    let fine: [Edit; 4] = [
        ("a new member", |schema| {
            schema["properties"]["colour"] = json!({"type": "string"})
        }),
        ("a new member deep within, always there", |schema| {
            let data = &mut schema["properties"]["data"];
            data["properties"]["colour"] = json!({"type": "string"});
            data["required"]
                .as_array_mut()
                .unwrap()
                .push("colour".into());
        }),
        ("another description", |schema| {
            schema["description"] = json!("Money was set aside!")
        }),
        ("what might be missing is always there", |schema| {
            schema["required"]
                .as_array_mut()
                .unwrap()
                .push("subject".into());
        }),
    ];
    for (what, edit) in fine {
        let mut now = before.clone();
        edit(&mut now);
        assert_ne!(before, now, "{what}: the edit changes something");
        assert_eq!(breaks(&before, &now, ""), Vec::<String>::new(), "{what}");
    }
}

/// The events that are pinned in the repository, of every kind and in every variation.
fn pinned() -> Vec<(String, Value)> {
    let folder = root().join("shared/src/event/tests/snapshots");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let pinned = files.filter_map(|file| {
        let name = file.file_name()?.to_str()?;
        let name = name.strip_prefix("shared__event__tests__json ")?;
        let text = fs::read_to_string(&file).unwrap();
        let json = text.splitn(3, "---\n").nth(2)?;
        Some((name.to_owned(), serde_json::from_str(json).unwrap()))
    });
    pinned.collect()
}

#[test]
fn every_pinned_event_is_as_the_schema_of_its_kind_says_and_nothing_but_described() {
    let mut seen = BTreeSet::new();
    for (name, event) in pinned() {
        let kind: EventKind = event["kind"].as_str().unwrap().parse().unwrap();
        seen.insert(kind);
        let schema = schema_document(kind);
        let wrong = faults(&json!({}), &schema, &event);
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        for (described, said) in [
            (&schema, &event),
            (&schema["properties"]["data"], &event["data"]),
        ] {
            for member in said.as_object().unwrap().keys() {
                assert!(
                    described["properties"].get(member).is_some(),
                    "{name}: {member} is not described"
                );
            }
        }
    }
    assert_eq!(seen, EventKind::ALL.iter().copied().collect());
}

#[test]
fn every_reference_of_the_document_of_the_topic_leads_somewhere() {
    let document = asyncapi::document();
    walk(&document, &mut |name, value| {
        if name == "$ref" {
            let target = value.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(target).is_some(), "{target}");
        }
    });
    let messages = document["channels"]["walletEvents"]["messages"]
        .as_object()
        .unwrap();
    assert_eq!(messages.len(), EventKind::ALL.len());
}
