//! A column of `wallets`: what it has of a wallet, whether commands change it, and whether decisions rest on it.

use sqlx::{Encode, Postgres, Type, error::BoxDynError, postgres::PgHasArrayType};

use super::{
    column::Column,
    rows::WalletUpdate,
    statement::{Statement, Values},
};
use crate::ledger::model::{description::Description, freeze::Freeze, wallet::Wallet};

/// A column of `wallets`, whatever its type.
pub(super) trait WalletColumn: Sync {
    fn name(&self) -> &'static str;

    /// Whether a command may change it after the wallet was created.
    fn changes(&self) -> bool;

    /// Whether one of the decisions rests on it, so that the update must find it as it was read.
    fn is_guarded_in(&self, updates: &[&WalletUpdate]) -> bool;

    /// Whether all wallets have the same, as far as that is worth a statement of its own: for a column whose values
    /// mostly differ it would be one of chance.
    fn is_the_same_in(&self, wallets: &[&Wallet]) -> bool;

    /// Whether none of the updates changes it, as far as that is worth a statement of its own.
    fn is_unchanged_in(&self, updates: &[&WalletUpdate]) -> bool;

    /// Adds what the first of the wallets has, as a parameter.
    fn bind_first(&self, statement: &mut Statement, wallets: &[&Wallet])
    -> Result<(), BoxDynError>;

    /// Adds the column as these wallets have it.
    fn select(
        &self,
        statement: &mut Statement,
        wallets: &[&Wallet],
        suffix: &str,
    ) -> Result<(), BoxDynError>;
}

pub(super) struct Field<V> {
    name: &'static str,
    changes: bool,
    guarded: Guarded,
    mostly_the_same: bool,
    of: Source<V>,
}

/// Which decisions rest on a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guarded {
    /// None: it finds the row, or is only told.
    Never,
    Always,
    /// Those that change it.
    WhenChanged,
}

/// Where a column's value stands.
enum Source<V> {
    Wallet(fn(&Wallet) -> &V),
    /// Null where there is none.
    Perhaps(fn(&Wallet) -> Option<&V>),
    /// Null where there is no freeze.
    Freeze(fn(&Freeze) -> Option<&V>),
    /// Null where there is no description.
    Description(fn(&Description) -> Option<&V>),
}

impl<V> Source<V> {
    fn get<'wallet>(&self, wallet: &'wallet Wallet) -> Option<&'wallet V> {
        match self {
            Self::Wallet(of) => Some(of(wallet)),
            Self::Perhaps(of) => of(wallet),
            Self::Freeze(of) => wallet.freeze.as_deref().and_then(of),
            Self::Description(of) => wallet.description.as_deref().and_then(of),
        }
    }
}

impl<V> Field<V> {
    /// A column that finds the row, or on which no decision rests.
    pub(super) const fn unguarded(self) -> Self {
        let guarded = Guarded::Never;
        Self { guarded, ..self }
    }

    /// A column that stays as the wallet was created with it.
    pub(super) const fn never_changes(self) -> Self {
        let changes = false;
        let guarded = Guarded::Never;
        Self {
            changes,
            guarded,
            ..self
        }
    }

    /// A column that is mostly the same in all wallets of a batch.
    pub(super) const fn mostly_the_same(self) -> Self {
        let mostly_the_same = true;
        Self {
            mostly_the_same,
            ..self
        }
    }
}

/// A column that stays as the wallet was created with it.
pub(super) const fn fixed<V>(name: &'static str, of: fn(&Wallet) -> &V) -> Field<V> {
    Field {
        name,
        changes: false,
        guarded: Guarded::Always,
        mostly_the_same: false,
        of: Source::Wallet(of),
    }
}

/// A column that commands change.
pub(super) const fn changing<V>(name: &'static str, of: fn(&Wallet) -> &V) -> Field<V> {
    let changes = true;
    Field {
        changes,
        ..fixed(name, of)
    }
}

/// A column that few wallets have something in.
pub(super) const fn perhaps<V>(name: &'static str, of: fn(&Wallet) -> Option<&V>) -> Field<V> {
    Field {
        name,
        changes: true,
        guarded: Guarded::Always,
        mostly_the_same: true,
        of: Source::Perhaps(of),
    }
}

/// A column that only frozen wallets have something in.
pub(super) const fn of_freeze<V>(name: &'static str, of: fn(&Freeze) -> Option<&V>) -> Field<V> {
    Field {
        name,
        changes: true,
        guarded: Guarded::Always,
        mostly_the_same: true,
        of: Source::Freeze(of),
    }
}

/// A column that only described wallets have something in. A batch that describes none neither compares nor writes it.
pub(super) const fn of_description<V>(
    name: &'static str,
    of: fn(&Description) -> Option<&V>,
) -> Field<V> {
    Field {
        name,
        changes: true,
        guarded: Guarded::WhenChanged,
        mostly_the_same: true,
        of: Source::Description(of),
    }
}

impl<V> WalletColumn for Field<V>
where
    V: for<'v> Encode<'v, Postgres> + Type<Postgres> + PgHasArrayType + PartialEq,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn changes(&self) -> bool {
        self.changes
    }

    fn is_guarded_in(&self, updates: &[&WalletUpdate]) -> bool {
        match self.guarded {
            Guarded::Never => false,
            Guarded::Always => true,
            Guarded::WhenChanged => !self.is_unchanged_in(updates),
        }
    }

    fn is_the_same_in(&self, wallets: &[&Wallet]) -> bool {
        let Some((first, others)) = wallets.split_first() else {
            return false;
        };
        let first = self.of.get(first);
        let mut others = others.iter();
        self.mostly_the_same && others.all(|wallet| self.of.get(wallet) == first)
    }

    fn is_unchanged_in(&self, updates: &[&WalletUpdate]) -> bool {
        let is_unchanged = |update: &&WalletUpdate| {
            let before = update.before.as_ref();
            before.is_some_and(|before| self.of.get(before) == self.of.get(&update.after))
        };
        let is_safe = self.mostly_the_same && self.guarded != Guarded::Never;
        is_safe && updates.iter().all(is_unchanged)
    }

    fn bind_first(
        &self,
        statement: &mut Statement,
        wallets: &[&Wallet],
    ) -> Result<(), BoxDynError> {
        let wallet = wallets
            .first()
            .ok_or("there is no wallet to compare with")?;
        statement.bind(self.of.get(wallet))
    }

    fn select(
        &self,
        statement: &mut Statement,
        wallets: &[&Wallet],
        suffix: &str,
    ) -> Result<(), BoxDynError> {
        let mut column = Column::<V>::default();
        for wallet in wallets {
            column.push(self.of.get(wallet));
        }
        let values: &dyn Values = &column;
        statement.select(&[(self.name, values)])?;
        statement.push(suffix);
        Ok(())
    }
}
