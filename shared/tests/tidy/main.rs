//! Rules for the sources of the whole workspace that no lint of the compiler knows: who may use whom, how long files and
//! functions are, how tests wait, and where settings are written down. Each rule is shown to find what breaks it.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not the helpers of a test binary"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of expressions and items are the language's, and only some of them matter here"
)]

mod imports;
mod lengths;
mod settings;
mod source;
mod tables;
mod waits;
mod words;

use source::Source;

/// Applies a rule to every file of the workspace and shows all that it finds.
#[track_caller]
fn assert_nowhere(rule: impl Fn(&Source) -> Vec<String>) {
    let found: Vec<String> = source::workspace().iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
