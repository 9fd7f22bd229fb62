//! What is claimed and not settled yet. What a turn leaves, because something went wrong or took too long, is given back
//! at the latest when the next one begins: it is tried again soon, and not when the claim has run out.

use shared::WalletId;
use sqlx::PgConnection;

use super::PAUSE;
use crate::ingest::store::{rebuilds, refills};

#[derive(Default)]
pub(super) struct Claimed {
    wallets: Vec<WalletId>,
    rebuild: Option<i64>,
    /// A comparison was given back, and no page of one has been compared since.
    is_comparison_failing: bool,
}

/// Why a turn went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing is wrong with the wallets.
    OfLedger,
    Here,
}

impl Claimed {
    pub(super) fn take_wallets(&mut self, wallets: &[WalletId]) {
        wallets.clone_into(&mut self.wallets);
    }

    pub(super) fn settled(&mut self, wallet: WalletId) {
        self.wallets.retain(|claimed| *claimed != wallet);
    }

    pub(super) const fn take_rebuild(&mut self, id: i64) {
        self.rebuild = Some(id);
    }

    pub(super) const fn compared(&mut self) {
        self.rebuild = None;
        self.is_comparison_failing = false;
    }

    /// None is asked for any more: another instance made it, or a person ended it.
    pub(super) const fn nothing_to_compare(&mut self) {
        self.compared();
    }

    pub(super) const fn is_comparison_failing(&self) -> bool {
        self.is_comparison_failing
    }

    /// Gives back what is claimed still.
    pub(super) async fn give_back(
        &mut self,
        connection: &mut PgConnection,
        fault: Fault,
    ) -> sqlx::Result<()> {
        if !self.wallets.is_empty() {
            match fault {
                Fault::OfLedger => {
                    refills::give_back(connection, &self.wallets, PAUSE).await?;
                }
                Fault::Here => refills::give_back_failed(connection, &self.wallets).await?,
            }
            self.wallets.clear();
        }
        if let Some(id) = self.rebuild {
            rebuilds::give_rebuild_back(connection, id).await?;
            self.rebuild = None;
            self.is_comparison_failing = fault == Fault::Here;
        }
        Ok(())
    }
}
