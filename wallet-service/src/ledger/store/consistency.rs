//! What the service reads to check itself: a bounded part of the ledger at a time, in the order of the wallets' ids.
//!
//! A wallet's row is read with its last event and its holds in one statement, so of one moment; its events up to that are
//! append-only and may be read later. Nothing here waits for a lock or holds one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared::{
    Sequence, TransactionId, WalletId,
    event::WalletEvent,
    page::{Cursor, Limit},
    server::postgres::answered,
};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::query::{ReadError, Reader};
use crate::ledger::consistency::{
    Finding, LegsFound, Link, StateFound, Total, check_event, check_legs, check_state, check_total,
};

/// Events that one call looks at.
const EVENTS_MAX: usize = 2_000;
/// Findings that one call tells; it ends where there are so many.
const FINDINGS_MAX: usize = 100;

const LISTING: &str = "consistency";

const READ_STATES: &str = "
select w.id as wallet_id, w.currency, w.version, w.balance, w.held, w.floor, w.overdrawn, w.head_hash,
       last.hash as last_hash, last.balance_after as last_balance, last.held_after as last_held,
       exists (select from wallet_events e where e.wallet_id = w.id and e.sequence > w.version) as is_behind,
       (select coalesce(sum(h.amount::numeric - h.captured - h.released), 0)::text from holds h
        where h.wallet_id = w.id and h.status = 'open') as open
from wallets w
left join wallet_events last on last.wallet_id = w.id and last.sequence = w.version
where w.id >= $1
order by w.id
limit $2";

const READ_EVENTS: &str = "
select e.wallet_id, w.user_id, w.currency, e.sequence, e.event_id, e.schema_version, e.kind, e.transaction_id, e.amount,
       e.balance_after, e.held_after, e.occurred_at, e.actor, e.subject, e.correlation_id, e.data, e.hash,
       null::bytea as prev_hash
from wallet_events e
join wallets w on w.id = e.wallet_id
where e.wallet_id = $1 and e.sequence >= $2 and e.sequence <= $3
order by e.sequence
limit $4";

const READ_LEGS: &str = "
select asked.id as transaction_id, w.currency, sum(e.amount)::text as sum, count(*) - count(e.sequence) as missing
from unnest($1::uuid[]) as asked (id)
left join transactions t on t.id = asked.id
left join lateral unnest(t.leg_wallets, t.leg_sequences) as leg (wallet_id, sequence) on true
left join wallet_events e
    on e.wallet_id = leg.wallet_id and e.sequence = leg.sequence and e.transaction_id = asked.id
left join wallets w on w.id = leg.wallet_id
group by asked.id, w.currency";

/// The sum of a bigint is numeric, which has no end.
const READ_TOTALS: &str = "
select currency, count(*) as wallets, sum(balance)::text as balance from wallets group by currency order by currency";

/// What one call looked at, and what does not hold of it.
#[derive(Debug, Default)]
pub struct Checked {
    pub wallets: usize,
    pub events: usize,
    pub transactions: usize,
    /// Of all wallets; only the first call looks.
    pub totals: Vec<Total>,
    pub findings: Vec<Finding>,
    /// Where the next call goes on; none when all was looked at.
    pub next_cursor: Option<Cursor>,
}

/// A wallet, and its last event that was looked at.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Place {
    wallet_id: Uuid,
    sequence: i64,
}

impl Reader {
    /// Looks at a part of the ledger: `limit` wallets at most, from where a call before ended.
    pub async fn check(&self, limit: Limit, cursor: Option<&Cursor>) -> Result<Checked, ReadError> {
        let place: Option<Place> = match cursor {
            Some(cursor) => Some(cursor.open(LISTING)?),
            None => None,
        };
        let mut checked = Checked::default();
        let checking = async {
            let mut connection = self.pool().acquire().await?;
            if place.is_none() {
                checked.totals = sqlx::query_as(READ_TOTALS)
                    .fetch_all(&mut *connection)
                    .await?;
                checked
                    .findings
                    .extend(checked.totals.iter().filter_map(check_total));
            }
            checked.wallets_from(&mut connection, limit, place).await
        };
        answered(checking).await?;
        Ok(checked)
    }
}

impl Checked {
    async fn wallets_from(
        &mut self,
        connection: &mut PgConnection,
        limit: Limit,
        place: Option<Place>,
    ) -> Result<(), sqlx::Error> {
        let from = place.map_or(Uuid::nil(), |place| place.wallet_id);
        let rows = sqlx::query(READ_STATES)
            .bind(from)
            .bind(limit.with_lookahead())
            .fetch_all(&mut *connection)
            .await?;
        let mut transactions = BTreeSet::new();
        for (number, row) in rows.iter().enumerate() {
            let wallet_id: WalletId = row.try_get("wallet_id")?;
            let is_begun =
                |place: &Place| place.wallet_id == wallet_id.uuid() && place.sequence > 0;
            let begun = place.filter(is_begun);
            let is_full = self.events >= EVENTS_MAX || self.findings.len() >= FINDINGS_MAX;
            if is_full || number >= usize::from(limit.get()) {
                let sequence = begun.map_or(0, |place| place.sequence);
                self.goes_on(wallet_id, sequence);
                break;
            }
            let until = self.state(row, begun.is_none())?;
            let begun = begun.map_or(0, |place| place.sequence);
            let reached = self
                .events(connection, wallet_id, begun, until, &mut transactions)
                .await?;
            if reached < until {
                self.goes_on(wallet_id, reached.get());
                break;
            }
        }
        self.legs(connection, transactions).await
    }

    fn goes_on(&mut self, wallet_id: WalletId, sequence: i64) {
        let place = Place {
            wallet_id: wallet_id.uuid(),
            sequence,
        };
        self.next_cursor = Some(Cursor::seal(LISTING, place));
    }

    /// Checks a wallet's row, unless a call before has; gives its version.
    fn state(&mut self, row: &PgRow, is_new: bool) -> Result<Sequence, sqlx::Error> {
        let version: i64 = row.try_get("version")?;
        let version = Sequence::try_from(version).unwrap_or(Sequence::LAST);
        if !is_new {
            return Ok(version);
        }
        self.wallets += 1;
        match StateFound::from_row(row) {
            Ok(state) => self.findings.extend(check_state(&state)),
            Err(error) => {
                let wallet_id = row.try_get("wallet_id")?;
                let finding = Finding::unreadable(wallet_id, version, error.to_string());
                self.findings.push(finding);
            }
        }
        Ok(version)
    }

    /// Checks a wallet's events after `begun`, as far as there is room; gives the last one.
    async fn events(
        &mut self,
        connection: &mut PgConnection,
        wallet_id: WalletId,
        begun: i64,
        until: Sequence,
        transactions: &mut BTreeSet<Uuid>,
    ) -> Result<Sequence, sqlx::Error> {
        let room = EVENTS_MAX.saturating_sub(self.events).max(1);
        // The one before is read again, to compare with.
        let limit = i64::try_from(room).unwrap_or(i64::MAX) + i64::from(begun > 0);
        let rows = sqlx::query(READ_EVENTS)
            .bind(wallet_id)
            .bind(begun.max(1))
            .bind(until)
            .bind(limit)
            .fetch_all(connection)
            .await?;
        let is_last_page = i64::try_from(rows.len()).unwrap_or(i64::MAX) < limit;
        let mut before: Option<Link> = None;
        let mut reached = Sequence::try_from(begun).unwrap_or(Sequence::ZERO);
        for row in &rows {
            let sequence: Sequence = row.try_get("sequence")?;
            let is_known = begun > 0 && sequence.get() == begun;
            reached = sequence;
            match WalletEvent::from_row(row) {
                Ok(event) => {
                    if !is_known {
                        self.events += 1;
                        self.findings.extend(check_event(before.as_ref(), &event));
                        transactions.extend(event.transaction_id.map(TransactionId::uuid));
                    }
                    before = Some(Link::of(&event));
                }
                Err(error) => {
                    if !is_known {
                        self.events += 1;
                        let finding = Finding::unreadable(wallet_id, sequence, error.to_string());
                        self.findings.push(finding);
                    }
                    // The next one is compared with what of it can be read, if anything.
                    before = Link::from_row(row).ok();
                }
            }
            if self.findings.len() >= FINDINGS_MAX && reached < until {
                return Ok(reached);
            }
        }
        Ok(if is_last_page { until } else { reached })
    }

    async fn legs(
        &mut self,
        connection: &mut PgConnection,
        transactions: BTreeSet<Uuid>,
    ) -> Result<(), sqlx::Error> {
        let ids = Vec::from_iter(transactions);
        self.transactions = ids.len();
        let legs: Vec<LegsFound> = sqlx::query_as(READ_LEGS)
            .bind(ids)
            .fetch_all(connection)
            .await?;
        self.findings.extend(legs.iter().flat_map(check_legs));
        Ok(())
    }
}
