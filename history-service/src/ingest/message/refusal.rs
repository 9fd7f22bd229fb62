//! Why a message is set aside, in a code and a sentence.

/// The names stand in SQL and in JSON.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Reason {
    Malformed,
    /// Of a build to come: it waits, and is refused only by a person's word.
    UnknownVersion,
    /// The same.
    UnknownKind,
    WrongHash,
    KeyMismatch,
    /// Another event is already stored under the same number.
    ConflictingEvent,
    /// It does not follow from the wallet's last event.
    ChainBroken,
    /// The database refuses it, alone and again.
    NotStorable,
}

shared::closed_set_schema!(Reason, "QuarantineReason");

impl Reason {
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// Whether another build may know what this one does not.
    pub const fn waits(self) -> bool {
        matches!(self, Self::UnknownVersion | Self::UnknownKind)
    }
}

shared::sql_text!(Reason);

/// A detail may quote what it is about, however long that is: so many characters of it say enough.
const DETAIL_MAX: usize = 200;

/// Why a message cannot become a row. The detail may hold what the message says, so it is for those who may see that, and
/// for no log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub reason: Reason,
    pub detail: String,
}

impl Refusal {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_MAX) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { reason, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_cut_between_two_characters() {
        let of = |length| Refusal::new(Reason::Malformed, "ä".repeat(length)).detail;
        assert_eq!(of(DETAIL_MAX), "ä".repeat(DETAIL_MAX));
        assert_eq!(of(60_000), format!("{}…", "ä".repeat(DETAIL_MAX)));
    }
}
