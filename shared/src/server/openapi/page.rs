//! The document as a page: HTML and a style sheet within it, no script, nothing of another host.

use std::fmt::{self, Write};

use serde_json::{Map, Value};

const STYLE: &str = include_str!("page.css");

/// The page. Texts of the document are written as texts, whatever they hold.
pub(super) fn of(document: &Value) -> String {
    let mut page = String::new();
    // Writing into a text cannot fail.
    let _ = write(&mut page, document);
    page
}

/// The members of an object; none of anything else.
fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> Escaped<'_> {
    Escaped(value.as_str().unwrap_or_default())
}

/// A sentence in HTML, whose words in backticks are code.
struct Prose<'a>(&'a Value);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.as_str().unwrap_or_default().split('`');
        for (index, part) in parts.enumerate() {
            let part = Escaped(part);
            match index % 2 {
                0 => write!(f, "{part}")?,
                _ => write!(f, "<code>{part}</code>")?,
            }
        }
        Ok(())
    }
}

/// A text in HTML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

fn write(page: &mut String, document: &Value) -> fmt::Result {
    let title = text(&document["info"]["title"]);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{}</p>\n<p><a href=\"openapi.json\">openapi.json</a>, \
         version {}</p>\n<nav><ul>\n",
        text(&document["info"]["description"]),
        text(&document["info"]["version"]),
    )?;
    let operations = || {
        members(&document["paths"]).flat_map(|(path, methods)| {
            members(methods).map(move |(method, operation)| (path, method, operation))
        })
    };
    for (path, method, operation) in operations() {
        let (id, summary) = (text(&operation["operationId"]), text(&operation["summary"]));
        let (method, path) = (method.to_uppercase(), Escaped(path));
        writeln!(
            page,
            "<li><a href=\"#{id}\"><code>{method} {path}</code></a> {summary}</li>"
        )?;
    }
    page.push_str("</ul></nav>\n");
    for (path, method, operation) in operations() {
        write_operation(page, path, method, operation)?;
    }
    page.push_str("<h2>Bodies</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = Escaped(name);
        let schema = format!("{schema:#}");
        writeln!(
            page,
            "<h3 id=\"{name}\">{name}</h3>\n<pre>{}</pre>",
            Escaped(&schema)
        )?;
    }
    page.push_str("</body></html>\n");
    Ok(())
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) -> fmt::Result {
    writeln!(
        page,
        "<h2 id=\"{}\"><code>{} {}</code></h2>\n<p>{}. {}</p>",
        text(&operation["operationId"]),
        method.to_uppercase(),
        Escaped(path),
        text(&operation["summary"]),
        Prose(&operation["description"]),
    )?;
    let parameters = operation["parameters"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>parameter</th><th>in</th><th></th><th></th></tr>\n");
        for parameter in parameters {
            let needed = if parameter["required"] == true {
                "required"
            } else {
                ""
            };
            writeln!(
                page,
                "<tr><td><code>{}</code></td><td>{}</td><td>{needed}</td><td>{} {}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                Prose(&parameter["description"]),
                Shown(&parameter["schema"]),
            )?;
        }
        page.push_str("</table>\n");
    }
    if let Some(name) = named(&operation["requestBody"]["content"]["application/json"]["schema"]) {
        writeln!(page, "<p>Body: <a href=\"#{name}\">{name}</a></p>")?;
    }
    page.push_str("<table><tr><th>status</th><th>body</th><th></th></tr>\n");
    for (status, response) in members(&operation["responses"]) {
        write!(page, "<tr><td>{status}</td><td>")?;
        for (media_type, content) in members(&response["content"]) {
            match named(&content["schema"]) {
                Some(_) => write!(page, "{} ", Shown(&content["schema"]))?,
                None => write!(page, "{} ", Escaped(media_type))?,
            }
        }
        writeln!(
            page,
            "</td><td>{}</td></tr>",
            Prose(&response["description"])
        )?;
    }
    page.push_str("</table>\n");
    Ok(())
}

/// A schema in a table.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match named(self.0) {
            Some(name) => write!(f, "<a href=\"#{name}\">{name}</a>"),
            None => write!(f, "<code>{}</code>", Escaped(&self.0.to_string())),
        }
    }
}

/// The name of the schema that is referred to.
fn named(schema: &Value) -> Option<Escaped<'_>> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(Escaped(name))
}
