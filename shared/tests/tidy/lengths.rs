//! A file has one subject and a function fits on a screen; every file begins by saying what it promises.

use syn::{ImplItemFn, ItemFn, TraitItemFn, spanned::Spanned, visit::Visit};

use crate::{
    assert_nowhere,
    source::{self, Source},
};

const FILE_LINES_MAX: usize = 500;
/// From `fn` to its last brace, tests included.
const FUNCTION_LINES_MAX: usize = 70;

fn too_long(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        found.push(source.at(1, &format!("{lines} lines, at most {FILE_LINES_MAX}")));
    }
    let mut functions = Functions(Vec::new());
    functions.visit_file(source.file());
    for (name, first, last) in functions.0 {
        let lines = last - first + 1;
        if lines > FUNCTION_LINES_MAX {
            let fault = format!("{name} has {lines} lines, at most {FUNCTION_LINES_MAX}");
            found.push(source.at(first, &fault));
        }
    }
    found
}

/// Name, first line, last line of every function.
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn note(&mut self, signature: &syn::Signature, body: &syn::Block) {
        self.0.push((
            signature.ident.to_string(),
            source::line_of(signature),
            body.span().end().line,
        ));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.note(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.note(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.note(&function.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

fn without_promise(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        Vec::new()
    } else {
        vec![source.at(1, "does not begin with //! and what it promises")]
    }
}

#[test]
fn files_and_functions_are_short() {
    assert_nowhere(too_long);
}

#[test]
fn every_module_begins_with_what_it_promises() {
    assert_nowhere(without_promise);
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let long = format!(
        "fn long() {{\n{}}}\n",
        "    ();\n".repeat(FUNCTION_LINES_MAX)
    );
    let method = format!("impl X {{\n{long}}}\n");
    for text in [&long, &method] {
        assert_eq!(
            too_long(&Source::new("shared/src/x.rs", text)).len(),
            1,
            "{text}"
        );
    }
    let short = format!(
        "fn short() {{\n{}}}\n",
        "    ();\n".repeat(FUNCTION_LINES_MAX - 2)
    );
    assert_eq!(too_long(&Source::new("shared/src/x.rs", &short)), [""; 0]);
    let lines = "// One.\n".repeat(FILE_LINES_MAX + 1);
    assert_eq!(too_long(&Source::new("shared/src/x.rs", &lines)).len(), 1);
}

#[test]
fn a_module_without_its_promise_is_found() {
    assert_eq!(
        without_promise(&Source::new("shared/src/x.rs", "//! It does.\n")),
        [""; 0]
    );
    assert_eq!(
        without_promise(&Source::new("shared/src/x.rs", "use x::y;\n")).len(),
        1
    );
}
