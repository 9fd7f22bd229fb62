//! What commands would come to if they were sent now: decided by the same rules, on what is there, and written nowhere.
//!
//! Nothing of it goes to the writer: a dry run neither waits for its turn nor holds up a command that is meant. What is
//! read is of this moment, and may be another a moment later: a dry run promises nothing.

use std::{collections::HashMap, sync::Arc};

use shared::{HoldId, Sequence, WalletId, server::postgres::answered};
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;

use super::{
    decide::{LedgerView, NotDone, Rules, decide},
    model::{
        answer::{Answer, Outcome, Referenced, Refusal},
        command::{Command, names},
        error::LedgerError,
        settlement::SettlementShard,
    },
    queue::LedgerSettings,
    store::{
        answers::{
            StoredAnswers, read_answers,
            references::{TakenReference, read_references},
        },
        holds::read_holds,
        query::ReadError,
        transactions::read_reversed,
        wallets::{id_of, read_wallets},
    },
    writer::cache::{ReadEpoch, WalletCache},
};

/// How often holds are read again because their wallets moved on meanwhile. Then it is decided on what was read last.
const TRIES_MAX: u32 = 5;

/// See the module.
#[derive(Clone, Debug)]
pub struct DryRuns {
    pool: PgPool,
    rules: Rules,
    /// Which shard is this instance's may change.
    leased: watch::Receiver<SettlementShard>,
}

/// What one command would come to.
pub type WouldBe = Result<Outcome, LedgerError>;

impl DryRuns {
    /// `pool` as [`shared::server::postgres::read_pool`] makes it: its sessions cannot write.
    pub fn new(
        pool: PgPool,
        settings: &LedgerSettings,
        leased: watch::Receiver<SettlementShard>,
    ) -> Self {
        let rules = Rules {
            shard: *leased.borrow(),
            amount_max: settings.amount_max,
            user_rights: settings.user_rights,
            holds: settings.holds,
        };
        Self {
            pool,
            rules,
            leased,
        }
    }

    /// What each of the commands would come to, one after the other.
    ///
    /// # Errors
    /// When the database could not be asked.
    pub async fn decide_all(&self, commands: &[Command]) -> Result<Vec<WouldBe>, ReadError> {
        answered(async {
            let mut connection = self.pool.acquire().await?;
            self.decide_on(&mut connection, commands).await
        })
        .await
        .map_err(ReadError::from)
    }

    async fn decide_on(
        &self,
        connection: &mut PgConnection,
        commands: &[Command],
    ) -> sqlx::Result<Vec<WouldBe>> {
        let rules = Rules {
            shard: *self.leased.borrow(),
            ..self.rules
        };
        let stored = stored_answers(connection, commands).await?;
        let mut state = read_state(connection, commands, rules.shard).await?;
        let mut would_be = HashMap::new();
        let mut all = Vec::with_capacity(commands.len());
        for command in commands {
            let name = command.key.as_ref().map(|key| {
                let key = key.as_str().to_owned();
                (command.caller.owner.clone(), key)
            });
            let outcome = match (stored.get(command), name) {
                (Some(stored), _) => stored.outcome(command),
                (None, Some(name)) => match would_be.get(&name) {
                    Some(first) => again(first, command),
                    None => {
                        let outcome = decide_next(&mut state, command, rules);
                        if let Ok(Outcome::Decided(answer)) = &outcome {
                            let first = (command.fingerprint(), Arc::clone(answer));
                            would_be.insert(name, first);
                        }
                        outcome
                    }
                },
                (None, None) => decide_next(&mut state, command, rules),
            };
            all.push(outcome);
        }
        Ok(all)
    }
}

/// The answer to a key that came before among the same commands.
fn again((fingerprint, answer): &([u8; 32], Arc<Answer>), command: &Command) -> WouldBe {
    if *fingerprint == command.fingerprint() {
        Ok(Outcome::Replayed(Arc::clone(answer)))
    } else {
        let refusal = Answer::Refused(Refusal::IdempotencyKeyReused);
        Ok(Outcome::Decided(Arc::new(refusal)))
    }
}

/// Decides one command, and goes on from what it would leave.
fn decide_next(state: &mut WalletCache, command: &Command, rules: Rules) -> WouldBe {
    if state.cannot_decide(command, rules.shard) {
        return Err(LedgerError::Internal);
    }
    let answer = match decide(command, state, rules) {
        Ok(decision) => {
            state.apply(&decision);
            if let (Some(reference), Some(transaction)) =
                (command.reference(), &decision.receipt.transaction)
            {
                state.insert_reference(TakenReference {
                    owner: command.caller.owner.clone(),
                    reference: reference.to_owned(),
                    by: Referenced {
                        transaction_id: transaction.id,
                        intent: command.intent.fingerprint(),
                        receipt: Some(decision.receipt.clone().into()),
                    },
                });
            }
            Answer::Accepted(decision.receipt)
        }
        Err(NotDone::Refused(refusal)) => Answer::Refused(refusal),
        Err(NotDone::DoneBefore(Some(receipt))) => {
            return Ok(Outcome::Replayed(Arc::new(Answer::Accepted(*receipt))));
        }
        Err(NotDone::Unusable(_) | NotDone::DoneBefore(None)) => return Err(LedgerError::Internal),
    };
    Ok(Outcome::Decided(Arc::new(answer)))
}

/// What was answered before under the keys of these commands.
async fn stored_answers(
    connection: &mut PgConnection,
    commands: &[Command],
) -> sqlx::Result<StoredAnswers> {
    let (owners, keys) = names::keys(commands.iter());
    if keys.is_empty() {
        return Ok(StoredAnswers::default());
    }
    read_answers(connection, &owners, &keys).await
}

/// Wallets, holds and references as they are. A hold is of the moment of its wallet, or they are read again.
async fn read_state(
    connection: &mut PgConnection,
    commands: &[Command],
    shard: SettlementShard,
) -> sqlx::Result<WalletCache> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut state = WalletCache::default();
        fill_in_wallets(connection, &mut state, commands, shard).await?;
        let holds = state.missing_holds(commands.iter());
        let owning: Vec<WalletId> = holds.values().copied().collect();
        if !holds.is_empty() {
            let ids: Vec<HoldId> = holds.keys().copied().collect();
            let found = read_holds(connection, &ids).await?;
            state.insert_holds(holds, found);
        }
        let is_of_one_moment = have_stayed(connection, &state, &owning).await?;
        if !is_of_one_moment && tries < TRIES_MAX {
            continue;
        }
        fill_in_references(connection, &mut state, commands).await?;
        let taken_back = names::reversed(commands.iter());
        if !taken_back.is_empty() {
            for (id, so_far) in read_reversed(connection, &taken_back).await? {
                state.insert_reversed(id, so_far);
            }
        }
        return Ok(state);
    }
}

/// Again when a wallet shows only now in which currency it needs a settlement wallet.
async fn fill_in_wallets(
    connection: &mut PgConnection,
    state: &mut WalletCache,
    commands: &[Command],
    shard: SettlementShard,
) -> sqlx::Result<()> {
    loop {
        let missing = commands
            .iter()
            .flat_map(|command| state.missing(command, shard));
        let ids: Vec<WalletId> = missing.collect();
        if ids.is_empty() {
            return Ok(());
        }
        let found = read_wallets(connection, &ids).await?;
        let mut found: HashMap<WalletId, _> = found
            .into_iter()
            .map(|found| (id_of(&found), found))
            .collect();
        for id in ids {
            if !state.knows(id) {
                state.insert_found(id, found.remove(&id), ReadEpoch::default());
            }
        }
    }
}

/// Whether wallets are at the version at which they were read.
async fn have_stayed(
    connection: &mut PgConnection,
    state: &WalletCache,
    ids: &[WalletId],
) -> sqlx::Result<bool> {
    if ids.is_empty() {
        return Ok(true);
    }
    let now = read_wallets(connection, ids).await?;
    let version = |id: WalletId| -> Option<Sequence> { Some(state.wallet(id)?.version) };
    let has_stayed =
        |wallet: &super::model::wallet::Wallet| version(wallet.id) == Some(wallet.version);
    Ok(now.iter().flatten().all(has_stayed))
}

async fn fill_in_references(
    connection: &mut PgConnection,
    state: &mut WalletCache,
    commands: &[Command],
) -> sqlx::Result<()> {
    let (owners, references) = names::references(commands.iter());
    if references.is_empty() {
        return Ok(());
    }
    for taken in read_references(connection, &owners, &references).await? {
        state.insert_reference(taken);
    }
    Ok(())
}
