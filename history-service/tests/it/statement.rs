//! Statements: what moved in a period, in every form.

use futures::future::join_all;
use roxmltree::{Document, Node};
use serde_json::json;
use shared::{WalletId, event::Details};
use sqlx::Executor;

use crate::{
    chain::Chain,
    harness::{Instance, World, get},
    reads::with_history,
};

/// Alice's October and November 2026 in Berlin, where clocks go back at the end of October.
fn autumn() -> (Chain, Vec<shared::event::WalletEvent>) {
    let mut alice = Chain::new("alice").at("2026-09-30T22:00:00Z");
    let mut events = vec![alice.opened()];
    let mut at = |moment: &str, minor: i64, text: &str| {
        alice = alice.clone().at(moment);
        let details = Details {
            reference: Some(text.to_owned()),
            description: Some(format!("{text}, <b> & \"all\"")),
            ..Details::default()
        };
        events.push(alice.funded_with(minor, details));
    };
    at("2026-10-01T08:00:00Z", 10_000, "=1+1");
    // The last second of October there, and the first of November.
    at("2026-10-31T22:59:59.999999Z", 2_000, "order-7");
    at("2026-10-31T23:00:00Z", 500, "order-8");
    alice = alice.at("2026-11-05T08:00:00Z");
    events.push(alice.withdrawn(1_500));
    events.extend(alice.hold(5_000, 3_000));
    (alice, events)
}

fn path(wallet: WalletId, query: &str) -> String {
    format!("/wallets/{wallet}/statement?{query}")
}

async fn text(instance: &Instance, wallet: WalletId, query: &str) -> String {
    let (status, body) = get(instance.address, &path(wallet, query)).await.unwrap();
    assert_eq!(status, 200, "{query}: {body}");
    body.as_str()
        .map_or_else(|| body.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_has_what_moved_between_two_balances_whatever_its_period_is_called() {
    let (alice, events) = autumn();
    let (_world, instance) = with_history(&events).await;
    let wallet = alice.wallet();
    let october = instance
        .ok(&path(wallet, "month=2026-10&time_zone=Europe/Berlin"))
        .await;
    let line = |number: i64, event: usize, balance: &str| {
        let event = &events[event];
        let text = ["", "=1+1", "order-7"][usize::try_from(number).unwrap()];
        json!({
            "number": number, "sequence": event.sequence, "occurred_at": event.occurred_at, "kind": "wallet.funded",
            "amount": event.currency.text(event.amount.unwrap().minor()), "balance_after": balance,
            "transaction_id": event.transaction_id, "counterparty_wallet_id": event.body.counterparty_wallet_id(),
            "reference": text, "description": format!("{text}, <b> & \"all\""),
        })
    };
    assert_eq!(
        october,
        json!({
            "wallet_id": wallet, "user_id": "alice", "currency": "USD",
            "from": "2026-09-30T22:00:00.000000Z", "to": "2026-10-31T23:00:00.000000Z", "time_zone": "Europe/Berlin",
            "opening_balance": "0.00",
            "lines": [line(1, 1, "100.00"), line(2, 2, "120.00")],
            "totals": {"in": "120.00", "out": "0.00"},
            "closing_balance": "120.00", "first_sequence": 1, "last_sequence": 3,
        })
    );
    // The same in other words.
    for query in [
        "from=2026-10-01&to=2026-11-01&time_zone=Europe/Berlin",
        "from=2026-09-30T22:00:00Z&to=2026-11-01T00:00:00%2B01:00&time_zone=Europe/Berlin",
    ] {
        assert_eq!(instance.ok(&path(wallet, query)).await, october);
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adjoining_periods_chain_also_where_nothing_happened() {
    let (alice, events) = autumn();
    let (_world, instance) = with_history(&events).await;
    let wallet = alice.wallet();
    let october = instance
        .ok(&path(wallet, "month=2026-10&time_zone=Europe/Berlin"))
        .await;
    let days = instance
        .ok(&path(
            wallet,
            "from=2026-11-01&to=2026-11-10&time_zone=Europe/Berlin",
        ))
        .await;
    assert_eq!(days["opening_balance"], october["closing_balance"]);
    assert_eq!(days["first_sequence"], 4);
    assert_eq!(days["totals"], json!({"in": "5.00", "out": "45.00"}));
    let numbers = |name: &str| {
        Vec::from_iter(
            days["lines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line[name].clone()),
        )
    };
    assert_eq!(numbers("number"), [1, 2, 3]);
    // What moved no money is no line, and counts as an event of the period.
    assert_eq!(numbers("sequence"), [4, 5, 9]);
    assert_eq!(
        (&days["closing_balance"], &days["last_sequence"]),
        (&json!("80.00"), &json!(12))
    );
    // Before everything, and where nothing happened.
    let before = instance.ok(&path(wallet, "month=2025-12")).await;
    assert_eq!(
        (
            &before["opening_balance"],
            &before["lines"],
            &before["first_sequence"],
            &before["last_sequence"]
        ),
        (&json!("0.00"), &json!([]), &json!(1), &json!(0))
    );
    let quiet = instance
        .ok(&path(wallet, "from=2026-10-10&to=2026-10-20"))
        .await;
    assert_eq!(
        (
            &quiet["opening_balance"],
            &quiet["closing_balance"],
            &quiet["first_sequence"],
            &quiet["last_sequence"]
        ),
        (&json!("100.00"), &json!("100.00"), &json!(3), &json!(2))
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_period_is_the_same_bytes_in_every_form_and_one_that_is_not_over_says_so() {
    let (alice, events) = autumn();
    let (world, instance) = with_history(&events).await;
    let wallet = alice.wallet();
    for format in ["json", "csv", "camt053", "html"] {
        let query = format!("from=2026-10-01&to=2026-11-10&format={format}");
        let before = text(&instance, wallet, &query).await;
        let later = alice.clone().at("2026-11-20T08:00:00Z").funded(1);
        world.publish([&later]).await;
        instance.until_applied(&later).await;
        assert_eq!(text(&instance, wallet, &query).await, before, "{format}");
    }
    let open = instance
        .ok(&path(wallet, "from=2026-10-01&to=2035-01-01"))
        .await;
    assert_eq!(open["provisional"], true);
    for (format, says) in [
        ("csv", ",opening_balance (provisional),"),
        ("csv", ",closing_balance (provisional),"),
        ("camt053", "<Cd>ITBD</Cd>"),
        ("html", "The period is not over"),
    ] {
        let query = format!("from=2026-10-01&to=2035-01-01&format={format}");
        assert!(
            text(&instance, wallet, &query).await.contains(says),
            "{format}"
        );
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_gets_texts_and_numbers_and_no_formulas() {
    let (alice, events) = autumn();
    let (_world, instance) = with_history(&events).await;
    let csv = text(
        &instance,
        alice.wallet(),
        "month=2026-10&time_zone=Europe/Berlin&format=csv",
    )
    .await;
    let rows = Vec::from_iter(csv.split_terminator("\r\n"));
    assert_eq!(rows.len(), 1 + 1 + 2 + 3);
    assert_eq!(rows[0].split(',').count(), 11);
    assert_eq!(
        rows[1],
        ",,2026-09-30T22:00:00.000000Z,opening_balance,,0.00,USD,,,,"
    );
    let first = &events[1];
    let expected = format!(
        "1,2,{},wallet.funded,100.00,100.00,USD,{},{},\"'=1+1\",\"'=1+1, <b> & \"\"all\"\"\"",
        first.occurred_at,
        first.transaction_id.unwrap(),
        first.body.counterparty_wallet_id().unwrap(),
    );
    assert_eq!(rows[2], expected);
    assert_eq!(
        rows[4],
        ",,2026-10-31T23:00:00.000000Z,total_in,120.00,,USD,,,,"
    );
    assert_eq!(
        rows[6],
        ",,2026-10-31T23:00:00.000000Z,closing_balance,,120.00,USD,,,,"
    );
    instance.stop().await;
}

/// The names of what is directly in an element, in their order.
fn names<'a>(node: Node<'a, 'a>) -> Vec<&'a str> {
    let within = node.children().filter(Node::is_element);
    within.map(|child| child.tag_name().name()).collect()
}

fn found<'a>(node: Node<'a, 'a>, path: &str) -> Vec<Node<'a, 'a>> {
    path.split('/').fold(vec![node], |nodes, name| {
        let within = nodes
            .into_iter()
            .flat_map(|node| Vec::from_iter(node.children()));
        within
            .filter(|child| child.tag_name().name() == name)
            .collect()
    })
}

fn texts<'a>(node: Node<'a, 'a>, path: &str) -> Vec<&'a str> {
    found(node, path).iter().filter_map(Node::text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounting_reads_the_statement_as_camt_053() {
    let (alice, events) = autumn();
    let (_world, instance) = with_history(&events).await;
    let query = "from=2026-10-01&to=2026-11-10&format=camt053";
    let xml = text(&instance, alice.wallet(), query).await;
    let document = Document::parse(&xml).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "Document");
    assert_eq!(
        root.tag_name().namespace(),
        Some("urn:iso:std:iso:20022:tech:xsd:camt.053.001.08")
    );
    let [statement] = found(root, "BkToCstmrStmt/Stmt")[..] else {
        panic!("one statement")
    };
    let mut order = vec!["Id", "CreDtTm", "FrToDt", "Acct", "Bal", "Bal"];
    order.extend(["Ntry"; 5]);
    assert_eq!(names(statement), order);
    assert_eq!(
        names(found(root, "BkToCstmrStmt/GrpHdr")[0]),
        ["MsgId", "CreDtTm"]
    );
    assert_eq!(texts(statement, "CreDtTm"), ["2026-11-10T00:00:00.000000Z"]);
    assert_eq!(
        texts(statement, "Acct/Id/Othr/Id"),
        [alice.wallet().uuid().simple().to_string()]
    );
    assert_eq!(texts(statement, "Acct/Ownr/Nm"), ["alice"]);
    assert_eq!(texts(statement, "Bal/Tp/CdOrPrtry/Cd"), ["OPBD", "CLBD"]);
    assert_eq!(texts(statement, "Bal/Amt"), ["0.00", "80.00"]);
    let entry = found(statement, "Ntry")[0];
    assert_eq!(
        names(entry),
        [
            "NtryRef",
            "Amt",
            "CdtDbtInd",
            "Sts",
            "BookgDt",
            "ValDt",
            "AcctSvcrRef",
            "BkTxCd",
            "NtryDtls",
            "AddtlNtryInf"
        ]
    );
    let details = found(entry, "NtryDtls/TxDtls")[0];
    assert_eq!(
        names(details),
        ["Refs", "Amt", "CdtDbtInd", "RltdPties", "RmtInf"]
    );
    assert_eq!(texts(details, "Refs/EndToEndId"), ["=1+1"]);
    assert_eq!(texts(entry, "AddtlNtryInf"), ["=1+1, <b> & \"all\""]);
    assert_eq!(
        texts(statement, "Ntry/CdtDbtInd"),
        ["CRDT", "CRDT", "CRDT", "DBIT", "DBIT"]
    );
    assert_eq!(
        texts(statement, "Ntry/Amt"),
        ["100.00", "20.00", "5.00", "15.00", "30.00"]
    );
    assert!(
        found(statement, "Ntry/Amt")
            .iter()
            .all(|amount| amount.attribute("Ccy") == Some("USD"))
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_a_page_that_loads_nothing_and_runs_nothing() {
    let (alice, events) = autumn();
    let (_world, instance) = with_history(&events).await;
    let html = text(
        &instance,
        alice.wallet(),
        "month=2026-10&time_zone=Europe/Berlin&format=html",
    )
    .await;
    for says in [
        "2026-10-01 to 2026-10-31",
        "2026-10-01 00:00:00",
        "Europe/Berlin",
        "$120.00",
        "+100.00",
        "Wallet funded",
        "2 movements in USD",
        "&#38;",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(html.contains(says), "{says}: {html}");
    }
    for never in ["<script", "<b>", "http://", "https://", "url(", "@import"] {
        assert!(!html.contains(never), "{never}: {html}");
    }
    assert!(html.trim_end().ends_with("</html>"));
    // Where nothing moved, it says so.
    let quiet = "from=2026-10-10&to=2026-10-11&format=html";
    let html = text(&instance, alice.wallet(), quiet).await;
    for says in [
        "<title>Statement 2026-10-10",
        "<p class=\"period\">2026-10-10</p>",
        "Nothing moved in this period.",
        "No events in this period",
    ] {
        assert!(html.contains(says), "{says}: {html}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_that_cannot_be_meant_is_refused_by_a_code_of_its_own() {
    let opened = Chain::new("alice").opened();
    let (_world, instance) = with_history(std::slice::from_ref(&opened)).await;
    let wallet = opened.wallet_id;
    for (query, status, code, field) in [
        ("month=2026-13", 400, "invalid_month", "month"),
        ("month=2026-1", 400, "invalid_month", "month"),
        ("month=0000-01", 400, "invalid_month", "month"),
        (
            "month=2026-10&time_zone=Mars/Olympus",
            400,
            "unknown_time_zone",
            "time_zone",
        ),
        ("month=2026-10&format=pdf", 400, "unknown_format", "format"),
        (
            "month=2026-10&from=2026-10-01",
            400,
            "invalid_value",
            "month",
        ),
        ("from=2026-10-01", 400, "missing_field", "to"),
        ("", 400, "missing_field", "from"),
        (
            "from=2026-10-02&to=2026-10-01",
            400,
            "period_reversed",
            "to",
        ),
        (
            "from=2026-10-01&to=2026-10-01",
            400,
            "period_reversed",
            "to",
        ),
        (
            "from=2016-10-01&to=2026-11-01",
            400,
            "period_too_long",
            "to",
        ),
        (
            "from=2026-02-30&to=2026-11-01",
            400,
            "invalid_value",
            "from",
        ),
        ("from=yesterday&to=2026-11-01", 400, "invalid_value", "from"),
    ] {
        let (answered, problem) = instance.get(&path(wallet, query)).await;
        let error = &problem["errors"][0];
        assert_eq!(
            (answered, &problem["code"], &error["field"]),
            (status, &json!(code), &json!(field)),
            "{query}"
        );
    }
    let (status, problem) = instance
        .get(&path(WalletId::generate(), "month=2026-10"))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("wallet_not_found"))
    );
    let (status, problem) = instance
        .get(&path(wallet, "month=2026-10&min_sequence=2"))
        .await;
    assert_eq!((status, &problem["code"]), (503, &json!("history_behind")));
    instance.stop().await;
}

const FILL: &str = "
    insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
                        balance_after, occurred_at, actor, data, hash)
    select '01900000-0000-7000-8000-000000000001', n, gen_random_uuid(), 1, 'alice', 'wallet.funded', gen_random_uuid(), 1,
           'USD', n, timestamptz '2026-10-01 00:00:00Z' + n * interval '1 second', 'anonymous', '{}', sha256('a')
    from generate_series(1, 4001) as n;
    insert into wallets (wallet_id, user_id, currency) select distinct wallet_id, user_id, currency from events";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_many_parts_has_every_line_once() {
    let world = World::new().await;
    let instance = world.start().await;
    world.pool().execute(FILL).await.unwrap();
    let wallet = "01900000-0000-7000-8000-000000000001".parse().unwrap();
    let csv = text(&instance, wallet, "month=2026-10&format=csv").await;
    let rows = csv
        .split("\r\n")
        .filter(|row| row.contains(",wallet.funded,"));
    let numbers = rows.map(|row| row.split(',').next().unwrap().parse().unwrap());
    assert_eq!(Vec::<i64>::from_iter(numbers), Vec::from_iter(1..=4_001));
    assert!(csv.contains(",total_in,40.01,"));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_gets_no_turn_is_refused_and_does_not_break_off() {
    let events = Chain::new("alice").journal(2);
    let (world, instance) = with_history(&events).await;
    // Whoever asks for a summary waits, and keeps a turn.
    let mut holder = world.pool().acquire().await.unwrap();
    sqlx::raw_sql("begin; lock table wallet_months in access exclusive mode")
        .execute(&mut *holder)
        .await
        .unwrap();
    let path = |rest: &str| format!("/wallets/{}/{rest}", events[0].wallet_id);
    let summary = path("summary");
    let summaries = join_all((0..8).map(|_| instance.get(&summary)));
    let stated = async {
        world.database.until_one_waits().await;
        let (status, problem) = instance.get(&path("statement?month=2026-11")).await;
        assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
    };
    tokio::join!(summaries, stated);
    drop(holder);
    instance.stop().await;
}
