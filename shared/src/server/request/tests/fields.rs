//! Fields of which each has been read, and what is only against a rule.

use super::*;
use crate::Patch;

#[test]
fn a_value_of_a_map_that_is_null_is_not_given() {
    let map = |body: &str| {
        let fields = Fields::from_json(body.as_bytes()).unwrap();
        fields.read_with(|fields| Some(fields.text_map("metadata", TextMapLimits::METADATA)))
    };
    let read = map(r#"{"metadata": {"a": null, "b": "1"}}"#).unwrap();
    assert_eq!(
        read.into_iter().collect::<Vec<_>>(),
        [("b".to_owned(), "1".to_owned())]
    );
    assert!(map(r#"{"metadata": {"a": null}}"#).unwrap().is_empty());
    let twice = map(r#"{"metadata": {"a": null, "a": "1"}}"#).unwrap_err();
    assert_eq!(twice.code(), "duplicate_field");
}

#[test]
fn a_change_of_a_part_says_what_stays_what_goes_and_what_comes() {
    let patch = |body: &str| {
        let fields = Fields::from_json(body.as_bytes()).unwrap();
        fields.read_with(|fields| {
            let label = fields.patch_by_rule("label", parse::any_label(4), parse::label_rule(4));
            let metadata = fields.patch_text_map("metadata", TextMapLimits::METADATA);
            Some((label, metadata))
        })
    };
    assert_eq!(patch("{}").unwrap(), (Patch::Keep, Patch::Keep));
    let gone = patch(r#"{"label": null, "metadata": null}"#).unwrap();
    assert_eq!(gone, (Patch::Clear, Patch::Clear));
    let (label, metadata) = patch(r#"{"label": "a", "metadata": {"k": null, "l": "v"}}"#).unwrap();
    assert_eq!(label, Patch::Set("a".to_owned()));
    let pairs = [("k", None), ("l", Some("v"))];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
    assert_eq!(metadata, Patch::Set(pairs.into()));
    for (body, field) in [
        (r#"{"label": "longer"}"#, "label"),
        (r#"{"label": "   "}"#, "label"),
        (r#"{"label": "a "}"#, "label"),
        (r#"{"label": null, "label": null}"#, "label"),
        (r#"{"label": null, "label": "a"}"#, "label"),
        (r#"{"metadata": {"k": 1}}"#, "metadata.k"),
        (r#"{"metadata": null, "metadata": {}}"#, "metadata"),
        (r#"{"metadata": {"": null}}"#, r#"metadata."""#),
    ] {
        assert_eq!(patch(body).unwrap_err().errors()[0].field, field, "{body}");
    }
}

#[test]
fn what_is_only_against_a_rule_is_read_all_the_same() {
    let judged = |body: &str| {
        let fields = Fields::from_json(body.as_bytes()).unwrap();
        fields.judge(|fields| {
            let rule = |name: &String| {
                let is_long = name.len() > 1;
                is_long.then_some(()).ok_or(Invalid::value("is short"))
            };
            let name = fields.optional_by_rule("name", parse::text(9), rule);
            let limits = TextMapLimits {
                entries_max: 1,
                key_length_max: 1,
                value_length_max: 1,
            };
            Some((name, fields.text_map("metadata", limits)))
        })
    };
    let body = r#"{"name": "a", "metadata": {"bb": "1", "c": "22"}}"#;
    let Judged {
        value: (name, metadata),
        errors,
    } = judged(body).unwrap();
    assert_eq!(name.as_deref(), Some("a"));
    assert_eq!(metadata.len(), 2);
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["name", "metadata", "metadata.b…", "metadata.c"]);
    for unreadable in [
        r#"{"name": "a", "other": 1}"#,
        r#"{"name": "a", "metadata": {"b": 1}}"#,
        r#"{"name": "a", "metadata": 1}"#,
    ] {
        let errors = judged(unreadable).unwrap_err().errors().len();
        assert_eq!(errors, 2, "{unreadable}");
    }
}
