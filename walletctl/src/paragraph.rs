//! Sentences as wide as a terminal lets them be, and no longer than there is room for on a page.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use crate::output::shown;

/// Writes a text in lines of that width at most, and no more than so many of them: what is left out ends with `…`. Without a
/// width it is one line.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn paragraph(
    out: &mut impl Write,
    text: &str,
    width: Option<usize>,
    lines_max: usize,
) -> io::Result<()> {
    let text = shown(text);
    let Some(width) = width else {
        return writeln!(out, "{text}");
    };
    let mut lines = lines(&text, width);
    if lines.len() > lines_max {
        lines.truncate(lines_max);
        if let Some(last) = lines.last_mut() {
            *last = with_mark(last, width);
        }
    }
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Broken between words; a word that is wider than a line, within it.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![Line::default()];
    for word in text.split(' ') {
        let mut word = Line::of(word);
        if let Some(line) = lines.last_mut() {
            if line.text.is_empty() {
                *line = std::mem::take(&mut word);
            } else if line.width + 1 + word.width <= width {
                line.text = [&line.text, " ", &word.text].concat();
                line.width += 1 + word.width;
                continue;
            }
        }
        if !word.text.is_empty() {
            lines.push(word);
        }
        while let Some(rest) = lines.last_mut().and_then(|line| line.cut(width)) {
            lines.push(rest);
        }
    }
    lines.into_iter().map(|line| line.text).collect()
}

#[derive(Default)]
struct Line {
    text: String,
    width: usize,
}

impl Line {
    fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            width: text.chars().map(places).sum(),
        }
    }

    /// What does not fit; at least one character does.
    fn cut(&mut self, width: usize) -> Option<Self> {
        let mut used = 0;
        let end = self.text.char_indices().skip(1).find(|(place, _)| {
            let before = self.text[..*place].chars().next_back();
            used += before.map_or(0, places);
            let next = self.text[*place..].chars().next();
            used + next.map_or(0, places) > width
        });
        let rest = self.text.split_off(end?.0);
        self.width = used;
        Some(Self::of(&rest))
    }
}

fn places(character: char) -> usize {
    character.width().unwrap_or(0)
}

fn with_mark(line: &str, width: usize) -> String {
    let mut line = Line::of(line);
    drop(line.cut(width.saturating_sub(1)));
    line.text + "…"
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn written(text: &str, width: Option<usize>, lines_max: usize) -> String {
        let mut out = Vec::new();
        paragraph(&mut out, text, width, lines_max).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_is_broken_between_its_words_and_ends_where_there_is_no_more_room() {
        let text = "the quick brown fox";
        assert_eq!(written(text, None, 1), "the quick brown fox\n");
        assert_eq!(written(text, Some(19), 1), "the quick brown fox\n");
        assert_eq!(written(text, Some(10), 3), "the quick\nbrown fox\n");
        assert_eq!(written(text, Some(10), 1), "the quick…\n");
        assert_eq!(written("", Some(10), 1), "\n");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_the_characters() {
        for text in [
            "x".repeat(100),
            "山田太郎".repeat(20),
            format!("a {} b", "é́".repeat(50)),
            "👩‍👩‍👧 ".repeat(30),
        ] {
            for width in 3..30 {
                for line in written(&text, Some(width), 4).lines() {
                    assert!(line.width() <= width, "{width}: {line}");
                }
            }
        }
        assert!(!written("\u{1b}[2Jgone", Some(80), 1).contains('\u{1b}'));
    }
}
