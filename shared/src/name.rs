//! What a name may be that people compare, type and put into a URL: user ids and references.
//!
//! Two names that look alike are one name to people and two to a computer, and money went to the wrong one. So a new
//! name holds nothing that cannot be seen, has one spelling only, and means nothing else in a path. Names that exist
//! already stay readable: the rule is for what is made, not for what is looked up.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, WhiteSpace},
};

/// Why a text is no name. Each follows the field's name in a sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidName {
    #[error("must not be {0:?}, which means a folder in a path")]
    Dots(&'static str),
    #[error("must not begin or end with white space")]
    OuterSpace,
    #[error("must not hold {}, character {place}: it cannot be seen", code_point(.character))]
    Invisible { character: char, place: usize },
    #[error(
        "must be in Unicode's normalisation form NFC: the same text has another spelling, and one name has one"
    )]
    NotNormalised,
}

/// Checks a new name. Its length is its own rule.
///
/// # Errors
/// For the first thing that is wrong.
pub fn check(text: &str) -> Result<(), InvalidName> {
    // Most names are this, and nothing below finds fault with one.
    if !text.starts_with('.') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    if let Some(dots) = [".", ".."].into_iter().find(|dots| *dots == text) {
        return Err(InvalidName::Dots(dots));
    }
    check_ends(text)?;
    if let Some((at, character)) = text.chars().enumerate().find(|(_, c)| !can_be_seen(*c)) {
        let place = at + 1;
        return Err(InvalidName::Invisible { character, place });
    }
    if !ComposingNormalizerBorrowed::new_nfc().is_normalized(text) {
        return Err(InvalidName::NotNormalised);
    }
    Ok(())
}

/// Checks that a text begins and ends with something that shows. It is the rule of a name and of what stands like one above
/// something, which is read and not compared.
///
/// # Errors
/// When white space is at an end.
pub fn check_ends(text: &str) -> Result<(), InvalidName> {
    let white_space = CodePointSetData::new::<WhiteSpace>();
    let ends = [text.chars().next(), text.chars().next_back()];
    let mut ends = ends.into_iter().flatten();
    if ends.any(|end| white_space.contains(end)) {
        return Err(InvalidName::OuterSpace);
    }
    Ok(())
}

/// Whether a character shows, and shows the same to everybody: a plain space does, the other spaces are taken for one.
fn can_be_seen(character: char) -> bool {
    if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character) {
        return false;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    if category == GeneralCategory::SpaceSeparator {
        return character == ' ';
    }
    // U+2800, a cell without a dot, is a symbol that shows nothing.
    character != '\u{2800}' && !UNSEEN.contains(&category)
}

const UNSEEN: [GeneralCategory; 7] = [
    GeneralCategory::Control,
    GeneralCategory::Format,
    GeneralCategory::Surrogate,
    GeneralCategory::PrivateUse,
    GeneralCategory::Unassigned,
    GeneralCategory::LineSeparator,
    GeneralCategory::ParagraphSeparator,
];

fn code_point(character: &char) -> String {
    format!("U+{:04X}", u32::from(*character))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_people_and_systems_are_names() {
        for name in [
            "alice",
            "alice@example.com",
            "auth0|5f7c8ec7",
            "Zoë",
            "Ünser Müller",
            "山田 太郎",
            "محمد",
            "नेहा",
            "😀",
            "...",
            ".a",
            "order-7/2026 (2)",
            "@settlement",
        ] {
            assert_eq!(check(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn what_means_a_folder_is_no_name() {
        assert_eq!(check("."), Err(InvalidName::Dots(".")));
        assert_eq!(check(".."), Err(InvalidName::Dots("..")));
    }

    #[test]
    fn white_space_stands_only_inside() {
        for name in [
            " ",
            "   ",
            " a",
            "a ",
            "a\u{a0}",
            "\u{3000}a",
            "a\t",
            "\na",
            "\u{2028}",
        ] {
            assert_eq!(check(name), Err(InvalidName::OuterSpace), "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        for character in [
            '\0',
            '\u{7f}',
            '\u{85}', // controls
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{2060}', // of no width
            '\u{202e}',
            '\u{2066}',
            '\u{200f}', // direction
            '\u{e0041}',
            '\u{fe0f}',
            '\u{e0100}',
            '\u{180b}',
            '\u{34f}', // tags, variations, joiners
            '\u{3164}',
            '\u{115f}',
            '\u{ffa0}',
            '\u{2800}', // blanks among letters and symbols
            '\u{a0}',
            '\u{2003}',
            '\u{3000}', // other spaces
            '\u{e000}',
            '\u{10fffd}', // private use
            '\u{378}',
            '\u{fffe}',
            '\u{10ffff}', // unassigned, no characters
        ] {
            let place = 2;
            assert_eq!(
                check(&format!("a{character}b")),
                Err(InvalidName::Invisible { character, place }),
                "{character:?}"
            );
        }
        let said = check("a\u{200b}b").unwrap_err().to_string();
        assert_eq!(said, "must not hold U+200B, character 2: it cannot be seen");
    }

    #[test]
    fn a_name_has_one_spelling() {
        for (composed, other) in [
            ("Zo\u{eb}", "Zoe\u{308}"),
            ("\u{c5}", "\u{212b}"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
        ] {
            assert_eq!(check(composed), Ok(()), "{composed:?}");
            assert_eq!(check(other), Err(InvalidName::NotNormalised), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_survives_a_path_and_the_trimming_of_a_form(text in "\\PC{1,40}") {
            if check(&text).is_ok() {
                prop_assert_eq!(text.trim(), text.as_str());
                prop_assert!(text != "." && text != "..");
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
