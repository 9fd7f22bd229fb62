//! One word for one thing: names that were given up do not come back.

use proc_macro2::{TokenStream, TokenTree};

use crate::{assert_nowhere, source::Source};

/// With what the thing is called instead.
const GIVEN_UP: &[(&str, &str)] = &[
    ("Book", "WalletCache"),
    ("Claims", "InFlightKeys"),
    ("FORM", "FORMAT_VERSION"),
    ("Lane", "SettlementShard"),
    ("LaneLease", "ShardLease"),
    ("Obstacle", "BalanceError"),
    ("PACES", "LINGER_BY_BATCH_SIZE"),
    ("PATIENCE", "LINGER_BY_BATCH_SIZE"),
    ("Packer", "RowEncoder"),
    ("Projection", "WalletProjector"),
    ("Repeats", "ReplayDetector"),
    ("Story", "EventBuilder"),
    ("Told", "ResponseBody"),
    ("Touched", "WalletUpdate"),
    ("Trouble", "RequestFailure"),
    ("are_about", "is_active"),
    ("end_round", "end_epoch"),
    ("take_up", "resume_from_offsets"),
    ("unborn", "before_first_event"),
    ("vouch", "guard_unchanged"),
];

fn given_up(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let tokens = source.text.parse().unwrap();
    look(tokens, source, &mut found);
    found
}

fn look(tokens: TokenStream, source: &Source, found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => look(group.stream(), source, found),
            TokenTree::Ident(name) => {
                let line = name.span().start().line;
                let name = name.to_string();
                if let Some((old, new)) = GIVEN_UP.iter().find(|(old, _)| *old == name) {
                    found.push(source.at(line, &format!("{old} is called {new}")));
                } else if name.ends_with("_PATIENCE") {
                    found.push(
                        source.at(line, &format!("{name}: a time-out, a deadline or a drain")),
                    );
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[test]
fn no_name_that_was_given_up_is_used() {
    assert_nowhere(given_up);
}

#[test]
fn a_name_that_was_given_up_is_found() {
    let found = |text| given_up(&Source::new("shared/src/x.rs", text)).len();
    assert_eq!(found("struct Book; fn x(book: Book) {}"), 2);
    assert_eq!(found("const STOP_PATIENCE: u8 = 1;"), 1);
    assert_eq!(found("struct Bookkeeping; fn x() { \"Book\"; } // Book"), 0);
}
