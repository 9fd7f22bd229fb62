//! Maps from text to text: what callers note on things, with the same rules wherever they may.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    fields::Fields,
    node::Node,
    parse::{self, Invalid},
};
use crate::{Patch, problem::Code, text};

/// The bounds of a map of texts. Lengths are in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextMapLimits {
    pub entries_max: usize,
    pub key_length_max: usize,
    pub value_length_max: usize,
}

impl TextMapLimits {
    /// What a caller may note on anything, and look for: it is in every event that says so, so it is paid for on the way to
    /// Kafka and in history again.
    pub const METADATA: Self = Self {
        entries_max: 20,
        key_length_max: 64,
        value_length_max: 512,
    };
}

impl Fields {
    /// A map from text to text that may be left out; empty when it is. A value of `null` is not given, like any other
    /// field, so its key is not in the map. The limits are rules, which are judged later.
    pub fn text_map(&mut self, name: &str, limits: TextMapLimits) -> BTreeMap<String, String> {
        let entries = self.text_entries(name, limits).unwrap_or_default();
        let given = entries.into_iter();
        given
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    /// The same of a map of which a request changes a part: the keys that are named get their values, or go where they are
    /// `null`; all of them go where the map is.
    pub fn patch_text_map(
        &mut self,
        name: &str,
        limits: TextMapLimits,
    ) -> Patch<BTreeMap<String, Option<String>>> {
        if self.described.is_none() && self.is_null(name) {
            self.take(name);
            return Patch::Clear;
        }
        let entries = self.text_entries(name, limits);
        entries.map_or(Patch::Keep, Patch::Set)
    }

    /// What is said under each key; none where the map is not given. What is wrong with a key or its value is said under the
    /// key.
    fn text_entries(
        &mut self,
        name: &str,
        limits: TextMapLimits,
    ) -> Option<BTreeMap<String, Option<String>>> {
        if self.tell(name, false, || limits.shape()) {
            return None;
        }
        let mut map = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let entries = self.take_object(name)?;
        // What is `null` is not given, or goes.
        let given = entries.iter().filter(|(_, node)| *node != Node::Null);
        if given.count() > limits.entries_max {
            let message = format!("must have at most {} entries", limits.entries_max);
            self.keep(name, Code::InvalidValue, message);
        }
        let judge = |text: &str, length_max| parse::check_text(text, length_max);
        for (key, node) in entries {
            let path = format!("{name}.{}", shown(&key, limits.key_length_max));
            let key_judged = judge(&key, limits.key_length_max);
            let is_named = key_judged.is_ok();
            if let Err(Invalid { code, message }) = key_judged {
                self.keep(&path, code, format!("the key {message}"));
            }
            if !seen.insert(key.clone()) {
                self.reject(&path, Code::DuplicateField, "is given more than once");
            } else if let Node::Text(text) = &node {
                if is_named {
                    self.judge_value(&path, judge(text, limits.value_length_max));
                }
                map.insert(key, Some(text.clone()));
            } else if node == Node::Null {
                map.insert(key, None);
            } else {
                self.read_value(&path, &node, |value| value.as_text().map(drop));
            }
        }
        Some(map)
    }
}

/// A key as an error names it: whatever it is, short and on one line.
fn shown(key: &str, length_max: usize) -> String {
    if key.is_empty() {
        return "\"\"".to_owned();
    }
    let mut shown: String = key.chars().take(length_max).collect();
    if shown.len() < key.len() {
        shown.push('…');
    }
    if text::check(&shown).is_err() {
        return shown.escape_default().to_string();
    }
    shown
}
