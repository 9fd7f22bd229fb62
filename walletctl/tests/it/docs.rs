//! The pages say what the services do: every code and every route is explained, and nothing that is not there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use shared::{
    event::EventKind,
    problem::Code,
    server::{auth::Access, http::Route},
};
use strum::IntoEnumIterator;

/// Where files are that pages speak of.
const FOLDERS: [&str; 11] = [
    ".ci",
    "bench",
    "docs",
    "examples",
    "history-service",
    "migrations",
    "ops",
    "scripts",
    "shared",
    "wallet-service",
    "walletctl",
];

#[test]
fn every_code_has_one_row_with_its_status_and_no_row_is_of_another() {
    let listed: Vec<(String, String)> = error_rows()
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let emitted: Vec<(String, String)> = Code::iter()
        .map(|code| (code.status().to_string(), format!("`{code}`")))
        .collect();
    assert_eq!(
        listed, emitted,
        "docs/errors.md beside shared::problem::Code"
    );
}

#[test]
fn every_route_is_on_the_page_of_its_service_and_every_route_there_is_one() {
    for (page, routes) in [
        ("docs/api/wallet.md", wallet_service::http::routes()),
        ("docs/api/history.md", history_service::http::routes()),
    ] {
        let needed = |route: &Route| match route.access {
            Access::Open => String::new(),
            Access::Scope(scope) => scope.to_string(),
        };
        let served: BTreeSet<(String, String)> = routes
            .iter()
            .map(|route| (route.to_string(), needed(route)))
            .collect();
        let listed: BTreeSet<(String, String)> = rows(&read(page))
            .iter()
            .filter_map(|row| {
                let route = quoted(&row[0]).into_iter().next()?;
                let scope = quoted(row.last()?).into_iter().next().unwrap_or_default();
                Some((route.to_owned(), scope.to_owned()))
            })
            .filter(|(route, _)| route.starts_with(char::is_uppercase) && route.contains(" /"))
            .collect();
        assert_eq!(listed, served, "{page} beside the router");
    }
}

#[test]
fn the_codes_that_the_pages_of_the_apis_name_are_codes_of_that_status() {
    let codes: BTreeSet<(u16, &str)> = Code::iter()
        .map(|code| (code.status(), code.as_str()))
        .collect();
    for page in [
        "docs/api/README.md",
        "docs/api/wallet.md",
        "docs/api/history.md",
    ] {
        let named = named_codes(&read(page));
        assert!(!named.is_empty(), "{page} names codes");
        for (status, code) in named {
            assert!(
                codes.contains(&(status, &code)),
                "{page} names {status} {code}"
            );
        }
    }
}

#[test]
fn every_kind_of_event_is_on_the_page_of_events() {
    let table = rows(&read("docs/events.md")).concat().join(" | ");
    let listed: BTreeSet<&str> = quoted(&table).into_iter().collect();
    for kind in EventKind::ALL {
        assert!(
            listed.contains(kind.as_str()),
            "docs/events.md has no row of {kind}"
        );
    }
}

#[test]
fn every_part_of_health_and_what_it_says_is_on_the_page_of_the_apis() {
    let page = read("docs/api/README.md");
    for service in ["wallet-service", "history-service"] {
        let source: String = files(&format!("{service}/src"))
            .iter()
            .filter(|file| file.ends_with(".rs"))
            .map(|file| read(file))
            .collect();
        let parts = ["component(\"", "check(\"", "probe(\""].map(|call| literals(&source, call));
        let parts: BTreeSet<&str> = parts.into_iter().flatten().collect();
        assert!(parts.len() > 3, "{service}: {parts:?}");
        for part in parts {
            let row = format!("| {service} | `{part}`");
            assert!(page.contains(&row), "docs/api/README.md has no row {row}");
        }
        for reason in literals(&source, "degraded(\"") {
            let is_told = page.contains(reason);
            assert!(is_told, "docs/api/README.md does not have: {reason}");
        }
    }
}

/// The texts with which something is called.
fn literals<'a>(source: &'a str, call: &str) -> Vec<&'a str> {
    let calls = source.split(call).skip(1);
    calls.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading() {
    for page in pages() {
        let folder = page.parent().unwrap();
        for link in links(&fs::read_to_string(&page).unwrap()) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                page.clone()
            } else {
                folder.join(path)
            };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                let found = headings(&fs::read_to_string(&target).unwrap()).contains(anchor);
                assert!(found, "{}: {link} names no heading", page.display());
            }
        }
    }
}

#[test]
fn every_path_and_every_test_that_the_pages_name_is_there() {
    let files: Vec<String> = FOLDERS.iter().flat_map(|folder| files(folder)).collect();
    let sources: String = files
        .iter()
        .filter(|file| file.ends_with(".rs"))
        .map(|file| read(file))
        .collect();
    let mut missing = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for name in prose(&text).flat_map(quoted) {
            let there = if is_path(name) {
                files.iter().any(|file| leads_to(file, name))
            } else if is_test_name(name) {
                sources.contains(&format!("fn {name}("))
            } else {
                true
            };
            if !there {
                missing.push(format!("{} names {name}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
}

/// The rows of the table of codes: those whose first cell is a status.
pub(crate) fn error_rows() -> Vec<Vec<String>> {
    let rows = rows(&read("docs/errors.md"));
    let of_codes = rows.into_iter().filter(|row| row[0].parse::<u16>().is_ok());
    of_codes.collect()
}

pub(crate) fn rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    rows.map(|row| row.split(" | ").map(str::to_owned).collect())
        .collect()
}

/// What stands between backticks.
fn quoted(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// What is quoted after a status of refusals, such as "404 `wallet_not_found`", and after others of the same status.
pub(crate) fn named_codes(page: &str) -> Vec<(u16, String)> {
    let text = prose(page).collect::<Vec<_>>().join(" ");
    let mut parts = text.split('`');
    let (mut named, mut status) = (Vec::new(), None);
    while let (Some(before), Some(code)) = (parts.next(), parts.next()) {
        if !matches!(before.trim(), "," | "and" | "or") {
            let last = before.trim_end().rsplit(' ').next().unwrap_or_default();
            status = last
                .parse()
                .ok()
                .filter(|status| (400..600).contains(status));
        }
        named.extend(status.map(|status| (status, code.to_owned())));
    }
    named
}

/// The lines outside of code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        code ^= line.starts_with("```");
        !code && !line.starts_with("```")
    })
}

fn links(page: &str) -> Vec<String> {
    let targets = prose(page).flat_map(|line| line.split("](").skip(1));
    targets
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()))
        .filter(|target| !target.starts_with("http"))
        .collect()
}

/// The anchors of a page, as GitHub makes them.
fn headings(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings.map(anchor).collect()
}

fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || "_- ".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

/// What stands under a heading, up to the next one of its rank.
pub(crate) fn section(page: &str, of: &str) -> String {
    let rank = |line: &str| line.chars().take_while(|c| *c == '#').count();
    let mut lines = prose(page).skip_while(|line| rank(line) == 0 || anchor(line) != of);
    let heading = rank(lines.next().unwrap());
    let under = lines.take_while(|line| !(1..=heading).contains(&rank(line)));
    under.collect::<Vec<_>>().join("\n")
}

fn is_path(name: &str) -> bool {
    const ENDINGS: [&str; 6] = [".rs", ".sql", ".md", ".toml", ".conf", "/"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    !name.starts_with(['/', '.'])
        && name.contains('/')
        && name.chars().all(plain)
        && (ENDINGS.iter().any(|ending| name.ends_with(ending))
            || FOLDERS
                .iter()
                .any(|folder| name.starts_with(&format!("{folder}/"))))
}

/// Whether the file is that path, or lies in it; pages may leave out how a path begins.
fn leads_to(file: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    format!("/{file}/").contains(&format!("/{path}/"))
}

/// A sentence in `snake_case`.
fn is_test_name(name: &str) -> bool {
    name.matches('_').count() >= 4 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn pages() -> Vec<PathBuf> {
    let at_root = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ];
    let in_docs = files("docs")
        .into_iter()
        .filter(|file| file.ends_with(".md"));
    let all = at_root.into_iter().map(str::to_owned).chain(in_docs);
    all.map(|page| root().join(page)).collect()
}

/// Every file below a folder, from the root of the repository.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries
        .flat_map(|entry| {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

pub(crate) fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
