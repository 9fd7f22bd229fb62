//! The wallets, and their holds, as the writer knows them: read from the database, or kept from the batches before.
//!
//! Kept state saves the read of each batch. It may be out of date, because another instance wrote in between; the
//! version guard makes that harmless for what is accepted, and [`WalletCache::read_since`] tells what a refusal may
//! rest on. A hold is believed only together with the very reading of its wallet after which it was read: it changes with the
//! wallet's version, so what is as new as the wallet is guarded by the wallet's guard.

use std::collections::HashMap;

use shared::{Currency, HoldId, TransactionId, WalletId};

use crate::ledger::{
    decide::{Decision, LedgerView},
    model::{
        answer::Referenced,
        command::Command,
        hold::Hold,
        posting::ReversedSoFar,
        settlement::SettlementShard,
        wallet::{UnreadableWallet, Wallet},
    },
    store::{
        answers::references::TakenReference,
        external_ids::TakenExternalId,
        holds::{self, HoldFound},
        wallets::WalletFound,
    },
};

/// Counts how often commands were gathered: what was read in a command's own epoch, or later, is as new as the command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ReadEpoch(u64);

impl ReadEpoch {
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    /// None: there is no such wallet.
    wallet: Option<Wallet>,
    read: ReadEpoch,
    /// Which of all readings it comes from.
    reading: u64,
    /// There is one, and its row cannot be read.
    unreadable: bool,
    /// What it was is known, what it is now is not. Kept for its currency, which never changes.
    forgotten: bool,
}

#[derive(Clone, Debug)]
struct HoldEntry {
    /// None: there is no such hold.
    found: Option<HoldFound>,
    wallet_id: WalletId,
    /// The reading of its wallet after which it was read.
    reading: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct WalletCache {
    recent: HashMap<WalletId, Entry>,
    /// What was in `recent` before it was full. Dropped whole when `recent` fills again, so the cache is bounded by
    /// twice [`WalletCache::GENERATION`] and never forgets a wallet of the last few batches.
    older: HashMap<WalletId, Entry>,
    /// In the same two generations: what a batch in flight changed is there.
    recent_holds: HashMap<HoldId, HoldEntry>,
    older_holds: HashMap<HoldId, HoldEntry>,
    /// How often a wallet was taken in.
    readings: u64,
    /// What is trusted for one epoch only, like `references`: wallets that were not there, which another instance may make
    /// at any time, and those that nothing can be decided on, which an operator may mend.
    passing: Vec<WalletId>,
    references: HashMap<(String, String), Referenced>,
    /// Of transactions of which something was taken back; none where it cannot be read how much.
    reversed: HashMap<TransactionId, Option<ReversedSoFar>>,
    /// Whose name a wallet has, as its owner calls it; for one epoch only as well.
    external_ids: HashMap<(String, String), WalletId>,
}

impl WalletCache {
    /// About 400 bytes a wallet: 50,000 of them, twice, are 40 MB.
    const GENERATION: usize = 50_000;

    /// Whether it is known what this wallet is, or that it is not.
    pub fn knows(&self, id: WalletId) -> bool {
        self.entry(id).is_some()
    }

    /// Wallets that the decision on a command needs, the settlement wallet included as soon as the currency is known.
    pub fn needed(
        &self,
        command: &Command,
        shard: SettlementShard,
    ) -> impl Iterator<Item = WalletId> + use<> {
        let currency = command.settled_wallet().and_then(|id| self.currency(id));
        let settlement = currency.and_then(|currency| {
            let mut settlement_wallets = shard.settlement_wallets(currency);
            settlement_wallets.find(|id| !self.gives_way(*id, currency))
        });
        let said = command.settled_currencies().into_iter();
        let said: Vec<WalletId> = said
            .filter_map(|currency| {
                let mut settlement_wallets = shard.settlement_wallets(currency);
                settlement_wallets.find(|id| !self.gives_way(*id, currency))
            })
            .collect();
        command.wallets().chain(settlement).chain(said)
    }

    /// Those of them that are not known.
    pub fn missing(
        &self,
        command: &Command,
        shard: SettlementShard,
    ) -> impl Iterator<Item = WalletId> {
        self.needed(command, shard).filter(|id| !self.knows(*id))
    }

    /// Whether something that the decision on a command needs is there and cannot be read, or a wallet has no next number.
    pub fn cannot_decide(&self, command: &Command, shard: SettlementShard) -> bool {
        let unusable = |id| {
            self.entry(id).is_some_and(|entry| {
                let version = entry.wallet.as_ref().map(|wallet| wallet.version);
                entry.unreadable || version.is_some_and(|it| it.for_next_event().is_none())
            })
        };
        let hold = command.hold().and_then(|(id, _)| self.hold_entry(id));
        let is_unreadable = |entry: &HoldEntry| matches!(entry.found, Some(Err(_)));
        let reversed = command.reverses().and_then(|id| self.reversed.get(&id));
        hold.is_some_and(is_unreadable)
            || matches!(reversed, Some(None))
            || self.needed(command, shard).any(unusable)
    }

    /// Also of a wallet that was forgotten.
    pub fn currency(&self, id: WalletId) -> Option<Currency> {
        let entry = self.known(id)?;
        entry.wallet.as_ref().map(|wallet| wallet.currency)
    }

    /// Whether the wallet was read in `epoch` or later.
    pub fn read_since(&self, id: WalletId, epoch: ReadEpoch) -> bool {
        self.entry(id).is_some_and(|entry| entry.read >= epoch)
    }

    /// Takes in what the database said about a wallet.
    pub fn insert(&mut self, id: WalletId, wallet: Option<Wallet>, read: ReadEpoch) {
        if wallet.as_ref().is_none_or(gives_way_for_now) {
            self.passing.push(id);
        }
        let entry = Entry {
            wallet,
            read,
            reading: self.next_reading(),
            unreadable: false,
            forgotten: false,
        };
        self.put(id, entry);
    }

    /// Takes in what a look for a wallet found: a wallet, a row that cannot be read, or nothing. One that cannot be read is
    /// looked at again for the next commands: it may have been mended.
    pub fn insert_found(&mut self, id: WalletId, found: Option<WalletFound>, read: ReadEpoch) {
        match found.transpose() {
            Ok(wallet) => self.insert(id, wallet, read),
            Err(UnreadableWallet { id }) => {
                self.passing.push(id);
                let entry = Entry {
                    wallet: None,
                    read,
                    reading: self.next_reading(),
                    unreadable: true,
                    forgotten: false,
                };
                self.put(id, entry);
            }
        }
    }

    /// Takes in what the database said about a reference.
    pub fn insert_reference(&mut self, taken: TakenReference) {
        let TakenReference {
            owner,
            reference,
            by,
        } = taken;
        self.references.insert((owner, reference), by);
    }

    /// Takes in what the database said was taken back of a transaction; none when what it said cannot be read.
    pub fn insert_reversed(&mut self, id: TransactionId, so_far: Option<ReversedSoFar>) {
        self.reversed.insert(id, so_far);
    }

    /// Takes in what the database said about a caller's name of a wallet.
    pub fn insert_external_id(&mut self, taken: TakenExternalId) {
        let TakenExternalId {
            owner,
            external_id,
            wallet_id,
        } = taken;
        self.external_ids.insert((owner, external_id), wallet_id);
    }

    /// The holds that the decisions on these commands need and that are not known, with their wallets.
    pub fn missing_holds<'c>(
        &self,
        commands: impl Iterator<Item = &'c Command>,
    ) -> HashMap<HoldId, WalletId> {
        let holds = commands.filter_map(Command::hold);
        holds
            .filter(|(id, _)| self.hold_entry(*id).is_none())
            .collect()
    }

    /// Takes in what a look for these holds found, after their wallets were read.
    pub fn insert_holds(&mut self, asked: HashMap<HoldId, WalletId>, found: Vec<HoldFound>) {
        let mut found: HashMap<HoldId, _> = found
            .into_iter()
            .map(|found| (holds::id_of(&found), found))
            .collect();
        for (id, wallet_id) in asked {
            self.insert_hold(id, wallet_id, found.remove(&id));
        }
    }

    fn insert_hold(&mut self, id: HoldId, wallet_id: WalletId, found: Option<HoldFound>) {
        let Some(reading) = self.entry(wallet_id).map(|entry| entry.reading) else {
            return;
        };
        let entry = HoldEntry {
            found,
            wallet_id,
            reading,
        };
        self.put_hold(id, entry);
    }

    /// Takes in wallets and a hold as a decision leaves them.
    pub fn apply(&mut self, decision: &Decision) {
        for wallet in &decision.wallets {
            let known = self.entry(wallet.id);
            let (read, reading) = known
                .map(|entry| (entry.read, entry.reading))
                .unwrap_or_default();
            self.put(
                wallet.id,
                Entry {
                    wallet: Some(wallet.clone()),
                    read,
                    reading,
                    unreadable: false,
                    forgotten: false,
                },
            );
        }
        if let Some(after) = &decision.receipt.hold {
            let hold = after.hold();
            self.insert_hold(hold.id, hold.wallet_id, Some(Ok(hold.clone())));
        }
        let transaction = decision.receipt.transaction.as_ref();
        if let Some(reverses) = transaction.and_then(|it| it.reverses.as_deref()) {
            self.insert_reversed(reverses.transaction_id, Some(reverses.so_far));
        }
    }

    /// Lets go of what can only be trusted for one epoch.
    pub fn end_epoch(&mut self) {
        self.references.clear();
        self.external_ids.clear();
        self.reversed.clear();
        for id in std::mem::take(&mut self.passing) {
            if self.wallet(id).is_none_or(gives_way_for_now) {
                self.forget(id);
            }
        }
    }

    /// Has the wallet read again before it is decided on.
    pub fn forget(&mut self, id: WalletId) {
        for generation in [&mut self.recent, &mut self.older] {
            if let Some(entry) = generation.get_mut(&id) {
                entry.forgotten = true;
            }
        }
    }

    /// Takes in the wallets that another cache knows.
    pub fn take_in(&mut self, other: Self, read: ReadEpoch) {
        for (id, entry) in other.older.into_iter().chain(other.recent) {
            if let Some(wallet) = entry.wallet {
                self.insert(id, Some(wallet), read);
            }
        }
    }

    /// Also what was forgotten.
    fn known(&self, id: WalletId) -> Option<&Entry> {
        self.recent.get(&id).or_else(|| self.older.get(&id))
    }

    fn entry(&self, id: WalletId) -> Option<&Entry> {
        let entry = self.known(id)?;
        (!entry.forgotten).then_some(entry)
    }

    const fn next_reading(&mut self) -> u64 {
        self.readings += 1;
        self.readings
    }

    fn hold_entry(&self, id: HoldId) -> Option<&HoldEntry> {
        let recent = self.recent_holds.get(&id);
        let entry = recent.or_else(|| self.older_holds.get(&id))?;
        let wallet = self.entry(entry.wallet_id)?;
        (wallet.reading == entry.reading).then_some(entry)
    }

    fn put_hold(&mut self, id: HoldId, entry: HoldEntry) {
        if self.recent_holds.len() >= Self::GENERATION && !self.recent_holds.contains_key(&id) {
            self.older_holds = std::mem::take(&mut self.recent_holds);
        }
        self.recent_holds.insert(id, entry);
    }

    fn put(&mut self, id: WalletId, entry: Entry) {
        if self.recent.len() >= Self::GENERATION && !self.recent.contains_key(&id) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, entry);
    }
}

/// A settlement wallet that was frozen, closed or changed by hand, and may be as it was at any time.
fn gives_way_for_now(wallet: &Wallet) -> bool {
    wallet.user_id.is_system() && !wallet.is_near_end() && !wallet.can_settle(wallet.currency)
}

impl LedgerView for WalletCache {
    /// The wallet, or none if there is no such wallet or it was not read.
    fn wallet(&self, id: WalletId) -> Option<&Wallet> {
        self.entry(id)?.wallet.as_ref()
    }

    fn hold(&self, id: HoldId) -> Option<&Hold> {
        let found = self.hold_entry(id)?.found.as_ref()?;
        found.as_ref().ok()
    }

    /// One that came near its end stays there, so what was forgotten counts as well. Whatever else keeps one from being used
    /// is looked at again.
    fn gives_way(&self, settlement_wallet: WalletId, currency: Currency) -> bool {
        self.known(settlement_wallet).is_some_and(|entry| {
            let wallet = entry.wallet.as_ref();
            let is_unusable =
                entry.unreadable || wallet.is_some_and(|wallet| !wallet.can_settle(currency));
            wallet.is_some_and(Wallet::is_near_end) || (is_unusable && !entry.forgotten)
        })
    }

    fn referenced(&self, command: &Command, reference: &str) -> Option<&Referenced> {
        if self.references.is_empty() {
            return None;
        }
        let name = (command.caller.owner.clone(), reference.to_owned());
        self.references.get(&name)
    }

    fn reversed(&self, id: TransactionId) -> Option<ReversedSoFar> {
        self.reversed.get(&id).copied().flatten()
    }

    fn named(&self, command: &Command, external_id: &str) -> Option<WalletId> {
        self.external_ids
            .get(&(command.caller.owner.clone(), external_id.to_owned()))
            .copied()
    }
}
