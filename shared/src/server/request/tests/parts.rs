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
    assert_eq!(get_text("/keys/%ff").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_demanded_key_that_is_missing_is_named() {
    let (status, body) = answer(Request::post("/keyed").body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body.contains(r#""code":"idempotency_key_missing""#),
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
