//! What is said about the numbers of the services fits the numbers: the page, the alarms and the dashboards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::Deserialize;
use serde_json::Value;
use shared::{
    server::metrics::{Definition, Kind},
    testing::exposition::{is_of, promtool},
};

const ALARMS: &str = "ops/prometheus/alerts.yml";
const ALARM_TESTS: &str = "ops/prometheus/alerts.test.yml";
const DASHBOARDS: [&str; 2] = [
    "ops/grafana/dashboards/money.json",
    "ops/grafana/dashboards/pipeline.json",
];
/// What Prometheus adds to every number, and to the buckets of a histogram.
const ADDED_LABELS: [&str; 3] = ["instance", "job", "le"];

fn read(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Of both services, once each.
fn definitions() -> Vec<Definition> {
    let mut all = wallet_service::app::definitions();
    for definition in history_service::metrics::definitions() {
        if !all.contains(&definition) {
            all.push(definition);
        }
    }
    all
}

#[test]
fn the_page_of_metrics_has_every_metric_as_it_is_and_no_other() {
    let page = read("docs/metrics.md");
    let listed: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let rows: Vec<String> = definitions().iter().map(row).collect();
    let is: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(listed, is);
}

fn row(definition: &Definition) -> String {
    let Definition {
        name,
        kind,
        unit,
        labels,
        help,
    } = definition;
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = labels.join(", ");
    format!("| `{name}` | {kind} | {unit} | {labels} | {help} |")
}

#[derive(Deserialize)]
struct Alarms {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alarm>,
}

#[derive(Deserialize)]
struct Alarm {
    alert: String,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn alarms() -> Vec<Alarm> {
    let alarms: Alarms = serde_saphyr::from_str(&read(ALARMS)).unwrap();
    let groups = alarms.groups.into_iter();
    groups.flat_map(|group| group.rules).collect()
}

/// Title and expressions of every panel.
fn panels() -> Vec<(String, Vec<String>)> {
    let boards = DASHBOARDS.map(|path| serde_json::from_str::<Value>(&read(path)).unwrap());
    let panels = boards
        .iter()
        .flat_map(|board| board["panels"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    panels
        .map(|panel| {
            let targets = panel["targets"].as_array().unwrap();
            let expressions = targets.iter().map(|target| text(&target["expr"]));
            (text(&panel["title"]), expressions.collect())
        })
        .collect()
}

#[test]
fn alarms_and_dashboards_use_only_numbers_and_labels_that_there_are() {
    let definitions = definitions();
    let mut expressions: Vec<(String, String)> = alarms()
        .into_iter()
        .map(|alarm| (alarm.alert, alarm.expr))
        .collect();
    for (title, of_panel) in panels() {
        assert!(!of_panel.is_empty(), "{title} shows nothing");
        expressions.extend(
            of_panel
                .into_iter()
                .map(|expression| (title.clone(), expression)),
        );
    }
    let faults: Vec<String> = expressions
        .iter()
        .flat_map(|(of, expression)| {
            let faults = faults(expression, &definitions).into_iter();
            faults.map(move |fault| format!("{of}: {fault}"))
        })
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_number_or_a_label_that_is_not_there_is_found() {
    let definitions = definitions();
    for good in [
        "up{job=~\"a|b\"} == 0",
        "histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket{route!~\"/x\"}[5m]))) > 1",
        "max(outbox_events) > 30 or absent(outbox_events)",
        "rate(http_requests_total[$__rate_interval])",
    ] {
        assert_eq!(faults(good, &definitions), [""; 0], "{good}");
    }
    for bad in [
        "outbox_event > 1",
        "http_request_duration_seconds > 1",
        "http_requests_total_bucket > 1",
        "outbox_events{kind=\"a\"} > 1",
        "sum by (wallet) (http_requests_total)",
    ] {
        assert!(!faults(bad, &definitions).is_empty(), "{bad}");
    }
}

/// What of an expression is not there.
fn faults(expression: &str, definitions: &[Definition]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last: Option<&Definition> = None;
    for token in tokens(expression) {
        match token {
            Token::Name("up") => last = None,
            Token::Name(name) => {
                last = definitions
                    .iter()
                    .find(|definition| is_of(name, definition));
                if last.is_none() {
                    faults.push(format!("there is no {name}"));
                }
            }
            Token::Matched(label) => {
                let labels = last.map_or(&[][..], |definition| definition.labels);
                if !labels.contains(&label) && !ADDED_LABELS.contains(&label) {
                    faults.push(format!("{label} is no label of what it is asked of"));
                }
            }
            Token::By(label) => {
                let mut of_any = definitions.iter().flat_map(|definition| definition.labels);
                if !of_any.any(|known| *known == label) && !ADDED_LABELS.contains(&label) {
                    faults.push(format!("{label} is a label of nothing"));
                }
            }
        }
    }
    faults
}

#[derive(Debug)]
enum Token<'a> {
    Name(&'a str),
    /// A label within braces.
    Matched(&'a str),
    /// A label that is grouped by.
    By(&'a str),
}

/// Of `PromQL` as far as it is used here.
fn tokens(expression: &str) -> Vec<Token<'_>> {
    const WORDS: [&str; 4] = ["and", "or", "unless", "bool"];
    let (mut tokens, mut rest) = (Vec::new(), expression);
    let (mut in_braces, mut in_by) = (false, false);
    let mut is_by = false;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        if first == '"' {
            let end = rest[1..].find('"').unwrap() + 2;
            rest = &rest[end..];
        } else if first == '[' {
            rest = &rest[rest.find(']').unwrap()..];
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            let after = after.trim_start();
            let is_called = after.starts_with('(') || after.starts_with("by (");
            if word == "by" || word == "without" {
                is_by = true;
            } else if in_braces {
                tokens.push(Token::Matched(word));
            } else if in_by {
                tokens.push(Token::By(word));
            } else if !first.is_ascii_digit() && !is_called && !WORDS.contains(&word) {
                tokens.push(Token::Name(word));
            }
        } else {
            match first {
                '{' => in_braces = true,
                '}' => in_braces = false,
                '(' => in_by = std::mem::take(&mut is_by),
                ')' => in_by = false,
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

#[test]
fn every_alarm_says_why_and_where_to_read_what_to_do() {
    let page = read("docs/operations.md");
    for Alarm {
        alert,
        labels,
        annotations,
        ..
    } in alarms()
    {
        let severity = labels.get("severity").map(String::as_str);
        assert!(
            matches!(severity, Some("page" | "ticket")),
            "{alert}: {severity:?}"
        );
        for name in ["summary", "reason", "runbook"] {
            assert!(annotations.contains_key(name), "{alert} has no {name}");
        }
        let runbook = &annotations["runbook"];
        let anchor = runbook
            .strip_prefix("docs/operations.md#")
            .unwrap_or_else(|| panic!("{alert}: {runbook}"));
        let section = section(&page, anchor);
        let section = section.unwrap_or_else(|| panic!("{alert}: there is no section {anchor}"));
        let named = format!("`{alert}`");
        assert!(
            section.contains(&named),
            "the section {anchor} does not name {alert}"
        );
    }
}

/// What stands under a heading of the third level.
fn section<'a>(page: &'a str, anchor: &str) -> Option<&'a str> {
    let mut sections = page.split("\n### ").skip(1);
    sections.find(|section| {
        let heading = section.lines().next().unwrap_or_default();
        heading.to_lowercase().replace(' ', "-") == anchor
    })
}

#[test]
fn every_alarm_is_shown_firing_and_none_while_all_is_well() {
    #[derive(Deserialize)]
    struct Tests {
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    struct Test {
        name: String,
    }
    let tests: Tests = serde_saphyr::from_str(&read(ALARM_TESTS)).unwrap();
    let shown: BTreeSet<String> = tests.tests.into_iter().map(|test| test.name).collect();
    let mut wanted: BTreeSet<String> = alarms().into_iter().map(|alarm| alarm.alert).collect();
    wanted.insert("all is well".to_owned());
    assert_eq!(shown, wanted);
}

#[test]
fn promtool_finds_rules_configuration_and_tests_in_order() {
    // As in the container, where there is a file for the token.
    let folder = std::env::temp_dir().join(format!("prometheus-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let [plain, guarded] = ["prometheus.yml", "guarded.yml"].map(|name| {
        let configuration = read(&format!("ops/prometheus/{name}"));
        let configuration = configuration
            .replace("/run/secrets/metrics.token", "/dev/null")
            .replace("/run/secrets/ca.pem", "/dev/null");
        let copy = folder.join(name);
        fs::write(&copy, configuration).unwrap();
        copy
    });
    fs::write(folder.join("alerts.yml"), read(ALARMS)).unwrap();
    for arguments in [
        &["check", "rules", ALARMS][..],
        &["check", "config", plain.to_str().unwrap()],
        &["check", "config", guarded.to_str().unwrap()],
        &["test", "rules", ALARM_TESTS],
    ] {
        let checked = promtool(arguments, "");
        assert!(checked.status.success(), "{arguments:?}: {checked:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_label_tells_one_wallet_user_or_key_from_another() {
    for definition in definitions() {
        let fault = shared::server::metrics::check(&definition);
        assert_eq!(fault, Ok(()), "{definition:?}");
        if definition.kind == Kind::Histogram {
            assert!(definition.labels.len() <= 2, "{definition:?}");
        }
    }
}
