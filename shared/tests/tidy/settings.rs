//! Settings are written down: what the code reads stands in `.env.example` and in docs/settings.md, and nothing else
//! does.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Expr, FnArg, ImplItem, Item, Type, visit::Visit};

use crate::source::{self, Source};

const PAGE: &str = "docs/settings.md";

/// The methods of `SettingsReader` whose first argument is a variable's name.
fn readers(source: &Source) -> BTreeSet<String> {
    let mut readers = BTreeSet::new();
    for item in &source.file().items {
        let Item::Impl(block) = item else { continue };
        let is_of_reader = |segment: &syn::PathSegment| segment.ident == "SettingsReader";
        let of_reader = matches!(&*block.self_ty, Type::Path(of) if of.path.segments.last().is_some_and(is_of_reader));
        for item in block.items.iter().filter(|_| of_reader) {
            let ImplItem::Fn(method) = item else { continue };
            let mut arguments = method.sig.inputs.iter();
            let takes_self = matches!(arguments.next(), Some(FnArg::Receiver(_)));
            if takes_self
                && matches!(arguments.next(), Some(FnArg::Typed(name)) if is_name(&name.pat))
            {
                readers.insert(method.sig.ident.to_string());
            }
        }
    }
    readers
}

fn is_name(pattern: &syn::Pat) -> bool {
    matches!(pattern, syn::Pat::Ident(name) if name.ident == "name")
}

/// The variables that a file reads: the first argument of a reader, as a literal or as a constant's name; the text among
/// the arguments of a function that is given the settings to read one of them; and constants that hold their own name.
fn read_by(source: &Source, readers: &BTreeSet<String>) -> BTreeSet<String> {
    let file = source.shipped();
    let mut reads = Reads {
        readers,
        constants: Vec::new(),
        named: Vec::new(),
        found: BTreeSet::new(),
    };
    reads.visit_file(&file);
    let Reads {
        constants,
        named,
        mut found,
        ..
    } = reads;
    let is_read = |(name, text): &(String, String)| named.contains(name) && is_variable(text);
    let read = constants.into_iter().filter(is_read);
    found.extend(read.map(|(_, text)| text));
    found
}

struct Reads<'a> {
    readers: &'a BTreeSet<String>,
    /// Each with its text. Two functions of a file may have one of the same name.
    constants: Vec<(String, String)>,
    named: Vec<String>,
    found: BTreeSet<String>,
}

impl Reads<'_> {
    fn note(&mut self, argument: &Expr) {
        if let Some(text) = source::as_text(argument) {
            if is_variable(&text) {
                self.found.insert(text);
            }
        } else if let Expr::Path(path) = argument
            && let Some(name) = path.path.segments.last()
        {
            self.named.push(name.ident.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Reads<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if let Some(text) = source::as_text(&item.expr) {
            if item.ident == text {
                self.found.insert(text.clone());
            }
            self.constants.push((item.ident.to_string(), text));
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if self.readers.contains(&call.method.to_string())
            && let Some(first) = call.args.first()
        {
            self.note(first);
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if call.args.iter().any(is_settings) {
            for argument in &call.args {
                self.note(argument);
            }
        }
        syn::visit::visit_expr_call(self, call);
    }
}

fn is_settings(argument: &Expr) -> bool {
    match argument {
        Expr::Reference(reference) => is_settings(&reference.expr),
        Expr::Path(path) => path.path.is_ident("settings"),
        _ => false,
    }
}

fn is_variable(text: &str) -> bool {
    text.len() > 3
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// What the two services and their chassis read.
fn read_by_services() -> BTreeSet<String> {
    let sources = source::workspace();
    let chassis = sources
        .iter()
        .filter(|source| source.is_in("shared/src/server"));
    let readers: BTreeSet<String> = chassis.flat_map(readers).collect();
    assert!(readers.len() > 5, "{readers:?}");
    let services = ["shared/src", "wallet-service/src", "history-service/src"];
    let of_services = sources
        .iter()
        .filter(|source| services.iter().any(|place| source.is_in(place)));
    of_services
        .flat_map(|source| read_by(source, &readers))
        .collect()
}

/// `NAME=value` lines.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// `| NAME | default | …` lines of a table: the code of the first two columns.
fn table(text: &str) -> BTreeMap<String, String> {
    let code = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        (code(cells[1]), code(cells[2]))
    })
    .collect()
}

#[test]
fn every_setting_that_is_read_is_in_the_example() {
    let example = assignments(&source::read(".env.example"));
    let missing: Vec<_> = read_by_services()
        .into_iter()
        .filter(|name| !example.contains_key(name))
        .collect();
    assert!(missing.is_empty(), "not in .env.example: {missing:?}");
}

#[test]
fn every_setting_of_the_example_is_read_by_a_service_or_a_script() {
    let read = read_by_services();
    let scripts = source::files("scripts", &["sh"]);
    let scripts: String = scripts.iter().map(|path| source::read(path)).collect();
    let unread: Vec<_> = assignments(&source::read(".env.example"))
        .into_keys()
        .filter(|name| !read.contains(name) && !scripts.contains(&format!("${{{name}:-")))
        .collect();
    assert!(unread.is_empty(), "nothing reads {unread:?}");
}

#[test]
fn the_page_of_settings_says_what_the_example_says() {
    assert_eq!(
        table(&source::read(PAGE)),
        assignments(&source::read(".env.example"))
    );
}

#[test]
fn a_setting_is_found_however_it_is_read() {
    let settings = "pub struct SettingsReader; impl SettingsReader<'_> { pub fn parsed<T>(&self, name: &str, default: T) -> T { default } pub fn from_env() {} fn other(&self, value: &str) {} }";
    let readers = readers(&Source::new("shared/src/server/settings.rs", settings));
    assert_eq!(readers, BTreeSet::from(["parsed".to_owned()]));

    let text = r#"
        const TOPIC: &str = "KAFKA_TOPIC";
        const OTHER: &str = "NOT_READ";
        const OWN_NAME: &str = "OWN_NAME";
        fn of(settings: &Settings) {
            settings.parsed("DRAIN", 1);
            settings.parsed(TOPIC, 1);
            planner(&settings, "WRITER_PLANNER", DEFAULT);
            settings.other("NO_NAME");
        }
        #[cfg(test)] mod tests { fn x() { settings.parsed("IN_A_TEST", 1); } }
    "#;
    let found = read_by(&Source::new("shared/src/server/x.rs", text), &readers);
    let expected = ["DRAIN", "KAFKA_TOPIC", "OWN_NAME", "WRITER_PLANNER"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn a_table_of_settings_is_read() {
    let page = "| Name | Default | |\n| --- | --- | --- |\n| `A_B` | `1,2` | x |\n| `C` | | y |\n";
    let expected =
        [("A_B", "1,2"), ("C", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(table(page), expected.into());
}
