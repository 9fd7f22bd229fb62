//! Bodies for snapshots: a member to a line, and names in the place of what differs from run to run.

use std::collections::HashMap;

use shared::Timestamp;
use uuid::Uuid;

/// The same JSON, a member to a line. Not through a `Value`, which would sort the members.
pub(crate) fn indented(json: &str) -> String {
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for character in json.chars() {
        let structural = !quoted;
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        if structural && matches!(character, '}' | ']') {
            depth -= 1;
            let content = text.trim_end().len();
            if text[..content].ends_with(['{', '[']) {
                text.truncate(content);
            } else {
                text.push_str(&format!("\n{:1$}", "", depth * 2));
            }
        }
        text.push(character);
        if structural && matches!(character, '{' | '[' | ',') {
            depth += usize::from(character != ',');
            text.push_str(&format!("\n{:1$}", "", depth * 2));
        }
    }
    text
}

/// Puts numbered names in the place of what differs from run to run.
#[derive(Default)]
pub(crate) struct Redaction {
    names: HashMap<String, String>,
}

impl Redaction {
    pub(crate) fn apply(mut self, text: &str) -> String {
        let pieces =
            text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-:.".contains(c)));
        pieces
            .map(|piece| {
                let word = piece
                    .trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || "-:.".contains(c)));
                match self.name(word) {
                    Some(name) => piece.replacen(word, &name, 1),
                    None => piece.to_owned(),
                }
            })
            .collect()
    }

    fn name(&mut self, word: &str) -> Option<String> {
        if let Ok(moment) = word.parse::<Timestamp>() {
            let age = Timestamp::now().utc() - moment.utc();
            assert!(
                age.num_minutes() < 5 && word.len() == 27,
                "{word} is not a moment of this test"
            );
            return Some("[moment]".to_owned());
        }
        let kind = match word.len() {
            36 if Uuid::try_parse(word).is_ok() => "id",
            64 if word.bytes().all(|byte| byte.is_ascii_hexdigit()) => "hash",
            _ => return None,
        };
        let next = self
            .names
            .values()
            .filter(|name| name.contains(kind))
            .count()
            + 1;
        let name = self
            .names
            .entry(word.to_owned())
            .or_insert_with(|| format!("[{kind} {next}]"));
        Some(name.clone())
    }
}
