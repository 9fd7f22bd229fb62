//! What `/metrics` prints, read as Prometheus reads it, and beside the list of what should be there.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Output, Stdio},
};

use crate::server::metrics::{Definition, Kind};

/// See the module.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    /// By name: help and type.
    families: BTreeMap<String, (String, String)>,
    samples: Vec<Sample>,
}

/// A value under its name and labels.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Exposition {
    /// # Panics
    /// At a line that is none of the format.
    pub fn parse(text: &str) -> Self {
        let (mut families, mut samples) = (BTreeMap::new(), Vec::new());
        let mut help = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                rest.clone_into(&mut help);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = split(rest, ' ');
                let (helped, words) = split(&help, ' ');
                assert_eq!(name, helped, "help and type stand beside each other");
                let told = (words.to_owned(), kind.to_owned());
                assert!(
                    families.insert(name.to_owned(), told).is_none(),
                    "{name} is printed twice"
                );
            } else {
                samples.push(Sample::parse(line));
            }
        }
        Self {
            text: text.to_owned(),
            families,
            samples,
        }
    }

    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The sum of those that have these labels, among others. Nothing when there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.samples.iter().filter(|sample| {
            let has = |(label, value): &(&str, &str)| {
                sample.labels.get(*label).is_some_and(|had| had == value)
            };
            sample.name == name && labels.iter().all(has)
        });
        let values: Vec<f64> = found.map(|sample| sample.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Holds what is printed against the list: the same names, kinds and helps, and no label that is not in it.
    ///
    /// # Panics
    /// At the first difference.
    pub fn assert_is_what(&self, definitions: &[Definition]) {
        let listed: BTreeMap<String, (String, String)> = definitions
            .iter()
            .map(|definition| {
                let told = (format!("{}.", definition.help), definition.kind.to_string());
                (definition.name.to_owned(), told)
            })
            .collect();
        assert_eq!(
            self.families, listed,
            "what is printed beside what is listed"
        );
        for sample in &self.samples {
            let definition = definitions
                .iter()
                .find(|definition| is_of(&sample.name, definition));
            let Some(definition) = definition else {
                panic!("{} is of no metric", sample.name)
            };
            let mut labels: BTreeSet<&str> = sample.labels.keys().map(String::as_str).collect();
            if sample.name.ends_with("_bucket") {
                labels.remove("le");
            }
            assert_eq!(
                labels,
                definition.labels.iter().copied().collect(),
                "{sample:?}"
            );
        }
    }

    /// Has promtool look for what is unusual.
    ///
    /// # Panics
    /// When it finds something.
    pub fn assert_promtool_is_content(&self) {
        let checked = promtool(&["check", "metrics"], &self.text);
        assert!(checked.status.success(), "{checked:?}");
    }
}

/// Whether a sample of this name is one of the metric.
pub fn is_of(sample: &str, definition: &Definition) -> bool {
    match definition.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| sample.strip_suffix(end) == Some(definition.name)),
        Kind::Counter | Kind::Gauge => sample == definition.name,
    }
}

/// Runs promtool, which scripts/install brings, with this to read.
///
/// # Panics
/// When there is none.
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let started = Command::new("promtool")
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut started = super::expect(started, "promtool is there: scripts/install --test");
    if let Some(mut stdin) = started.stdin.take() {
        super::expect(stdin.write_all(input.as_bytes()), "promtool reads");
    }
    super::expect(started.wait_with_output(), "promtool ends")
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let value = match value {
            "+Inf" => f64::INFINITY,
            value => value
                .parse()
                .unwrap_or_else(|_| panic!("no number: {line}")),
        };
        Self {
            name: name.to_owned(),
            labels: parse_labels(labels.trim_end_matches('}')),
            value,
        }
    }
}

/// `a="1",b="2"`, without escapes: no value of ours has any.
fn parse_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, after) = split(after, '"');
        labels.insert(name.trim_start_matches(',').to_owned(), value.to_owned());
        rest = after;
    }
    labels
}

fn split(text: &str, at: char) -> (&str, &str) {
    text.split_once(at)
        .unwrap_or_else(|| panic!("no {at:?} in {text}"))
}
