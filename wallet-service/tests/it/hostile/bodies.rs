//! Bodies that say more than they may, or what nothing can be made of.
//!
//! One request to a line.

use serde_json::{Value, json};

use super::{Hostile, JSON, World, asks, posts};

pub(super) fn requests(world: &World) -> Vec<Hostile> {
    [assigned(world), texts(world), shapes(world)].concat()
}

/// Fields that are not the caller's to say.
#[rustfmt::skip]
fn assigned(world: &World) -> Vec<Hostile> {
    let create = |name: &str, value: Value| {
        let mut body = json!({"user_id": "alice"});
        body[name] = value;
        posts(world, "/wallets", &body)
    };
    let send = |name: &str, value: Value| {
        let mut body = json!({"to_wallet_id": world.bobs, "amount": "1.00"});
        body[name] = value;
        posts(world, &format!("/wallets/{}/transfer", world.alices), &body)
    };
    let rows = [
        ("a wallet with money", create("balance", json!("1000000.00"))),
        ("a wallet with credit", create("floor", json!("-1000.00"))),
        ("a wallet of another kind", create("kind", json!("settlement"))),
        ("a wallet with an id", create("id", json!(world.bobs))),
        ("a wallet of a version", create("version", json!(7))),
        ("a wallet that is closed", create("status", json!("closed"))),
        ("a wallet made before", create("created_at", json!("1970-01-01T00:00:00Z"))),
        ("a prototype", create("__proto__", json!({"admin": true}))),
        ("another sender", send("from_wallet_id", json!(world.bobs))),
        ("another actor", send("actor", json!("bob"))),
        ("another owner", send("owner", json!("bob"))),
        ("a fee that is negative", send("fee", json!("-1.00"))),
    ];
    let beside = ("a minor amount beside", send("amount_minor", json!(1)), 400, "invalid_value");
    let rows = rows.map(|(what, request)| (what, request, 400, "unknown_field"));
    rows.into_iter().chain([beside]).collect()
}

/// Texts with characters that do harm where they are printed.
#[rustfmt::skip]
fn texts(world: &World) -> Vec<Hostile> {
    let send = |name: &str, value: Value| {
        let mut body = json!({"to_wallet_id": world.bobs, "amount": "1.00"});
        body[name] = value;
        posts(world, &format!("/wallets/{}/transfer", world.alices), &body)
    };
    let text = "paid\r\n2026-01-01T00:00:00Z ERROR request failed";
    let rows = [
        ("a line for the log as a reference", send("reference", json!(text)), "invalid_value"),
        ("a line for the log as a description", send("description", json!(text)), "invalid_value"),
        ("a line for the log in metadata", send("metadata", json!({"a": text})), "invalid_value"),
        ("a line for the log as a name", send("metadata", json!({(text): "a"})), "invalid_value"),
        ("colours for a terminal", send("description", json!("\u{1b}[2J\u{1b}[31m")), "invalid_value"),
        ("a zero byte", send("reference", json!("a\u{0}b")), "invalid_value"),
        ("a text that turns round", send("reference", json!("a\u{202e}b")), "invalid_value"),
        ("a currency of SQL", send("currency", json!("USD'--")), "unknown_currency"),
        ("a wallet of SQL", send("to_wallet_id", json!("' or 1=1--")), "invalid_uuid"),
        ("an amount of SQL", send("amount", json!("1.00; update wallets set balance = 0")), "amount_malformed"),
        ("an amount that is taken", send("amount", json!("-1.00")), "amount_not_positive"),
        ("an amount of a power", send("amount", json!("1e9")), "amount_malformed"),
        ("an amount that is no number", send("amount", json!("NaN")), "amount_malformed"),
        ("an amount in other digits", send("amount", json!("\u{661}.00")), "amount_malformed"),
        ("an amount past all numbers", send("amount", json!("9".repeat(40))), "amount_out_of_range"),
        ("an amount that is a float", send("amount", json!(0.1)), "amount_not_string"),
        ("metadata in metadata", send("metadata", json!({"a": {"b": {}}})), "invalid_type"),
    ];
    rows.map(|(what, request, code)| (what, request, 400, code)).into()
}

/// What is not the JSON that is asked for.
#[rustfmt::skip]
fn shapes(world: &World) -> Vec<Hostile> {
    let path = format!("/wallets/{}/transfer", world.alices);
    let send = |body: &str| asks(world, "POST", &path, JSON, body);
    let (bobs, deep) = (&world.bobs, "[".repeat(30_000));
    let own = |field: &str| send(&format!(r#"{{"to_wallet_id":"{bobs}","amount":"1.00",{field}}}"#));
    let batch = |commands: Value| posts(world, "/transactions/batch", &json!({"commands": commands}));
    vec![
        ("lists in lists", send(&deep), 400, "malformed_json"),
        ("lists in a field", own(&format!(r#""metadata":{deep}"#)), 400, "malformed_json"),
        ("a field twice", own(r#""amount":"2.00""#), 400, "duplicate_field"),
        ("a field twice, once in code", own(r#""\u0061mount":"2.00""#), 400, "duplicate_field"),
        ("half a character", own(r#""reference":"\ud800""#), 400, "malformed_json"),
        ("a comment", send("{} /* */"), 400, "malformed_json"),
        ("a mark before the text", send("\u{feff}{}"), 400, "malformed_json"),
        ("two objects", send("{}{}"), 400, "malformed_json"),
        ("a list", send("[]"), 400, "invalid_type"),
        ("nothing", send(""), 400, "malformed_json"),
        ("more than there may be", send(&" ".repeat(70_000)), 413, "body_too_large"),
        ("a batch of nothing", batch(json!([])), 400, "invalid_value"),
        ("a batch without end", batch(json!(vec![json!({}); 1_001])), 400, "invalid_value"),
        ("a batch of an unknown kind", batch(json!([{"kind": "steal", "wallet_id": bobs, "amount": "1.00"}])), 400, "invalid_value"),
        ("a batch with another's field", batch(json!([{"kind": "fund", "wallet_id": bobs, "amount": "1.00", "actor": "bob"}])), 400, "unknown_field"),
    ]
}
