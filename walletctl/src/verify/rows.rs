//! What both databases keep about a wallet, in one form: the state row, and the events that led to it.
//!
//! Everything is as it stands in the columns. A value that no event can have is a finding, so nothing here refuses it.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::{Currency, Hash, HoldId, Timestamp, WalletId, event::WalletEvent};
use sqlx::{
    Row,
    postgres::PgRow,
    types::chrono::{DateTime, Utc},
};
use uuid::Uuid;

use super::{
    description::Described,
    open_hold::{HoldRow, OpenHold},
    standing::{Freeze, Standing},
};
use crate::columns::Columns;

/// The ledger's `wallets`, or history's `wallet_heads`, which is a view of the last events: where a wallet is said to be.
#[derive(Clone, Debug)]
pub(super) struct StateRow {
    pub(super) wallet_id: Uuid,
    pub(super) user_id: String,
    pub(super) currency: String,
    pub(super) last_sequence: i64,
    pub(super) balance: i64,
    pub(super) last_hash: Vec<u8>,
    pub(super) last_occurred_at: DateTime<Utc>,
    /// Where its events begin, of a wallet of history of which some are in an archive.
    pub(super) archived: Option<Archived>,
    /// Only the ledger knows limits.
    pub(super) limits: Option<Limits>,
    /// Only the ledger has it in columns of its own.
    pub(super) standing: Option<Standing>,
    /// The same.
    pub(super) described: Option<Described>,
    /// What the wallet is limited by besides, and what was counted of it.
    pub(super) limited: Option<Value>,
    /// Its holds of which something is set aside.
    pub(super) open_holds: BTreeMap<HoldId, OpenHold>,
}

/// The state after the last event that is in an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archived {
    pub(super) sequence: i64,
    /// None when the column holds no hash at all.
    pub(super) hash: Option<Hash>,
    pub(super) balance: i64,
    pub(super) occurred_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) held: i64,
    pub(super) floor: Option<i64>,
    /// By how much an operator had it taken below the floor.
    pub(super) overdrawn: i64,
    /// What remains of the open holds.
    pub(super) open: i64,
    pub(super) holds: HoldSums,
}

/// What the holds of a wallet come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct HoldSums {
    pub(super) count: i64,
    pub(super) authorised: i64,
    pub(super) captured: i64,
    pub(super) released: i64,
}

impl HoldSums {
    /// In words.
    pub(super) fn told(&self, currency: &str) -> String {
        let Self {
            count,
            authorised,
            captured,
            released,
        } = *self;
        let [authorised, captured, released] =
            [authorised, captured, released].map(|minor| text(currency, minor));
        format!("{count} with {authorised} authorised, {captured} captured and {released} released")
    }
}

/// `wallet_events` or `events`.
#[derive(Clone, Debug)]
pub(super) struct EventRow {
    pub(super) wallet_id: Uuid,
    pub(super) sequence: i64,
    pub(super) event_id: Uuid,
    pub(super) schema_version: i16,
    pub(super) kind: String,
    pub(super) transaction_id: Option<Uuid>,
    pub(super) amount: Option<i64>,
    pub(super) balance_after: i64,
    pub(super) held_after: i64,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) actor: String,
    pub(super) subject: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) data: String,
    pub(super) hash: Vec<u8>,
    /// A leg that its transaction does not name; only the ledger is asked.
    pub(super) is_unlisted: bool,
    /// Only history repeats the wallet's owner on every event.
    pub(super) repeated: Option<Repeated>,
}

/// What a history row has in columns of its own, to be found by.
#[derive(Clone, Debug)]
pub(super) struct Repeated {
    pub(super) user_id: String,
    pub(super) currency: String,
    pub(super) counterparty_wallet_id: Option<Uuid>,
}

/// How a database is read: its wallets, and their events.
pub(super) struct Tables {
    /// From `$1` on, with it if `$2`, to `$3`, at most `$4`.
    pub(super) states: &'static str,
    /// After the number `$2` of the wallet `$1`, at most `$3`.
    pub(super) events: &'static str,
    pub(super) state: fn(&PgRow) -> sqlx::Result<StateRow>,
    pub(super) event: fn(&PgRow) -> sqlx::Result<EventRow>,
}

pub(super) static LEDGER: Tables = Tables {
    states: "select id, user_id, currency, version, balance, head_hash, updated_at, held, floor, status, \
     freeze_direction, freeze_reason, freeze_actor, frozen_at, frozen_until, \
     own.open, own.count, own.authorised, own.captured, own.released, \
     external_id, label, metadata, described_in, limits, overdrawn, own.rows \
     from wallets \
     cross join lateral ( \
         select sum(amount::numeric - h.captured - h.released)::text as open, count(*) as count, \
                sum(amount)::text as authorised, sum(h.captured)::text as captured, sum(h.released)::text as released, \
                json_agg(json_build_object('id', h.id, 'status', h.status, 'authorised', h.amount, 'captured', h.captured, \
                    'released', h.released, 'to_wallet_id', h.to_wallet_id, \
                    'ends', case when isfinite(h.expires_at) then (extract(epoch from h.expires_at) * 1000000)::bigint end, \
                    'reference', h.reference, 'description', h.description, 'metadata', h.metadata)) \
                filter (where h.status = 'open' or amount::numeric <> h.captured::numeric + h.released)::text as rows \
         from holds h where h.wallet_id = wallets.id \
     ) as own \
     where id >= $1 and (id > $1 or $2) and id <= $3 order by id limit $4",
    events: "select e.wallet_id, e.sequence, e.event_id, e.schema_version, e.kind, e.transaction_id, \
     e.amount, e.balance_after, e.occurred_at, e.actor, e.subject, e.correlation_id, e.data, e.hash, e.held_after, \
     e.transaction_id is not null and not exists ( \
         select from transactions t, unnest(t.leg_wallets, t.leg_sequences) as leg (wallet_id, sequence) \
         where t.id = e.transaction_id and leg.wallet_id = e.wallet_id and leg.sequence = e.sequence) \
     from wallet_events e where (e.wallet_id, e.sequence) > ($1, $2) order by e.wallet_id, e.sequence limit $3",
    state: StateRow::of_ledger,
    event: EventRow::of_ledger,
};

pub(super) static HISTORY: Tables = Tables {
    states: "select head.wallet_id, user_id, currency, last_sequence, balance, last_hash, last_occurred_at, \
     base.sequence, base.hash, base.balance_after, base.occurred_at \
     from wallet_heads as head \
     left join archived_wallets as base on base.wallet_id = head.wallet_id and base.sequence = head.archived_to \
     where head.wallet_id >= $1 and (head.wallet_id > $1 or $2) and head.wallet_id <= $3 \
     order by head.wallet_id limit $4",
    events: "select wallet_id, sequence, event_id, schema_version, kind, transaction_id, \
     amount, balance_after, occurred_at, actor, subject, correlation_id, data, hash, held_after, user_id, currency, \
     counterparty_wallet_id \
     from events where (wallet_id, sequence) > ($1, $2) order by wallet_id, sequence limit $3",
    state: StateRow::of_history,
    event: EventRow::of_history,
};

/// What a row of [`LEDGER`] says of what the wallet is limited by. Text that is no JSON is what no events come to.
fn limited(row: &PgRow) -> sqlx::Result<Option<Value>> {
    let text: Option<&str> = row.try_get(24)?;
    Ok(text.map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into())))
}

/// A sum of any rows, also of those that were changed by hand: the end of the range stands for what is beyond it.
fn sum(row: &PgRow, place: usize) -> sqlx::Result<i64> {
    let sum: Option<String> = row.try_get(place)?;
    let sum: i128 = sum.map_or(Ok(0), |sum| sum.parse()).unwrap_or(i128::MAX);
    Ok(i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }))
}

fn moment(row: &PgRow, place: usize) -> sqlx::Result<DateTime<Utc>> {
    Ok(perhaps_moment(row, place)?.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// What is no moment of a calendar, such as `infinity`, is the last one there is: no event says that.
fn perhaps_moment(row: &PgRow, place: usize) -> sqlx::Result<Option<DateTime<Utc>>> {
    match row.try_get::<Option<Timestamp>, _>(place) {
        Ok(moment) => Ok(moment.map(Timestamp::utc)),
        Err(sqlx::Error::ColumnDecode { .. }) => Ok(Some(DateTime::<Utc>::MAX_UTC)),
        Err(error) => Err(error),
    }
}

fn open_holds(row: &PgRow) -> sqlx::Result<BTreeMap<HoldId, OpenHold>> {
    let json: Option<&str> = row.try_get(26)?;
    let rows: Vec<HoldRow> = match json {
        Some(json) => {
            serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))?
        }
        None => Vec::new(),
    };
    Ok(rows.into_iter().map(|row| (row.id, row.hold)).collect())
}

/// The last columns of a row of [`HISTORY`]'s states.
fn archived(row: &PgRow) -> sqlx::Result<Option<Archived>> {
    let Some(sequence) = row.try_get(7)? else {
        return Ok(None);
    };
    Ok(Some(Archived {
        sequence,
        hash: Hash::try_from(row.try_get::<Vec<u8>, _>(8)?).ok(),
        balance: row.try_get(9)?,
        occurred_at: moment(row, 10)?,
    }))
}

impl StateRow {
    /// A row of [`HISTORY`].
    pub(super) fn of_history(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            archived: archived(row)?,
            ..Self::columns(row)?
        })
    }

    /// What stands first in both.
    fn columns(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            wallet_id: row.try_get(0)?,
            user_id: row.try_get(1)?,
            currency: row.try_get(2)?,
            last_sequence: row.try_get(3)?,
            balance: row.try_get(4)?,
            last_hash: row.try_get(5)?,
            last_occurred_at: moment(row, 6)?,
            archived: None,
            limits: None,
            standing: None,
            described: None,
            limited: None,
            open_holds: BTreeMap::new(),
        })
    }

    /// A row of [`LEDGER`].
    pub(super) fn of_ledger(row: &PgRow) -> sqlx::Result<Self> {
        let limits = Limits {
            held: row.try_get(7)?,
            floor: row.try_get(8)?,
            overdrawn: row.try_get(25)?,
            open: sum(row, 15)?,
            holds: HoldSums {
                count: row.try_get(16)?,
                authorised: sum(row, 17)?,
                captured: sum(row, 18)?,
                released: sum(row, 19)?,
            },
        };
        Ok(Self {
            open_holds: open_holds(row)?,
            limits: Some(limits),
            standing: Some(standing(row)?),
            described: Some(described(row)?),
            limited: limited(row)?,
            ..Self::columns(row)?
        })
    }

    /// An amount of this wallet in words.
    pub(super) fn text(&self, minor: i64) -> String {
        text(&self.currency, minor)
    }
}

/// The last columns of a row of [`LEDGER`]'s states. Notes that are no map of texts are none that an event says.
fn described(row: &PgRow) -> sqlx::Result<Described> {
    let metadata: Option<String> = row.try_get(22)?;
    let metadata = metadata.map(|json| {
        let unreadable = || [("unreadable".to_owned(), json.clone())].into();
        serde_json::from_str(&json).unwrap_or_else(|_| unreadable())
    });
    Ok(Described {
        external_id: row.try_get(20)?,
        label: row.try_get(21)?,
        metadata: metadata.unwrap_or_default(),
        said_in: row.try_get(23)?,
    })
}

/// The columns of a row of [`LEDGER`]'s states that say how the wallet stands.
fn standing(row: &PgRow) -> sqlx::Result<Standing> {
    let (status, direction): (String, Option<String>) = (row.try_get(9)?, row.try_get(10)?);
    Ok(match (&status[..], direction) {
        ("active", None) => Standing::Active,
        ("closed", None) => Standing::Closed,
        ("frozen", Some(direction)) => Standing::Frozen(Freeze {
            direction,
            reason: row.try_get(11)?,
            actor: row.try_get(12)?,
            since: moment(row, 13)?,
            until: perhaps_moment(row, 14)?,
        }),
        ("frozen", None) => Standing::Unknown("frozen by hand".to_owned()),
        _ => Standing::Unknown(status),
    })
}

/// Minor units in words, also when the currency is not one.
pub(super) fn text(currency: &str, minor: i64) -> String {
    match currency.parse::<Currency>() {
        Ok(known) => known.text(minor),
        Err(_) => format!("{minor} minor units"),
    }
}

impl EventRow {
    /// A row of [`LEDGER`].
    pub(super) fn of_ledger(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            is_unlisted: row.try_get(15)?,
            ..Self::columns(row)?
        })
    }

    /// What stands first in both.
    fn columns(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            wallet_id: row.try_get(0)?,
            sequence: row.try_get(1)?,
            event_id: row.try_get(2)?,
            schema_version: row.try_get(3)?,
            kind: row.try_get(4)?,
            transaction_id: row.try_get(5)?,
            amount: row.try_get(6)?,
            balance_after: row.try_get(7)?,
            occurred_at: moment(row, 8)?,
            actor: row.try_get(9)?,
            subject: row.try_get(10)?,
            correlation_id: row.try_get(11)?,
            data: row.try_get(12)?,
            hash: row.try_get(13)?,
            held_after: row.try_get(14)?,
            is_unlisted: false,
            repeated: None,
        })
    }

    /// A row of [`HISTORY`].
    pub(super) fn of_history(row: &PgRow) -> sqlx::Result<Self> {
        let repeated = Repeated {
            user_id: row.try_get(15)?,
            currency: row.try_get(16)?,
            counterparty_wallet_id: row.try_get(17)?,
        };
        Ok(Self {
            repeated: Some(repeated),
            ..Self::columns(row)?
        })
    }

    pub(super) fn hash(&self) -> Option<Hash> {
        Hash::try_from(self.hash.clone()).ok()
    }

    /// The event these columns are said to hold, unsealed, or which column cannot be part of one.
    pub(super) fn event(
        &self,
        user_id: &str,
        currency: &str,
        prev_hash: Hash,
    ) -> Result<WalletEvent, String> {
        let columns = Columns {
            event_id: self.event_id,
            schema_version: self.schema_version,
            wallet_id: WalletId::from_uuid(self.wallet_id),
            user_id,
            sequence: self.sequence,
            kind: &self.kind,
            transaction_id: self.transaction_id,
            amount: self.amount,
            currency,
            balance_after: self.balance_after,
            held_after: self.held_after,
            occurred_at: Timestamp::from(self.occurred_at),
            actor: &self.actor,
            subject: self.subject.as_deref(),
            correlation_id: self.correlation_id.as_deref(),
            data: &self.data,
        };
        columns.event(prev_hash)
    }
}
