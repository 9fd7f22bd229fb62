//! The workspace's Rust files, parsed where a rule looks at them, with what is only for tests told apart.

use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Expr, Item, Meta, spanned::Spanned, visit::Visit};

/// Members of the workspace, all of them.
pub(crate) const MEMBERS: [&str; 5] = [
    "bench",
    "history-service",
    "shared",
    "wallet-service",
    "walletctl",
];

/// One file.
pub(crate) struct Source {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    parsed: OnceCell<syn::File>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            parsed: OnceCell::new(),
        }
    }

    /// Parsed when it is asked for: that is what most of the time goes into, and few rules look at every file.
    ///
    /// # Panics
    /// When it is not Rust.
    pub(crate) fn file(&self) -> &syn::File {
        self.parsed.get_or_init(|| {
            let file = syn::parse_file(&self.text);
            file.unwrap_or_else(|error| panic!("{}: {error}", self.path))
        })
    }

    /// Whether all of it is compiled for tests only: by where it stands, which is how the workspace names such files.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || self.file().attrs.iter().any(is_for_tests)
    }

    /// Whether it is below the folder, or is that file.
    pub(crate) fn is_in(&self, place: &str) -> bool {
        match self.path.strip_prefix(place) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    pub(crate) fn at(&self, line: usize, fault: &str) -> String {
        format!("{}:{line}: {fault}", self.path)
    }

    /// The file without its items for tests; nothing when all of it is.
    pub(crate) fn shipped(&self) -> syn::File {
        let mut file = self.file().clone();
        if self.is_test() {
            file.items.clear();
        }
        drop_items_for_tests(&mut file.items);
        file
    }
}

fn drop_items_for_tests(items: &mut Vec<Item>) {
    items.retain(|item| !attributes(item).iter().any(is_for_tests));
    for item in items {
        if let Item::Mod(module) = item
            && let Some((_, items)) = &mut module.content
        {
            drop_items_for_tests(items);
        }
    }
}

/// Whether an attribute is `#[cfg(test)]`, also among other conditions, or `#[test]` and its like.
pub(crate) fn is_for_tests(attribute: &Attribute) -> bool {
    let named_test = attribute
        .path()
        .segments
        .last()
        .is_some_and(|name| name.ident == "test");
    let condition = match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
        _ => String::new(),
    };
    let mut words = condition.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    named_test || words.any(|word| word == "test")
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

pub(crate) fn line_of(node: &impl Spanned) -> usize {
    node.span().start().line
}

/// Every string literal, also in the arguments of macros, with its line.
pub(crate) fn texts(file: &syn::File) -> Vec<(usize, String)> {
    #[derive(Default)]
    struct Texts(Vec<(usize, String)>);
    impl<'ast> Visit<'ast> for Texts {
        fn visit_attribute(&mut self, _: &'ast Attribute) {}

        fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
            self.0.push((literal.span().start().line, literal.value()));
        }

        fn visit_macro(&mut self, call: &'ast syn::Macro) {
            collect(call.tokens.clone(), &mut self.0);
        }
    }
    fn collect(tokens: proc_macro2::TokenStream, found: &mut Vec<(usize, String)>) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => collect(group.stream(), found),
                proc_macro2::TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        found.push((literal.span().start().line, text.value()));
                    }
                }
                proc_macro2::TokenTree::Ident(_) | proc_macro2::TokenTree::Punct(_) => {}
            }
        }
    }
    let mut texts = Texts::default();
    texts.visit_file(file);
    texts.0
}

/// The literal that an expression is, if it is a string.
pub(crate) fn as_text(expression: &Expr) -> Option<String> {
    let Expr::Lit(literal) = expression else {
        return None;
    };
    match &literal.lit {
        syn::Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder of the repository with one of the extensions, in order.
pub(crate) fn files(folder: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root().join(folder)) else {
        return found;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, extensions));
        } else if extensions
            .iter()
            .any(|extension| path.ends_with(&format!(".{extension}")))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every Rust file of the members: what ships, tests, build scripts.
pub(crate) fn workspace() -> Vec<Source> {
    let mut sources = Vec::new();
    for member in MEMBERS {
        let mut paths = files(&format!("{member}/src"), &["rs"]);
        paths.extend(files(&format!("{member}/tests"), &["rs"]));
        let build = format!("{member}/build.rs");
        if root().join(&build).exists() {
            paths.push(build);
        }
        sources.extend(paths.iter().map(|path| Source::new(path, &read(path))));
    }
    assert!(sources.len() > 100, "the sources are elsewhere");
    sources
}

#[test]
fn the_members_are_those_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = "))
        .unwrap();
    let mut members: Vec<String> = serde_json::from_str(members).unwrap();
    members.sort();
    assert_eq!(members, MEMBERS);
}

#[test]
fn what_is_only_for_tests_is_told_apart() {
    let text = "fn shipped() {} #[cfg(test)] mod tests { fn helper() {} } #[test] fn a() {} mod x { #[cfg(any(test, feature = \"testing\"))] fn b() {} }";
    let items = Source::new("shared/src/x.rs", text).shipped().items;
    let [Item::Fn(shipped), Item::Mod(module)] = items.as_slice() else {
        panic!("{} items", items.len());
    };
    assert_eq!(shipped.sig.ident, "shipped");
    assert!(module.content.as_ref().unwrap().1.is_empty());

    assert!(
        Source::new("shared/src/event/tests/x.rs", text)
            .shipped()
            .items
            .is_empty()
    );
    assert!(Source::new("shared/src/event/tests.rs", "").is_test());
    assert!(!Source::new("shared/src/testing/mod.rs", "").is_test());
}
