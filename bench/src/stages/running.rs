//! Both services, each on a database of its own, with a topic between them.

use super::stop;
use crate::stack::{Database, Schema, Service, Stack};

pub(super) struct Running<'a> {
    pub(super) stack: &'a Stack,
    pub(super) wallet_database: Database,
    pub(super) history_database: Database,
    pub(super) wallet: Service,
    pub(super) history: Service,
}

impl<'a> Running<'a> {
    /// With default settings.
    ///
    /// # Errors
    /// When a service does not become ready.
    pub(super) async fn start(stack: &'a Stack, name: &str) -> anyhow::Result<Self> {
        Self::start_with(stack, name, &[]).await
    }

    /// With settings of their own, which are those of both.
    ///
    /// # Errors
    /// When a service does not become ready.
    pub(super) async fn start_with(
        stack: &'a Stack,
        name: &str,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let wallet_name = format!("bench_{name}_wallet");
        let history_name = format!("bench_{name}_history");
        let topic = Self::topic(name);
        let wallet_database = stack.database(&wallet_name, Schema::Wallet).await?;
        let history_database = stack.database(&history_name, Schema::History).await?;
        let wallet = stack
            .wallet_service_with(&wallet_database, Some(&topic), settings)
            .await?;
        let history = stack
            .history_service_with(&history_database, &topic, settings)
            .await?;
        Ok(Self {
            stack,
            wallet_database,
            history_database,
            wallet,
            history,
        })
    }

    /// The topic of the services of this name.
    pub(super) fn topic(name: &str) -> String {
        format!("bench-{name}")
    }

    /// Ends the services, and removes what they had.
    ///
    /// # Errors
    /// When one of them does not end.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        stop(vec![self.wallet, self.history]).await?;
        self.stack.forget(&self.wallet_database.name).await;
        self.stack.forget(&self.history_database.name).await;
        Ok(())
    }
}
