//! What a body may be, and what is said of one that is wrong.

use super::*;

#[tokio::test]
async fn a_whole_body_is_read() {
    let body = json!({"to_wallet_id": WALLET, "amount": "1.50", "reference": "ünïcödé!", "metadata": {"k": "v"}});
    let expected = format!(r#"{WALLET} 1.50 Some("ünïcödé!") {{"k": "v"}}"#);
    assert_eq!(
        post_json("/transfer", body.to_string()).await,
        (StatusCode::OK, expected)
    );
}

#[tokio::test]
async fn null_counts_as_left_out() {
    let body =
        json!({"to_wallet_id": WALLET, "amount": "1.50", "reference": null, "metadata": null});
    assert_eq!(
        post_json("/transfer", body.to_string()).await.0,
        StatusCode::OK
    );
    let body = json!({"to_wallet_id": null, "amount": "1.50"});
    let found = errors(post_json("/transfer", body.to_string()).await);
    assert_eq!(found, named(&[("missing_field", "to_wallet_id")]));
}

#[tokio::test]
async fn all_errors_are_reported_at_once() {
    let body =
        json!({"to_wallet_id": "42", "amount": 1.5, "reference": "much too long", "colour": "red"});
    let found = errors(post_json("/transfer", body.to_string()).await);
    let expected = [
        ("invalid_uuid", "to_wallet_id"),
        ("amount_not_string", "amount"),
        ("invalid_value", "reference"),
        ("unknown_field", "colour"),
    ];
    assert_eq!(found, named(&expected));
}

#[tokio::test]
async fn a_repeated_field_is_refused_even_when_its_values_agree() {
    let body = format!(r#"{{"to_wallet_id":"{WALLET}","amount":"1.50","amount":"1.50"}}"#);
    assert_eq!(
        errors(post_json("/transfer", body).await),
        named(&[("duplicate_field", "amount")])
    );
}

#[tokio::test]
async fn the_codes_of_the_callers_parser_are_kept() {
    let body = json!({"to_wallet_id": WALLET, "amount": "1.5"});
    let found = errors(post_json("/transfer", body.to_string()).await);
    assert_eq!(found, named(&[("amount_too_precise", "amount")]));
}

#[tokio::test]
async fn invisible_characters_are_refused() {
    for reference in ["a\u{0}b", "a\nb", "a\u{85}b", ""] {
        let body = json!({"to_wallet_id": WALLET, "amount": "1.50", "reference": reference});
        let found = errors(post_json("/transfer", body.to_string()).await);
        assert_eq!(
            found,
            named(&[("invalid_value", "reference")]),
            "{reference:?}"
        );
    }
}

#[tokio::test]
async fn metadata_is_a_bounded_map_of_texts() {
    let cases = [
        (
            r#"{"a":"1","b":"2","c":"3"}"#,
            ("invalid_value", "metadata"),
        ),
        (r#"{"a":1}"#, ("invalid_type", "metadata.a")),
        (r#"{"a":"1","a":"2"}"#, ("duplicate_field", "metadata.a")),
        (r#"{"":"1"}"#, ("invalid_value", r#"metadata."""#)),
        (r#"{"a\nb":"1"}"#, ("invalid_value", r"metadata.a\nb")),
        (r#"["a"]"#, ("invalid_type", "metadata")),
    ];
    for (metadata, expected) in cases {
        let body =
            format!(r#"{{"to_wallet_id":"{WALLET}","amount":"1.50","metadata":{metadata}}}"#);
        assert_eq!(
            errors(post_json("/transfer", body).await),
            named(&[expected]),
            "{metadata}"
        );
    }
}

#[tokio::test]
async fn errors_inside_a_list_name_their_place() {
    let body = json!({"legs": [{"amount": "1.00"}, {"amount": 2, "x": 1}, "three"]});
    let found = errors(post_json("/legs", body.to_string()).await);
    let expected = [
        ("amount_not_string", "legs[1].amount"),
        ("unknown_field", "legs[1].x"),
        ("invalid_type", "legs[2]"),
    ];
    assert_eq!(found, named(&expected));
    assert_eq!(
        errors(post_json("/legs", r#"{"legs":[]}"#).await),
        named(&[("invalid_value", "legs")])
    );
    assert_eq!(
        errors(post_json("/legs", r#"{"legs":{}}"#).await),
        named(&[("invalid_type", "legs")])
    );
    assert_eq!(
        errors(post_json("/legs", "{}").await),
        named(&[("missing_field", "legs")])
    );
    let body = json!({"legs": [{"amount": "1.00"}, {"amount": "2.00"}]});
    assert_eq!(
        post_json("/legs", body.to_string()).await,
        (StatusCode::OK, "1.00 2.00".to_owned())
    );
}

#[tokio::test]
async fn every_wrong_entry_of_a_list_names_its_place() {
    assert_eq!(post_json("/ids", r#"{"ids": [1, 2]}"#).await.1, "[1, 2]");
    assert_eq!(
        errors(post_json("/ids", r#"{"ids": ["1", 7, 0, -3]}"#).await),
        named(&[
            ("invalid_type", "ids[0]"),
            ("invalid_value", "ids[2]"),
            ("invalid_value", "ids[3]"),
        ])
    );
    for (body, expected) in [
        ("{}", ("missing_field", "ids")),
        (r#"{"ids": 1}"#, ("invalid_type", "ids")),
        (r#"{"ids": []}"#, ("invalid_value", "ids")),
        (r#"{"ids": [1, 2, 3, 4, 5]}"#, ("invalid_value", "ids")),
    ] {
        assert_eq!(
            errors(post_json("/ids", body).await),
            named(&[expected]),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_is_not_json_is_malformed_and_says_where() {
    let deep = "[".repeat(200);
    for body in ["", "{", "{}{}", "\u{feff}{}", r#"{"a":"\ud800"}"#, &deep] {
        let found = post_json("/transfer", body.to_owned()).await;
        assert!(found.1.contains("line 1 column"), "{}", found.1);
        assert_eq!(errors(found), named(&[("malformed_json", "")]));
    }
    assert_eq!(
        errors(post_json("/transfer", vec![0x22, 0xff, 0x22]).await),
        named(&[("malformed_json", "")])
    );
}

#[tokio::test]
async fn a_body_that_is_not_an_object_has_the_wrong_type() {
    for body in ["null", "[]", "7", "\"text\""] {
        assert_eq!(
            errors(post_json("/transfer", body).await),
            named(&[("invalid_type", "")])
        );
    }
}

#[tokio::test]
async fn thousands_of_errors_are_cut_to_a_few() {
    let body = format!(
        "{{{}}}",
        (0..150)
            .map(|n| format!("\"f{n}\":1"))
            .collect::<Vec<_>>()
            .join(",")
    );
    assert_eq!(errors(post_json("/transfer", body).await).len(), 20);
}

#[tokio::test]
async fn only_json_media_types_are_taken() {
    for (media_type, expected) in [
        ("application/json", StatusCode::OK),
        ("Application/JSON; charset=utf-8", StatusCode::OK),
        (
            "application/json; charset=utf-16",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("application/vnd.wallet+json", StatusCode::OK),
        ("text/json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/jsonp", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let body = json!({"to_wallet_id": WALLET, "amount": "1.50"}).to_string();
        let request = Request::post("/transfer")
            .header(CONTENT_TYPE, media_type)
            .body(Body::from(body))
            .unwrap();
        assert_eq!(answer(request).await.0, expected, "{media_type}");
    }
    let (status, body) = answer(Request::post("/transfer").body(Body::from("{}")).unwrap()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(
        body.contains(r#""code":"unsupported_media_type""#),
        "{body}"
    );
}

#[tokio::test]
async fn an_optional_body_may_be_absent_but_not_wrong() {
    let request = Request::post("/release").body(Body::empty()).unwrap();
    assert_eq!(answer(request).await, (StatusCode::OK, "false".to_owned()));
    assert_eq!(
        post_json("/release", "{}").await,
        (StatusCode::OK, "true".to_owned())
    );
    assert_eq!(
        errors(post_json("/release", r#"{"x":1}"#).await),
        named(&[("unknown_field", "x")])
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_whether_declared_or_streamed() {
    let large = "x".repeat(2049);
    let streamed = Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(
        large.clone(),
    )]));
    let declared = Request::post("/transfer")
        .header("content-length", large.len())
        .body(Body::from(large))
        .unwrap();
    for found in [
        post_json("/transfer", streamed).await,
        answer(declared).await,
    ] {
        assert_eq!(found.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(
            found.1.contains(r#""code":"body_too_large""#),
            "{}",
            found.1
        );
    }
}

#[tokio::test]
async fn numbers_in_json_are_not_texts() {
    for (body, code) in [
        (r#"{"limit":"7"}"#, "invalid_type"),
        (r#"{"limit":7.5}"#, "invalid_value"),
        (r#"{"limit":70000}"#, "invalid_value"),
        (r#"{"limit":-1}"#, "invalid_value"),
        (r#"{"newest_first":"true"}"#, "invalid_type"),
    ] {
        assert_eq!(
            errors(post_json("/release", body).await)[0].0,
            code,
            "{body}"
        );
    }
}
