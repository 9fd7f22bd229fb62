//! What stands in the path, the query and the headers.

use super::*;

#[tokio::test]
async fn query_parameters_are_read_by_the_same_rules() {
    assert_eq!(get_text("/page").await.1, "50 true");
    assert_eq!(
        get_text("/page?limit=7&newest_first=false").await.1,
        "7 false"
    );
    for (query, expected) in [
        ("limit=0", ("invalid_value", "limit")),
        ("limit=201", ("invalid_value", "limit")),
        ("limit=ten", ("invalid_value", "limit")),
        ("limit=7&limit=8", ("duplicate_field", "limit")),
        ("newest_first=1", ("invalid_value", "newest_first")),
        ("page=2", ("unknown_parameter", "page")),
    ] {
        assert_eq!(
            errors(get_text(&format!("/page?{query}")).await),
            named(&[expected]),
            "{query}"
        );
    }
}

#[tokio::test]
async fn only_the_canonical_form_of_an_id_is_taken() {
    assert_eq!(
        get_text(&format!("/wallets/{WALLET}")).await,
        (StatusCode::OK, WALLET.to_owned())
    );
    let upper = get_text(&format!("/wallets/{}", WALLET.to_uppercase())).await;
    assert_eq!(upper, (StatusCode::OK, WALLET.to_owned()));
    for id in [
        WALLET.replace('-', ""),
        format!("urn:uuid:{WALLET}"),
        format!("%7B{WALLET}%7D"),
        "1".to_owned(),
    ] {
        assert_eq!(
            errors(get_text(&format!("/wallets/{id}")).await),
            named(&[("invalid_uuid", "id")]),
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_path_value_parses_or_is_refused_by_name() {
    assert_eq!(get_text("/keys/order-7").await.1, "order-7");
    assert_eq!(
        errors(get_text("/keys/two%20words").await),
        named(&[("invalid_value", "key")])
    );
    for misread in ["%ff", "%zz", "%2", "a%", "%25%"] {
        assert_eq!(
            errors(get_text(&format!("/keys/{misread}")).await),
            named(&[("invalid_value", "key")]),
            "{misread}"
        );
    }
    assert_eq!(get_text("/keys/a%25zz").await.1, "a%zz");
}

#[tokio::test]
async fn a_parameter_that_would_be_read_as_another_than_was_sent_is_refused_by_name() {
    for (query, expected) in [
        ("limit=%ff", &["limit"][..]),
        ("limit=%zz", &["limit"]),
        ("limit=7&page=10%", &["page"]),
        (
            "limit=7&newest_first=tr%C3e&page=%c3%28",
            &["newest_first", "page"],
        ),
        ("%ff=1", &["\u{fffd}"]),
    ] {
        let expected: Vec<_> = expected
            .iter()
            .map(|name| ("invalid_value", *name))
            .collect();
        assert_eq!(
            errors(get_text(&format!("/page?{query}")).await),
            named(&expected),
            "{query}"
        );
    }
    assert_eq!(
        errors(get_text("/page?limit=%EF%BF%BD").await),
        named(&[("invalid_value", "limit")])
    );
}

#[tokio::test]
async fn a_number_in_the_path_is_one_from_1_on_or_refused_with_the_rule() {
    let last = i64::MAX.to_string();
    for number in ["1", &last] {
        assert_eq!(get_text(&format!("/orders/{number}")).await.1, number);
    }
    for wrong in ["0", "-1", "x", "1.0", "9223372036854775808", "%20"] {
        let (status, body) = get_text(&format!("/orders/{wrong}")).await;
        assert!(
            body.contains(&format!("must be a whole number from 1 to {last}")),
            "{wrong}: {body}"
        );
        assert_eq!(
            errors((status, body)),
            named(&[("invalid_value", "id")]),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_demanded_key_that_is_missing_is_named() {
    let (status, body) = answer(Request::post("/keyed").body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body.contains(r#""code":"idempotency_key_missing""#),
        "{body}"
    );
    assert!(
        body.contains("is required here") && body.contains(r#""field":"idempotency-key""#),
        "{body}"
    );
    let request = Request::post("/keyed")
        .header("idempotency-key", "\"k-1\"")
        .header("if-match", "\"3\"");
    assert_eq!(
        answer(request.body(Body::empty()).unwrap()).await.1,
        "k-1 Some(Version(3))"
    );
}
