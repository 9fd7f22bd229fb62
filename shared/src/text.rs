//! What a text may hold that people read: labels, reasons, descriptions, notes.
//!
//! Whoever reads one must see all of it, as it was written. So it holds no control characters, nothing that turns the
//! direction of what stands beside it, and nothing without width but what writing needs: joiners in scripts and emoji,
//! variations, and the marks of direction that stand for themselves. Names have a stricter rule ([`crate::name`]).

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// Why a text does not show what it holds. Each follows the field's name in a sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HiddenText {
    #[error("must not hold control characters")]
    Control,
    #[error("must not hold U+{:04X}, character {place}: it cannot be seen", u32::from(*.character))]
    Invisible { character: char, place: usize },
}

/// Checks what a text holds. Its length is its own rule.
///
/// # Errors
/// For the first thing that is hidden.
pub fn check(text: &str) -> Result<(), HiddenText> {
    // Most texts are this, and nothing below finds fault with one.
    if text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    {
        return Ok(());
    }
    if text.chars().any(char::is_control) {
        return Err(HiddenText::Control);
    }
    let mut before = None;
    let mut in_flag = false;
    for (at, character) in text.chars().enumerate() {
        in_flag = character == BLACK_FLAG || (in_flag && TAGS.contains(&character));
        let shows = if TAGS.contains(&character) {
            in_flag
        } else if JOINERS.contains(&character) {
            before.is_some_and(joins)
        } else {
            can_be_read(character)
        };
        if !shows {
            let place = at + 1;
            return Err(HiddenText::Invisible { character, place });
        }
        before = Some(character);
    }
    Ok(())
}

/// Flags of regions (England, Scotland, Wales) are this one, spelt out in tags.
const BLACK_FLAG: char = '\u{1f3f4}';
const TAGS: std::ops::RangeInclusive<char> = '\u{e0020}'..='\u{e007f}';

/// Zero width joiner and non-joiner: scripts and emoji need them, between what they join.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Whether a joiner may follow: no Latin letter, digit or space is joined to anything.
fn joins(character: char) -> bool {
    !character.is_ascii() && !character.is_whitespace() && !JOINERS.contains(&character)
}

fn can_be_read(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let ends_a_line = matches!(
        category,
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator
    );
    !ends_a_line && (is_of_writing(character) || !is_hidden(character))
}

/// Turns of direction are among them: embeddings, overrides and isolates.
fn is_hidden(character: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// What shows nothing by itself and says how its neighbours are written.
fn is_of_writing(character: char) -> bool {
    matches!(
        character,
        // A soft hyphen; marks of direction, which turn nothing but themselves.
        '\u{ad}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
        // Variations, of Mongolian, of symbols and emoji, and of ideographs.
        | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
        // What keeps marks apart and vowels of Khmer.
        | '\u{34f}' | '\u{17b4}' | '\u{17b5}'
        // Fillers of old Hangul.
        | '\u{115f}' | '\u{1160}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_let_in() {
        for text in [
            "rent",
            "  two  spaces ",
            "Zoë's «déposit» – 7 €",
            "山田 太郎 様",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "שלום\u{200f}!",
            "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "co\u{ad}operate",
            "葛\u{e0100}",
            "\u{a0}price\u{2009}100",
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn what_is_hidden_is_named() {
        for character in [
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}', // turns of direction
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206a}', //
            '\u{200b}',
            '\u{2060}',
            '\u{2061}',
            '\u{2064}',
            '\u{feff}', // of no width
            '\u{180e}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{2028}',
            '\u{2029}', // blanks, ends of lines
            '\u{200c}',
            '\u{200d}',
            '\u{e0041}',
            '\u{e0001}', // joiners and tags of nothing
        ] {
            let place = 2;
            let expected = Err(HiddenText::Invisible { character, place });
            assert_eq!(check(&format!("a{character}b")), expected, "{character:?}");
        }
        for control in ['\0', '\n', '\u{7f}', '\u{85}'] {
            let text = format!("a{control}b");
            assert_eq!(check(&text), Err(HiddenText::Control), "{control:?}");
        }
        let said = check("gift\u{202e}").unwrap_err().to_string();
        assert_eq!(said, "must not hold U+202E, character 5: it cannot be seen");
    }

    #[test]
    fn a_joiner_joins_something_once() {
        for text in [
            "\u{200d}👩",
            "👩\u{200d}\u{200d}👩",
            "👩 \u{200d}",
            "可\u{a0}\u{200c}",
        ] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }
}
