//! What is another's, and paths that lead elsewhere.
//!
//! One request to a line.

use serde_json::json;

use super::{Hostile, PLAIN, World, asks, posts};

pub(super) fn requests(world: &World) -> Vec<Hostile> {
    [others(world), paths(world)].concat()
}

#[rustfmt::skip]
fn others(world: &World) -> Vec<Hostile> {
    let (mine, bobs) = (&world.alices, &world.bobs);
    let read = |path: &str| asks(world, "GET", path, "", "");
    let to = |wallet: &str| json!({"to_wallet_id": wallet, "amount": "1.00"});
    let cursor = &world.operators_cursor;
    let condition = format!("/wallets/{bobs}");
    vec![
        ("another's wallet", read(&format!("/wallets/{bobs}")), 404, "wallet_not_found"),
        ("another's wallet, by its version", asks(world, "GET", &condition, "if-none-match: \"2\"\r\n", ""), 404, "wallet_not_found"),
        ("another's balance", read(&format!("/wallets/{bobs}/balance")), 404, "wallet_not_found"),
        ("another's journal", read(&format!("/wallets/{bobs}/events")), 404, "wallet_not_found"),
        ("another's transaction", read(&format!("/transactions/{}", world.bobs_transaction)), 404, "transaction_not_found"),
        ("another's wallets", read("/users/bob/wallets"), 404, "user_not_found"),
        ("another's wallets by a filter", read("/wallets?user_id=bob"), 404, "user_not_found"),
        ("the system's wallets", read("/users/@settlement/wallets"), 404, "user_not_found"),
        ("another's cursor", read(&format!("/wallets?limit=1&cursor={cursor}")), 400, "invalid_cursor"),
        ("a cursor that was changed", read(&format!("/wallets?cursor={cursor}x")), 400, "invalid_cursor"),
        ("another's money", posts(world, &format!("/wallets/{bobs}/transfer"), &to(mine)), 404, "wallet_not_found"),
        ("another's money, by a version", asks(world, "POST", &format!("/wallets/{bobs}/withdraw"), "content-type: application/json\r\nif-match: \"9\"\r\n", r#"{"amount":"1.00"}"#), 404, "wallet_not_found"),
        ("money from nowhere", posts(world, &format!("/wallets/{mine}/fund"), &json!({"amount": "1.00"})), 403, "service_token_required"),
        ("money to nowhere", posts(world, &format!("/wallets/{mine}/withdraw"), &json!({"amount": "1.00"})), 403, "service_token_required"),
        ("a wallet for another", posts(world, "/wallets", &json!({"user_id": "bob"})), 404, "user_not_found"),
        ("a wallet for the system", posts(world, "/wallets", &json!({"user_id": "@settlement"})), 400, "reserved_user_id"),
        ("an operator's list", read("/admin/heads"), 403, "scope_missing"),
        ("an operator's order", posts(world, "/admin/republish", &json!({"all": true})), 403, "scope_missing"),
    ]
}

#[rustfmt::skip]
fn paths(world: &World) -> Vec<Hostile> {
    let mine = &world.alices;
    let read = |path: &str| asks(world, "GET", path, "", "");
    let capitals = mine.to_uppercase();
    vec![
        ("up and into another folder", read("/wallets/../admin/heads"), 404, "route_not_found"),
        ("up, in code", read("/wallets/%2e%2e/admin/heads"), 404, "route_not_found"),
        ("up, as an id", read("/wallets/%2e%2e%2fadmin"), 400, "invalid_uuid"),
        ("a slash in code", read(&format!("/wallets%2f{mine}")), 404, "route_not_found"),
        ("two slashes", read("//wallets"), 404, "route_not_found"),
        ("a slash at the end", read("/wallets/"), 404, "route_not_found"),
        ("capitals", read("/WALLETS"), 404, "route_not_found"),
        ("an id in capitals", read(&format!("/wallets/{capitals}")), 200, PLAIN),
        ("an id with a parameter", read(&format!("/wallets/{mine};admin=true")), 400, "invalid_uuid"),
        ("an id with a zero byte", read(&format!("/wallets/{mine}%00")), 400, "invalid_uuid"),
        ("SQL as an id", read("/wallets/1'%20or%20'1'='1"), 400, "invalid_uuid"),
        ("an id that is no UTF-8", read("/wallets/%ff"), 400, "invalid_value"),
        ("a user that is no UTF-8", read("/users/%c3%28/wallets"), 400, "invalid_value"),
        ("a user of SQL", read("/users/'%3bdrop%20table%20wallets%3b--/wallets"), 404, "user_not_found"),
        ("a parameter that is not known", read("/wallets?is_admin=true"), 400, "unknown_parameter"),
        ("a parameter twice", read("/wallets?limit=1&limit=200"), 400, "duplicate_field"),
        ("a limit of SQL", read("/wallets?limit=1%3bdrop%20table%20wallets"), 400, "invalid_limit"),
        ("a limit without end", read("/wallets?limit=99999999999999999999"), 400, "invalid_limit"),
        ("a cursor of SQL", read("/wallets?cursor='%20or%201=1--"), 400, "invalid_cursor"),
        ("an address with its host", asks(world, "GET", "http://evil/admin/heads", "", ""), 403, "scope_missing"),
        ("a method that is made up", asks(world, "STEAL", &format!("/wallets/{mine}"), "", ""), 405, "method_not_allowed"),
        ("a method to delete", asks(world, "DELETE", &format!("/wallets/{mine}"), "", ""), 405, "method_not_allowed"),
        ("a method that echoes", asks(world, "TRACE", "/wallets", "", ""), 405, "method_not_allowed"),
        ("a method for proxies", asks(world, "CONNECT", "evil:443", "", ""), 404, "route_not_found"),
        ("a method of browsers, from another page", asks(world, "OPTIONS", "/wallets", "origin: https://evil\r\naccess-control-request-method: POST\r\n", ""), 405, "method_not_allowed"),
        ("a file of the machine", read("/..%2f..%2fetc/passwd"), 404, "route_not_found"),
        ("a path without end", read(&format!("/wallets/{}", "a".repeat(8_000))), 400, "invalid_uuid"),
        ("a page of another origin", asks(world, "GET", &format!("/wallets/{mine}"), "origin: https://evil\r\n", ""), 200, PLAIN),
    ]
}
