//! The page of `explain`: its parts one below the other, as wide as the terminal and no longer than a page, and what was left
//! out for that.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::Value;

use super::{
    explain::Sums,
    read::{Page, Unreadable, unreadable},
    refusals,
};
use crate::{
    output::{self, HoldShown, Table, Wallet},
    paragraph::paragraph,
};

/// Open holds and notes that are shown of many.
const HOLDS_SHOWN: usize = 8;
const NOTES_SHOWN: usize = 3;
/// Lines that a name may take, and the reason of a freeze.
const NAME_LINES: usize = 2;
const REASON_LINES: usize = 4;
/// Of a sentence: they are never as long.
const SENTENCE_LINES: usize = 20;

/// How a wallet is frozen, and by whom.
#[derive(Deserialize)]
struct Freeze {
    direction: String,
    reason: String,
    actor: String,
    since: String,
    until: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Frozen {
    freeze: Option<Freeze>,
}

pub(super) struct Sheet<'out, Out> {
    out: &'out mut Out,
    width: Option<usize>,
    /// Columns, with what they are of.
    left_out: Vec<String>,
}

impl<'out, Out: Write> Sheet<'out, Out> {
    pub(super) const fn new(out: &'out mut Out, width: Option<usize>) -> Self {
        Self {
            out,
            width,
            left_out: Vec::new(),
        }
    }

    pub(super) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    pub(super) fn say(&mut self, sentence: &str) -> io::Result<()> {
        paragraph(self.out, sentence, self.width, SENTENCE_LINES)
    }

    pub(super) fn table(&mut self, of: &str, table: &Table) -> io::Result<()> {
        let columns: Vec<&str> = table.left_out().collect();
        if !columns.is_empty() {
            self.left_out.push(format!("{} ({of})", columns.join(", ")));
        }
        table.write(self.out)
    }

    /// How the wallet is called, and what is noted on it.
    pub(super) fn notes(&mut self, wallet: &Wallet) -> io::Result<()> {
        let named = [
            ("external id", &wallet.external_id),
            ("label", &wallet.label),
        ];
        for (name, text) in named {
            if let Some(text) = text {
                let text = format!("{name}: {text}");
                paragraph(self.out, &text, self.width, NAME_LINES)?;
            }
        }
        for (key, value) in wallet.metadata.iter().take(NOTES_SHOWN) {
            paragraph(self.out, &format!("{key}={value}"), self.width, 1)?;
        }
        match wallet.metadata.len().saturating_sub(NOTES_SHOWN) {
            0 => Ok(()),
            more => self.say(&format!(
                "… and {more} more notes: walletctl wallet {}",
                wallet.id
            )),
        }
    }

    pub(super) fn standing(&mut self, frozen: Frozen) -> io::Result<()> {
        let Some(freeze) = frozen.freeze else {
            return Ok(());
        };
        let Freeze {
            direction,
            reason,
            actor,
            since,
            until,
        } = freeze;
        let since = output::moment(&since);
        let until = until.map(|until| format!(" until {}", output::moment(&until)));
        let until = until.unwrap_or_default();
        let text = format!("Frozen ({direction}) by {actor} since {since}{until}: {reason}");
        paragraph(self.out, &text, self.width, REASON_LINES)
    }

    pub(super) fn holds(
        &mut self,
        sums: &Sums,
        wallet: &Wallet,
        holds: &Page<HoldShown>,
    ) -> io::Result<()> {
        if holds.items.is_empty() {
            self.say("Nothing is set aside.")?;
        } else {
            let is_more = holds.next_cursor.is_some();
            self.say(&sums.of_holds(wallet, is_more))?;
            let (shown, rest) = holds.items.split_at(holds.items.len().min(HOLDS_SHOWN));
            self.table("holds", &output::open_holds_table(shown, self.width))?;
            if !rest.is_empty() || is_more {
                let (count, sum) = (rest.len(), sums.of_some(rest));
                let more = if is_more { " and more" } else { "" };
                let id = &wallet.id;
                self.say(&format!(
                    "… and {count} older ones of {sum}{more}: walletctl hold list {id} --status open"
                ))?;
            }
        }
        self.unreadable(&holds.unreadable, ("hold", "holds"))
    }

    pub(super) fn refused(&mut self, refusals: &Value, currency: &str) -> anyhow::Result<()> {
        let refused: Page<refusals::Refused> = serde_json::from_value(refusals.clone())?;
        if !refused.items.is_empty() {
            self.blank()?;
            self.say("Refused lately:")?;
            let table = refusals::table(&refused.items, currency, self.width);
            self.table("refusals", &table)?;
        }
        Ok(self.unreadable(&refused.unreadable, ("refusal", "refusals"))?)
    }

    pub(super) fn unreadable(
        &mut self,
        names: &[Unreadable],
        nouns: (&str, &str),
    ) -> io::Result<()> {
        unreadable(names, nouns).map_or(Ok(()), |note| self.say(&note))
    }

    /// Says what is not on the page for want of room.
    pub(super) fn end(self) -> io::Result<()> {
        let (Some(width), false) = (self.width, self.left_out.is_empty()) else {
            return Ok(());
        };
        let left_out = self.left_out.join("; ");
        let note = format!(
            "Without room in {width} columns for {left_out}: --width 200 shows them, --json all there is."
        );
        writeln!(self.out)?;
        paragraph(self.out, &note, self.width, SENTENCE_LINES)
    }
}
