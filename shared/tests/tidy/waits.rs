//! Tests wait for a condition with a deadline (`shared::testing`), never for time to pass.

use syn::{Item, visit::Visit};

use crate::{
    assert_nowhere,
    source::{self, Source},
};

/// Where the waiting itself is written.
const WAITS: &str = "shared/src/testing/waiting.rs";

fn sleeps_in_tests(source: &Source) -> Vec<String> {
    if source.is_in(WAITS) {
        return Vec::new();
    }
    let mut sleeps = Sleeps {
        in_tests: source.is_test(),
        lines: Vec::new(),
    };
    sleeps.visit_file(source.file());
    let found = sleeps.lines.into_iter();
    found
        .map(|line| source.at(line, "a test sleeps instead of waiting for a condition"))
        .collect()
}

struct Sleeps {
    in_tests: bool,
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Sleeps {
    fn visit_item(&mut self, item: &'ast Item) {
        let before = self.in_tests;
        self.in_tests |= source::attributes(item).iter().any(source::is_for_tests);
        syn::visit::visit_item(self, item);
        self.in_tests = before;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let name = path
            .segments
            .last()
            .map(|segment| segment.ident.to_string());
        if self.in_tests && name.is_some_and(|name| name == "sleep" || name == "sleep_until") {
            self.lines.push(source::line_of(path));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let text = call.tokens.to_string();
        if self.in_tests && text.split([' ', '(']).any(|word| word == "sleep") {
            self.lines.push(source::line_of(call));
        }
    }
}

#[test]
fn no_test_sleeps() {
    assert_nowhere(sleeps_in_tests);
}

#[test]
fn a_sleep_in_a_test_is_found() {
    let found = |path, text| sleeps_in_tests(&Source::new(path, text)).len();
    let sleep = "async fn x() { tokio::time::sleep(SECOND).await; }";
    let inline = format!("#[cfg(test)] mod tests {{ {sleep} }}");
    let in_macro = "fn x() { select! { () = tokio::time::sleep(SECOND) => {} } }";
    assert_eq!(found("shared/tests/it/x.rs", sleep), 1);
    assert_eq!(found("shared/tests/it/x.rs", in_macro), 1);
    assert_eq!(found("shared/src/x.rs", &inline), 1);
    assert_eq!(found("shared/src/x.rs", sleep), 0);
    assert_eq!(found(WAITS, &inline), 0);
}
