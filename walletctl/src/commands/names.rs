//! Whose the wallets on the other side of an entry are. People know names; ids are for programs.

use std::collections::HashMap;

use crate::client::Client;

/// Wallets that are asked for in one command, each once. Behind them ids are shown.
const ASKED_MAX: usize = 200;

pub(super) struct Names<'a> {
    client: &'a Client,
    known: HashMap<String, Option<String>>,
    /// wallet-service has not failed to answer. It is not waited for: an id is good enough.
    answers: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            client,
            known: HashMap::new(),
            answers: true,
        }
    }

    /// Looks up those of these wallets that are not known yet.
    pub(super) async fn learn(&mut self, wallets: impl Iterator<Item = &str>) {
        for wallet in wallets {
            if !self.answers || self.known.len() >= ASKED_MAX {
                return;
            }
            if !self.known.contains_key(wallet) {
                let owner = self.client.owner_of(wallet).await;
                self.answers = owner.is_some();
                self.known.insert(wallet.to_owned(), owner);
            }
        }
    }

    pub(super) fn of(&self, wallet: Option<&str>) -> Option<&str> {
        self.known.get(wallet?)?.as_deref()
    }
}
