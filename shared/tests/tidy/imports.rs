//! Who may use whom: a pure rule never lies beside I/O, and what one room is for does not leak into another.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{UseTree, visit::Visit};

use crate::{
    assert_nowhere,
    source::{self, Source},
};

/// What must never be: nothing in the place names any of the paths, neither in `use` nor on the spot.
struct Never {
    place: &'static str,
    paths: &'static [&'static str],
    why: &'static str,
    /// Whether its tests are held to it as well.
    tests_too: bool,
}

const NEVER: &[Never] = &[
    Never {
        place: "wallet-service/src/ledger",
        paths: &[
            "crate::http",
            "axum",
            "hyper",
            "tower_http",
            "shared::server::http",
        ],
        why: "the ledger knows no HTTP",
        tests_too: false,
    },
    Never {
        place: "wallet-service/src/ledger",
        paths: &["rdkafka", "shared::server::kafka"],
        why: "the ledger knows no Kafka",
        tests_too: false,
    },
    Never {
        place: "wallet-service/src/http",
        paths: &["sqlx"],
        why: "handlers know no SQL",
        tests_too: false,
    },
    Never {
        place: "history-service/src/http",
        paths: &["sqlx"],
        why: "handlers know no SQL",
        tests_too: false,
    },
    Never {
        place: "history-service",
        paths: &["wallet_service"],
        why: "one service never builds on the other",
        tests_too: true,
    },
    Never {
        place: "wallet-service",
        paths: &["history_service"],
        why: "one service never builds on the other",
        tests_too: true,
    },
    Never {
        place: "shared",
        paths: &["wallet_service", "history_service", "walletctl"],
        why: "the contract knows none of those who keep it",
        tests_too: true,
    },
    Never {
        place: "wallet-service/src/ledger/decide",
        paths: IMPURE,
        why: "deciding is pure: no clock, no randomness, no I/O",
        tests_too: false,
    },
    Never {
        place: "history-service/src/ingest/apply",
        paths: IMPURE,
        why: "applying is pure: no clock, no randomness, no I/O",
        tests_too: false,
    },
];

/// Clocks, randomness and I/O. A path that begins with `*::` may end any other.
const IMPURE: &[&str] = &[
    "axum",
    "chrono::Local",
    "fastrand",
    "futures",
    "hyper",
    "rand",
    "rand_core",
    "rdkafka",
    "reqwest",
    "sqlx",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tracing",
    "*::now",
    "*::now_v7",
    "*::new_v4",
    "*::new_v7",
    "*::generate",
    "*::random",
];

/// Files that hold the statements of a noun.
fn is_store(source: &Source) -> bool {
    source.path.contains("/src/")
        && (source.path.contains("/store/")
            || source.path.ends_with("/store.rs")
            || source.path.contains("/history/statement/"))
}

const NEVER_IN_A_STORE: Never = Never {
    place: "",
    paths: &["axum", "hyper", "crate::http", "shared::server::http"],
    why: "a store knows no HTTP",
    tests_too: false,
};

fn forbidden(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for never in NEVER.iter().filter(|never| source.is_in(never.place)) {
        found.extend(used_against(source, never));
    }
    if is_store(source) {
        found.extend(used_against(source, &NEVER_IN_A_STORE));
    }
    found
}

fn used_against(source: &Source, never: &Never) -> Vec<String> {
    let file = if never.tests_too {
        source.file().clone()
    } else {
        source.shipped()
    };
    let used = paths_in(&file, &module_of(&source.path));
    let against = used.into_iter().filter(|(_, path)| {
        let mut paths = never.paths.iter();
        paths.any(|forbidden| leads_to(path, forbidden))
    });
    against
        .map(|(line, path)| source.at(line, &format!("{path}: {}", never.why)))
        .collect()
}

fn leads_to(path: &str, forbidden: &str) -> bool {
    if let Some(end) = forbidden.strip_prefix('*') {
        return path.ends_with(end);
    }
    path.strip_prefix(forbidden)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The module that a file is, as a path from the crate's root: `crate::ledger::decide`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or("", |(_, inside)| inside);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let names = inside
        .split('/')
        .filter(|name| !matches!(*name, "" | "mod" | "lib" | "main"));
    std::iter::once("crate")
        .chain(names)
        .map(str::to_owned)
        .collect()
}

/// Every path of two or more names, and every name that a `use` brings, with its line; `super` and `self` resolved.
fn paths_in(file: &syn::File, module: &[String]) -> BTreeSet<(usize, String)> {
    let mut paths = Paths {
        module: module.to_vec(),
        found: BTreeSet::new(),
    };
    paths.visit_file(file);
    paths.found
}

struct Paths {
    module: Vec<String>,
    found: BTreeSet<(usize, String)>,
}

impl Paths {
    fn note(&mut self, line: usize, names: &[String]) {
        let mut resolved = match names.first().map(String::as_str) {
            Some("self" | "super") => self.module.clone(),
            _ => Vec::new(),
        };
        for name in names {
            match name.as_str() {
                "self" => {}
                "super" => drop(resolved.pop()),
                other => resolved.push(other.to_owned()),
            }
        }
        self.found.insert((line, resolved.join("::")));
    }

    fn note_use(&mut self, tree: &UseTree, before: &[String]) {
        let and = |name: &syn::Ident| {
            let mut names = before.to_vec();
            names.push(name.to_string());
            names
        };
        match tree {
            UseTree::Path(path) => self.note_use(&path.tree, &and(&path.ident)),
            UseTree::Name(name) => self.note(source::line_of(name), &and(&name.ident)),
            UseTree::Rename(name) => self.note(source::line_of(name), &and(&name.ident)),
            UseTree::Glob(glob) => self.note(source::line_of(glob), before),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_use(tree, before);
                }
            }
        }
    }

    /// What a macro is given is not parsed: names that `::` joins.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut names: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note_if_joined(line, &names);
                        names.clear();
                    }
                    line = name.span().start().line;
                    names.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.note_if_joined(line, &names);
                    names.clear();
                    self.note_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note_if_joined(line, &names);
                    names.clear();
                    colons = 0;
                }
            }
        }
        self.note_if_joined(line, &names);
    }

    fn note_if_joined(&mut self, line: usize, names: &[String]) {
        if names.len() > 1 {
            self.note(line, names);
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.module.push(module.ident.to_string());
        syn::visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.note_if_joined(source::line_of(path), &names);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.note_tokens(call.tokens.clone());
    }
}

#[test]
fn nobody_uses_what_it_must_not_know() {
    assert_nowhere(forbidden);
}

#[test]
fn every_place_of_the_list_exists() {
    let sources = source::workspace();
    for never in NEVER {
        let found = sources.iter().any(|source| source.is_in(never.place));
        assert!(found, "{} is elsewhere", never.place);
    }
    assert!(sources.iter().any(is_store));
}

#[test]
fn what_must_never_be_used_is_found() {
    let found = |path, text| forbidden(&Source::new(path, text)).len();
    let ledger = "wallet-service/src/ledger/writer/x.rs";
    assert_eq!(found(ledger, "use crate::{http::Problem, outbox};"), 1);
    assert_eq!(found(ledger, "use super::super::super::http::Problem;"), 1);
    assert_eq!(found(ledger, "use rdkafka as kafka;"), 1);
    assert_eq!(found(ledger, "fn x() -> axum::Router { todo!() }"), 1);
    assert_eq!(
        found(ledger, "fn x() { select! { _ = rdkafka::x() => {} } }"),
        1
    );
    assert_eq!(
        found(
            ledger,
            "use super::http; #[cfg(test)] mod tests { use axum::Router; }"
        ),
        0
    );
    assert_eq!(
        found("history-service/src/http/x.rs", "use sqlx::PgPool;"),
        1
    );
    assert_eq!(
        found(
            "history-service/src/http/x.rs",
            "use crate::history::store;"
        ),
        0
    );
    assert_eq!(
        found("history-service/src/status/store.rs", "use axum::Json;"),
        1
    );
    assert_eq!(
        found(
            "history-service/tests/it/x.rs",
            "use wallet_service::app::App;"
        ),
        1
    );
    assert_eq!(found("shared/src/x.rs", "use wallet_service::app::App;"), 1);

    let decide = "wallet-service/src/ledger/decide/x.rs";
    assert_eq!(found(decide, "fn x() { let at = Timestamp::now(); }"), 1);
    assert_eq!(
        found(decide, "fn x() { let id = shared::EventId::new_v7(); }"),
        1
    );
    assert_eq!(found(decide, "use std::{collections::BTreeMap, fs};"), 1);
    assert_eq!(
        found(decide, "use shared::Timestamp; fn x(now: Timestamp) {}"),
        0
    );
}
