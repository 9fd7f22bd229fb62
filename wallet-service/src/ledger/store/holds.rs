//! The table `holds`: its columns, said once, and how its rows are read and written.
//!
//! A hold is written in the statement of its wallet, after the guard: whoever changes one has its wallet's row. The update
//! compares what the decision rested on all the same, so a change made by hand wins over what the writer remembers.

use std::collections::BTreeMap;

use shared::{Amount, Balance, HoldId, Timestamp, UserId, WalletId, access::Reach, event::Details};
use sqlx::{FromRow, PgConnection, PgExecutor, Row, error::BoxDynError, postgres::PgRow};

use super::{
    column::Column,
    rows::HoldUpdate,
    statement::{Statement, Values},
};
use crate::ledger::model::hold::{Hold, HoldPlace, HoldStatus, UnreadableHold};

/// What a hold is read from, in `holds as h` beside `wallets as w`.
macro_rules! hold_columns {
    () => {
        "h.id, h.wallet_id, w.user_id, w.currency, h.status, h.amount, h.captured, h.released, h.to_wallet_id, \
         h.expires_at, h.due_at, h.reference, h.description, h.metadata, h.created_at, h.updated_at"
    };
}
pub const HOLD_COLUMNS: &str = hold_columns!();

/// Every step by key, whatever is believed of the tables: a subquery with a limit leaves the planner no other plan.
pub const READ_HOLDS: &str = concat!(
    "select ",
    hold_columns!(),
    "
from unnest($1::uuid[]) as asked (id)
cross join lateral (select * from holds where id = asked.id limit 1) as h
cross join lateral (select user_id, currency from wallets where id = h.wallet_id limit 1) as w"
);

/// Which wallets a hold is about; none of it ever changes.
pub const READ_HOLD_PLACES: &str = "
select h.id, h.wallet_id, h.to_wallet_id, w.user_id
from unnest($1::uuid[]) as asked (id)
cross join lateral (select id, wallet_id, to_wallet_id from holds where id = asked.id limit 1) as h
cross join lateral (select user_id from wallets where id = h.wallet_id limit 1) as w";

/// A hold as its row says, or that the row says nothing that this build knows.
pub type HoldFound = Result<Hold, UnreadableHold>;

impl FromRow<'_, PgRow> for Hold {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let metadata: Option<&str> = row.try_get("metadata")?;
        let metadata = match metadata {
            Some(json) => {
                serde_json::from_str(json).map_err(|error| sqlx::Error::ColumnDecode {
                    index: "metadata".to_owned(),
                    source: Box::new(error),
                })?
            }
            None => BTreeMap::new(),
        };
        Ok(Self {
            id: row.try_get("id")?,
            wallet_id: row.try_get("wallet_id")?,
            user_id: row.try_get("user_id")?,
            currency: row.try_get("currency")?,
            status: row.try_get("status")?,
            amount: row.try_get("amount")?,
            captured: row.try_get("captured")?,
            released: row.try_get("released")?,
            to_wallet_id: row.try_get("to_wallet_id")?,
            expires_at: row.try_get("expires_at")?,
            due_at: row.try_get("due_at")?,
            details: Details {
                reference: row.try_get("reference")?,
                description: row.try_get("description")?,
                metadata,
            },
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// Those of these holds that there are.
pub async fn read_holds(
    connection: &mut PgConnection,
    ids: &[HoldId],
) -> Result<Vec<HoldFound>, sqlx::Error> {
    let rows = sqlx::query(READ_HOLDS)
        .bind(ids)
        .fetch_all(connection)
        .await?;
    rows.iter().map(found).collect()
}

/// Reads a row of which nothing but the id must make sense: what else does not is the fault of this one hold.
pub(super) fn found(row: &PgRow) -> Result<HoldFound, sqlx::Error> {
    let id = row.try_get("id")?;
    Ok(Hold::from_row(row).map_err(|error| {
        let cause = &error as &dyn std::error::Error;
        tracing::error!(error = cause, hold_id = %id, "a hold's row cannot be read");
        UnreadableHold { id }
    }))
}

/// Which hold was found, readable or not.
pub const fn id_of(found: &HoldFound) -> HoldId {
    match found {
        Ok(hold) => hold.id,
        Err(unreadable) => unreadable.id,
    }
}

/// Where a hold is, and whose its wallet is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldWhere {
    pub id: HoldId,
    pub wallet_id: WalletId,
    pub to_wallet_id: Option<WalletId>,
    /// None where the wallet's row does not say it: nothing can be decided on that wallet, which whoever decides will find.
    pub user_id: Option<UserId>,
}

impl FromRow<'_, PgRow> for HoldWhere {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            wallet_id: row.try_get("wallet_id")?,
            to_wallet_id: row.try_get("to_wallet_id")?,
            user_id: row.try_get("user_id").ok(),
        })
    }
}

impl HoldWhere {
    pub fn is_reached_by(&self, reach: &Reach) -> bool {
        match &self.user_id {
            Some(user) => reach.includes(user),
            None => *reach == Reach::Everyone,
        }
    }

    pub const fn place(&self) -> HoldPlace {
        HoldPlace {
            wallet_id: self.wallet_id,
            to_wallet_id: self.to_wallet_id,
        }
    }
}

/// Where those of these holds are that there are.
pub async fn read_hold_places(
    executor: impl PgExecutor<'_>,
    ids: &[HoldId],
) -> Result<Vec<HoldWhere>, sqlx::Error> {
    sqlx::query_as(READ_HOLD_PLACES)
        .bind(ids)
        .fetch_all(executor)
        .await
}

/// Adds the rows of new holds.
pub(super) fn insert(
    statement: &mut Statement,
    updates: &[&HoldUpdate],
) -> Result<(), BoxDynError> {
    let holds: Vec<&Hold> = updates.iter().map(|update| &update.after).collect();
    let wallets: Column<WalletId> = holds.iter().map(|hold| hold.wallet_id).collect();
    let mut destinations = Column::<WalletId>::default();
    let mut references = Column::<String>::default();
    let mut descriptions = Column::<String>::default();
    let mut metadata = Column::<String>::default();
    for hold in &holds {
        let details = &hold.details;
        destinations.push(hold.to_wallet_id);
        references.push(details.reference.as_deref());
        descriptions.push(details.description.as_deref());
        let json = (!details.metadata.is_empty())
            .then(|| serde_json::to_string(&details.metadata).unwrap_or_default());
        metadata.push(json);
    }
    let created: Column<Timestamp> = holds.iter().map(|hold| hold.created_at).collect();
    let changing = Changing::of(holds.iter().copied());
    let columns: [(&str, &dyn Values); 6] = [
        ("wallet_id", &wallets),
        ("to_wallet_id", &destinations),
        ("reference", &references),
        ("description", &descriptions),
        ("metadata", &metadata),
        ("created_at", &created),
    ];
    let columns: Vec<_> = changing.columns().into_iter().chain(columns).collect();
    statement.insert("holds", &columns)
}

/// The guarded update of holds that were there, after the guard of their wallets. `holds_guard` ends the statement when one
/// of them is not as it was decided on.
pub(super) fn update(
    statement: &mut Statement,
    updates: &[&HoldUpdate],
) -> Result<(), BoxDynError> {
    let before = updates.iter().filter_map(|update| update.before.as_ref());
    let before = Changing::of(before);
    let after = Changing::of(updates.iter().map(|update| &update.after));
    statement.push(", changed_holds as (\n    update holds h\n    set ");
    let changed = after.columns();
    for (place, (name, _)) in changed.iter().skip(1).enumerate() {
        for text in [if place == 0 { "" } else { ", " }, name, " = u.", name] {
            statement.push(text);
        }
    }
    statement.push("\n    from (select ");
    statement.select(&changed)?;
    let compared = before.columns();
    for (name, values) in &compared[1..] {
        statement.push(", ");
        statement.select(&[(name, *values)])?;
        statement.push(BEFORE);
    }
    statement.push(" from guard where guard.ok) as u\n    where h.id = u.id");
    for (name, _) in &compared[1..] {
        for text in [" and h.", name, " is not distinct from u.", name, BEFORE] {
            statement.push(text);
        }
    }
    statement.push(
        "\n    returning 1\n), holds_guard as materialized (\n    select require_all_versions_held(count(*), ",
    );
    statement.bind(i64::try_from(updates.len())?)?;
    statement.push(") as ok from changed_holds\n)");
    Ok(())
}

/// What is added to a column's name for what the hold must still be.
const BEFORE: &str = "_before";

/// The columns that commands change, after the one that finds the row.
struct Changing {
    ids: Column<HoldId>,
    statuses: Column<HoldStatus>,
    amounts: Column<Amount>,
    captured: Column<Balance>,
    released: Column<Balance>,
    expires_at: Column<Timestamp>,
    due_at: Column<Timestamp>,
    updated_at: Column<Timestamp>,
}

impl Changing {
    fn of<'h>(holds: impl Iterator<Item = &'h Hold>) -> Self {
        let mut all = Self {
            ids: Column::default(),
            statuses: Column::default(),
            amounts: Column::default(),
            captured: Column::default(),
            released: Column::default(),
            expires_at: Column::default(),
            due_at: Column::default(),
            updated_at: Column::default(),
        };
        for hold in holds {
            all.ids.push(hold.id);
            all.statuses.push(hold.status);
            all.amounts.push(hold.amount);
            all.captured.push(hold.captured);
            all.released.push(hold.released);
            all.expires_at.push(hold.expires_at);
            all.due_at.push(hold.due_at);
            all.updated_at.push(hold.updated_at);
        }
        all
    }

    fn columns(&self) -> [(&'static str, &dyn Values); 8] {
        [
            ("id", &self.ids),
            ("status", &self.statuses),
            ("amount", &self.amounts),
            ("captured", &self.captured),
            ("released", &self.released),
            ("expires_at", &self.expires_at),
            ("due_at", &self.due_at),
            ("updated_at", &self.updated_at),
        ]
    }
}
