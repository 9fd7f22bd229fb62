//! Aligned columns for people, as wide as their terminal lets them be.
//!
//! Widths are those of a terminal: a character may take two places or none. What cannot be seen is replaced, so that a
//! name from outside does not move the cursor.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: &str = "  ";
/// Stands where a cell was cut.
const CUT: char = '…';

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    /// For numbers, so that their digits stand below each other.
    Right,
}

/// One thing to give up so that a table becomes narrower.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The whole column.
    Drop(&'static str),
    /// What of its cells is too much, down to this width.
    Cut(&'static str, usize),
    /// The ends of its cells, which are less exact then and nothing else: to this width.
    Round(&'static str, usize),
}

#[derive(Debug)]
struct Column {
    title: &'static str,
    align: Align,
    /// Of the widest cell, the title included.
    width: usize,
    /// What a cell may have at most.
    width_max: Option<usize>,
    is_rounded: bool,
    is_shown: bool,
}

/// Columns with a title each, and rows of cells.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        let column = |(title, align): &(&'static str, Align)| Column {
            title,
            align: *align,
            width: title.width(),
            width_max: None,
            is_rounded: false,
            is_shown: true,
        };
        Self {
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// Makes columns at least this wide, for a table whose rows are written before all of them are known.
    #[must_use]
    pub fn with_room(mut self, widths: &[(&str, usize)]) -> Self {
        for column in &mut self.columns {
            let wanted = widths.iter().find(|(name, _)| *name == column.title);
            column.width = column.width.max(wanted.map_or(0, |(_, wanted)| *wanted));
        }
        self
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| cell.replace(char::is_control, "\u{fffd}"))
            .collect();
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            let wanted = cell.width().min(column.width_max.unwrap_or(usize::MAX));
            column.width = column.width.max(wanted);
        }
        self.rows.push(cells);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Gives up one thing after the other until the table is no wider than this. Rows that come later may fill what is
    /// left over, and are cut beyond it.
    pub fn fit(&mut self, width: Option<usize>, steps: &[Step]) {
        let Some(width) = width else { return };
        for step in steps {
            let excess = self.width().saturating_sub(width);
            if excess == 0 {
                break;
            }
            let (Step::Drop(title) | Step::Cut(title, _) | Step::Round(title, _)) = *step;
            let named = self.columns.iter_mut().find(|column| column.title == title);
            let Some(column) = named else { continue };
            match *step {
                Step::Drop(_) => column.is_shown = false,
                Step::Cut(_, min) => {
                    let wanted = column.width.saturating_sub(excess);
                    column.width = wanted.max(min.min(column.width));
                    column.width_max = Some(column.width);
                }
                Step::Round(_, to) => {
                    column.width = column.width.min(to);
                    column.width_max = Some(to);
                    column.is_rounded = true;
                }
            }
        }
        let may_grow = |column: &&mut Column| {
            let is_cut =
                |step: &Step| matches!(step, Step::Cut(title, _) if *title == column.title);
            column.is_shown && column.width_max.is_none() && steps.iter().any(is_cut)
        };
        let left_over = width.saturating_sub(self.width());
        let growing = self.columns.iter_mut().filter(may_grow).count();
        for column in self.columns.iter_mut().filter(may_grow) {
            column.width_max = Some(column.width + left_over / growing);
        }
    }

    /// The titles of the columns that were given up.
    pub fn left_out(&self) -> impl Iterator<Item = &'static str> {
        let left_out = self.columns.iter().filter(|column| !column.is_shown);
        left_out.map(|column| column.title)
    }

    fn width(&self) -> usize {
        let shown = self.columns.iter().filter(|column| column.is_shown);
        let widths: usize = shown.clone().map(|column| column.width).sum();
        widths + GAP.len() * shown.count().saturating_sub(1)
    }

    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_titles(out)?;
        self.write_rows(out)
    }

    /// The titles alone, for a table whose rows come later.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_titles(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_line(out, self.columns.iter().map(|column| column.title))
    }

    /// # Errors
    /// When `out` cannot be written.
    pub fn write_rows(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            self.write_line(out, row.iter().map(String::as_str))?;
        }
        out.flush()
    }

    /// Forgets the rows and keeps the widths, so that later rows stand below earlier ones.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    fn write_line<'a>(
        &self,
        out: &mut impl Write,
        cells: impl Iterator<Item = &'a str>,
    ) -> io::Result<()> {
        let mut line = String::new();
        for (column, cell) in self.columns.iter().zip(cells) {
            if !column.is_shown {
                continue;
            }
            let cell = column
                .width_max
                .map_or_else(|| cell.to_owned(), |max| cut(cell, max, column.is_rounded));
            let padding = " ".repeat(column.width.saturating_sub(cell.width()));
            match column.align {
                Align::Left => line.push_str(&[&cell, &*padding, GAP].concat()),
                Align::Right => line.push_str(&[&*padding, &cell, GAP].concat()),
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// The text, with its end cut off where it is wider than that.
fn cut(text: &str, width_max: usize, is_rounded: bool) -> String {
    if text.width() <= width_max {
        return text.to_owned();
    }
    let mark = (!is_rounded).then_some(CUT);
    let room = width_max.saturating_sub(usize::from(mark.is_some()));
    let mut kept = String::new();
    let mut width = 0;
    for character in text.chars() {
        width += character.width().unwrap_or(0);
        if width > room {
            break;
        }
        kept.push(character);
    }
    kept.extend(mark);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn table() -> Table {
        let mut table = Table::new(&[
            ("ID", Align::Left),
            ("NAME", Align::Left),
            ("N", Align::Right),
        ]);
        table.row(["12345678", "山田太郎", "7"].map(str::to_owned));
        table.row(["1", "a longer name", "12"].map(str::to_owned));
        table
    }

    #[test]
    fn a_table_gives_up_what_it_is_told_to_and_no_more_than_it_must() {
        const STEPS: &[Step] = &[Step::Cut("NAME", 5), Step::Drop("ID")];
        for (width, expected) in [
            (
                80,
                "ID        NAME            N\n12345678  山田太郎        7\n1         a longer name  12\n",
            ),
            (
                20,
                "ID        NAME     N\n12345678  山田…    7\n1         a lon…  12\n",
            ),
            (12, "NAME    N\n山田…   7\na lo…  12\n"),
        ] {
            let mut table = table();
            table.fit(Some(width), STEPS);
            assert_eq!(written(&table), expected, "{width}");
        }
        let mut whole = table();
        whole.fit(None, STEPS);
        assert_eq!(written(&whole), written(&table()));
    }

    #[test]
    fn rows_that_come_later_fit_too() {
        let mut table = table();
        table.fit(Some(40), &[Step::Cut("NAME", 5)]);
        table.row(["1".to_owned(), "x".repeat(100), "3".to_owned()]);
        assert!(
            written(&table).lines().all(|line| line.width() <= 40),
            "{}",
            written(&table)
        );
    }
}
