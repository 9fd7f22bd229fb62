//! Limits as they stand in their wallet's row: JSON, in a column of text, because Postgres compares text many times faster
//! than what it has to take apart.
//!
//! Text is compared as it is spelt, so limits that were written by hand, with spaces or in another order, are remembered
//! as they were spelt until they change.

use std::sync::Arc;

use serde_json::Value;

use super::WalletLimits;

/// Why the text of a row is none of this build's limits.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRow {
    #[error("not the JSON of limits")]
    Json(#[from] serde_json::Error),
    /// Limits of a later build say more than this one knows.
    #[error("limits in a form that this build does not write")]
    UnknownForm,
}

/// How limits are spelt in their row, where that is otherwise than this build spells them. Limits are the same however
/// they are spelt.
#[derive(Clone, Debug, Default)]
pub(super) struct Spelling(Option<Arc<Spelt>>);

#[derive(Debug)]
struct Spelt {
    here: String,
    in_row: String,
}

impl PartialEq for Spelling {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Spelling {}

impl WalletLimits {
    /// # Errors
    /// When the text says anything that would be lost if it was written again.
    pub fn from_row(in_row: &str) -> Result<Self, InvalidRow> {
        let mut limits: Self = serde_json::from_str(in_row)?;
        let here = serde_json::to_string(&limits)?;
        if here != in_row {
            if serde_json::from_str::<Value>(in_row)? != serde_json::to_value(&limits)? {
                return Err(InvalidRow::UnknownForm);
            }
            let in_row = in_row.to_owned();
            limits.spelling = Spelling(Some(Arc::new(Spelt { here, in_row })));
        }
        Ok(limits)
    }

    /// # Errors
    /// Never, for limits that can be.
    pub fn to_row(&self) -> Result<String, serde_json::Error> {
        let here = serde_json::to_string(self)?;
        let spelt = self.spelling.0.as_ref();
        let unchanged = spelt.filter(|spelt| spelt.here == here);
        Ok(unchanged.map_or(here, |spelt| spelt.in_row.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Balance;

    const BY_HAND: &str = r#"{"windows": [], "caps": [], "ceiling": 50000}"#;
    const HERE: &str = r#"{"ceiling":50000,"caps":[],"windows":[]}"#;

    #[test]
    fn limits_are_spelt_as_in_their_row_until_they_change() {
        let by_hand = WalletLimits::from_row(BY_HAND).unwrap();
        assert_eq!(by_hand, WalletLimits::from_row(HERE).unwrap());
        assert_eq!(by_hand.to_row().unwrap(), BY_HAND);
        let mut changed = by_hand;
        changed.ceiling = Some(Balance::new(60_000));
        assert_eq!(
            changed.to_row().unwrap(),
            HERE.replace("50000", "60000"),
            "what was read does not hide a change"
        );
    }

    #[test]
    fn what_would_be_lost_is_not_read() {
        for row in [
            r#"{"ceiling":1,"caps":[],"windows":[],"more":1}"#,
            r#"{"caps":[]}"#,
            "",
        ] {
            assert!(WalletLimits::from_row(row).is_err(), "{row}");
        }
    }
}
