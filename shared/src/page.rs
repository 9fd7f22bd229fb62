//! Keyset pages: `limit` and an opaque `cursor` in, `{items, next_cursor}` out.
//!
//! A page has no more rows than its limit, and ends before that where they hold too much of what callers wrote
//! ([`PAGE_BYTES_MAX`]): what one request costs depends on neither.
//!
//! A cursor is base64url over JSON of the last row's sort key. It grants nothing: it is decoded into typed values and
//! bound as parameters, and one that was made for another listing or other filters is refused.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// How many rows a page may hold: 1 to 500, 50 when not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit(u16);

impl Limit {
    pub const MAX: u16 = 500;

    pub const fn get(self) -> u16 {
        self.0
    }

    /// One row more than the page holds: its presence says that there is a next page.
    pub const fn with_lookahead(self) -> i64 {
        self.0 as i64 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("must be a whole number from 1 to {}", Limit::MAX)]
pub struct InvalidLimit;

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(limit) if (1..=Self::MAX).contains(&limit) => Ok(Self(limit)),
            _ => Err(InvalidLimit),
        }
    }
}

/// Where a listing goes on: an opaque text to callers, a typed key `K` to the listing that made it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

#[derive(Debug, thiserror::Error)]
#[error("is not a cursor of this listing")]
pub struct InvalidCursor;

#[derive(Serialize, Deserialize)]
struct Content<K> {
    /// Stands for the listing and its filters, and is as long for all of them.
    of: String,
    after: K,
}

impl Cursor {
    /// Far more than one of ours has, whatever the listing: a name of any length is a digest in it, and sort keys are
    /// numbers, moments and ids.
    const LENGTH_MAX: usize = 1024;
    /// Bytes of the digest: enough that no two listings of one caller meet.
    const DIGEST_BYTES: usize = 16;

    fn digest(listing: &str) -> String {
        URL_SAFE_NO_PAD.encode(&Sha256::digest(listing)[..Self::DIGEST_BYTES])
    }

    /// `listing` names the listing and its filters; only the same name will open the cursor again.
    pub fn seal<K: Serialize>(listing: &str, after: K) -> Self {
        let content = Content {
            of: Self::digest(listing),
            after,
        };
        let json = serde_json::to_vec(&content).unwrap_or_default();
        Self(URL_SAFE_NO_PAD.encode(json))
    }

    pub fn open<K: DeserializeOwned>(&self, listing: &str) -> Result<K, InvalidCursor> {
        let json = URL_SAFE_NO_PAD.decode(&self.0).map_err(|_| InvalidCursor)?;
        let content: Content<K> = serde_json::from_slice(&json).map_err(|_| InvalidCursor)?;
        if content.of == Self::digest(listing) {
            Ok(content.after)
        } else {
            Err(InvalidCursor)
        }
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::LENGTH_MAX {
            return Err(InvalidCursor);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which way a listing goes. The text forms are those of the API and of SQL.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Debug,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(parse_err_ty = UnknownOrder, parse_err_fn = UnknownOrder::of)]
pub enum Order {
    #[default]
    #[strum(serialize = "desc")]
    NewestFirst,
    #[strum(serialize = "asc")]
    OldestFirst,
}

impl Order {
    /// How, in SQL, a key compares to the cursor's when it comes after it.
    pub const fn comes_after(self) -> &'static str {
        match self {
            Self::NewestFirst => "<",
            Self::OldestFirst => ">",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be asc or desc")]
pub struct UnknownOrder;

impl UnknownOrder {
    const fn of(_: &str) -> Self {
        Self
    }
}

/// What the rows of a page may hold together of texts that callers wrote, in bytes; a row that holds more is alone on its page.
/// Five hundred rows with all the metadata they may have are fifteen times as much.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Ends a page in SQL where it holds [`PAGE_BYTES_MAX`], so that nothing is sent that is not shown.
///
/// What stands between the two texts is a select of the page's rows; theirs is a column `page_bytes` more, for
/// [`Measured`]. The first row that does not fit is there, too: its presence says that there is a next page.
#[derive(Debug)]
pub struct Bounded {
    pub before: String,
    pub after: String,
}

impl Bounded {
    /// `bytes` says in SQL what a row holds, `order` in which order the rows are. The length of a text is known without
    /// reading it.
    pub fn by(bytes: &str, order: impl fmt::Display) -> Self {
        Self::to(PAGE_BYTES_MAX, bytes, order)
    }

    /// The same with another size.
    pub fn to(bytes_max: usize, bytes: &str, order: impl fmt::Display) -> Self {
        Self {
            before: format!(
                "select * from (select page.*, sum({bytes}) over (order by {order} rows unbounded preceding) as page_bytes \
                 from ("
            ),
            after: format!(") as page) as page where page_bytes - ({bytes}) <= {bytes_max}"),
        }
    }
}

/// A row, and what it holds together with those before it on its page, in bytes. Zero where no row of a listing is large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured<T> {
    pub row: T,
    pub page_bytes: i64,
}

impl<T> Measured<T> {
    pub const fn small(row: T) -> Self {
        Self { row, page_bytes: 0 }
    }

    /// What was found in a row that was read with [`Bounded`].
    ///
    /// # Errors
    /// When it was not.
    #[cfg(feature = "sqlx")]
    pub fn read(read: &sqlx::postgres::PgRow, row: T) -> sqlx::Result<Self> {
        let page_bytes = sqlx::Row::try_get(read, "page_bytes")?;
        Ok(Self { row, page_bytes })
    }

    const fn fits(&self) -> bool {
        self.page_bytes <= PAGE_BYTES_MAX as i64
    }
}

/// Which part of a listing, in which order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PageRequest {
    pub limit: Limit,
    pub cursor: Option<Cursor>,
    pub order: Order,
}

/// One page of a listing.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `null` at the end of the listing. A page may have fewer items than its limit and a cursor nevertheless.
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of rows read with [`Limit::with_lookahead`], none of which is large; `key` is the sort key of the last row
    /// that is kept.
    pub fn of<K: Serialize>(
        rows: Vec<T>,
        limit: Limit,
        listing: &str,
        key: impl FnOnce(&T) -> K,
    ) -> Self {
        let rows = rows.into_iter().map(Measured::small).collect();
        Self::bounded(rows, limit, listing, key)
    }

    /// The same of rows that were read with [`Bounded`].
    pub fn bounded<K: Serialize>(
        mut rows: Vec<Measured<T>>,
        limit: Limit,
        listing: &str,
        key: impl FnOnce(&T) -> K,
    ) -> Self {
        let fitting = rows.iter().take_while(|row| row.fits()).count();
        let kept = fitting.max(1).min(limit.get().into());
        // Behind one that is too large for a page nothing was read.
        let more = rows.len() > kept || fitting < rows.len();
        rows.truncate(kept);
        let items = Vec::from_iter(rows.into_iter().map(|measured| measured.row));
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| Cursor::seal(listing, key(last)));
        Self { items, next_cursor }
    }

    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(shape).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_opens_only_for_the_listing_that_made_it() {
        let cursor = Cursor::seal("history/a", 7_i64);
        assert_eq!(cursor.open::<i64>("history/a").unwrap(), 7);
        assert!(cursor.open::<i64>("history/b").is_err());
        assert!(cursor.open::<String>("history/a").is_err());
        assert!(
            "%%%"
                .parse::<Cursor>()
                .unwrap()
                .open::<i64>("history/a")
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn what_is_handed_out_is_taken_back_whatever_the_listing_is_called(
            listing in "[\\PC]{0,2000}",
            key in (any::<i64>(), any::<[u128; 2]>(), "[0-9TZ:.-]{27}"),
        ) {
            let sent: Cursor = Cursor::seal(&listing, &key).to_string().parse().unwrap();
            prop_assert_eq!(sent.open::<(i64, [u128; 2], String)>(&listing).unwrap(), key);
            let other = listing + "x";
            prop_assert!(sent.open::<(i64, [u128; 2], String)>(&other).is_err());
        }
    }

    #[test]
    fn a_page_ends_without_a_cursor() {
        let limit: Limit = "2".parse().unwrap();
        let page = Page::of(vec![1, 2, 3], limit, "numbers", |n| *n);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(page.next_cursor.unwrap().open::<i64>("numbers").unwrap(), 2);
        assert!(
            Page::of(vec![1, 2], limit, "numbers", |n| *n)
                .next_cursor
                .is_none()
        );
    }

    /// Where a page of so many ends that holds numbers of these sizes, as far as they are read; and whether others follow.
    fn ended(limit: &str, sizes: &[i64]) -> (usize, bool) {
        let mut page_bytes = 0;
        let rows = sizes.iter().map(|size| {
            page_bytes += size;
            let row = page_bytes;
            Measured { row, page_bytes }
        });
        let page = Page::bounded(rows.collect(), limit.parse().unwrap(), "numbers", |n| *n);
        if let Some(cursor) = &page.next_cursor {
            assert_eq!(
                cursor.open::<i64>("numbers").unwrap(),
                *page.items.last().unwrap()
            );
        }
        (page.items.len(), page.next_cursor.is_some())
    }

    #[test]
    fn a_page_ends_where_it_holds_enough_and_loses_nothing() {
        let max = i64::try_from(PAGE_BYTES_MAX).unwrap();
        let half = max / 2;
        assert_eq!(ended("5", &[half, half]), (2, false));
        assert_eq!(ended("5", &[half, half, 1]), (2, true));
        assert_eq!(ended("2", &[half, half, 1]), (2, true));
        assert_eq!(ended("1", &[half, half]), (1, true));
        // What comes after it was not read.
        assert_eq!(ended("5", &[max + 1]), (1, true));
        assert_eq!(ended("5", &[max + 1, 1]), (1, true));
        assert_eq!(ended("5", &[]), (0, false));
    }

    #[test]
    fn an_order_reads_as_it_is_written() {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        for text in ["", "ASC", "up"] {
            assert_eq!(text.parse::<Order>(), Err(UnknownOrder));
        }
    }

    #[test]
    fn a_limit_outside_its_range_is_refused_not_clamped() {
        for text in ["0", "501", "-1", "1e2", "", "ten"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }
}
