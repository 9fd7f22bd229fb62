//! Before the load: wait until the services are ready, and make the wallets that share it, or read those that are given.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use shared::{Currency, WalletId};
use tokio::time::{Instant, sleep};

use crate::load::{
    http::{
        connection::ServiceClient,
        delivery::deliver,
        services::{Services, answer},
    },
    proof::{
        expected::{Account, ExpectedState},
        state::WalletState,
    },
    settings::Load,
    target::{ResponseBody, wallet_body},
};

/// Attempts of each request that makes or funds a wallet.
const ATTEMPTS_MAX: u32 = 8;
/// How long one question for readiness may take.
const READY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long history may take to know the new wallets.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Made {
    id: WalletId,
    currency: Currency,
}

/// Waits until the services say that they are ready.
pub(crate) async fn ready(services: &Services, load: &Load) -> anyhow::Result<()> {
    let history = services
        .history
        .iter()
        .map(|client| ("history-service", client));
    for (name, client) in std::iter::once(("wallet-service", &services.wallet)).chain(history) {
        until_ready(client, load)
            .await
            .with_context(|| format!("{name} is not ready"))?;
    }
    Ok(())
}

async fn until_ready(client: &ServiceClient, load: &Load) -> anyhow::Result<()> {
    let mut said = String::new();
    for attempt in 1..=load.health_retries {
        let asked = client.get(format_args!("/readyz")).within(READY_TIMEOUT);
        match asked.answer().await {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            Ok(answer) => said = format!("it answers {}", answer.status),
            Err(lost) => lost.text().clone_into(&mut said),
        }
        if attempt < load.health_retries {
            sleep(Duration::from_millis(load.health_retry_delay_ms)).await;
        }
    }
    bail!("{client} was asked {} times: {said}", load.health_retries)
}

/// Makes the wallets and gives each its first money, or reads the given ones; the currency is the one the service says.
pub(crate) async fn wallets(
    services: &Services,
    load: &Load,
    run: &str,
) -> anyhow::Result<(ExpectedState, Currency)> {
    let bar = ProgressBar::new(load.wallets() as u64);
    bar.set_style(ProgressStyle::with_template(
        "wallets [{bar:40}] {pos}/{len} {elapsed}",
    )?);
    let at_once = usize::from(load.seed_concurrency);
    let mut found = match &load.wallets_file {
        None => stream::iter(0..load.accounts)
            .map(|number| account(services, load, run, number))
            .buffered(at_once)
            .boxed(),
        Some(given) => stream::iter(given.ids())
            .map(|id| given_account(services, id))
            .buffered(at_once)
            .boxed(),
    };
    let mut expected = ExpectedState::default();
    let mut currency = None;
    while let Some((account, its)) = found.try_next().await? {
        if currency.is_some_and(|known| known != its) {
            bail!("the wallets have several currencies: make them with --currency");
        }
        currency = Some(its);
        expected.add_account(account);
        bar.inc(1);
    }
    drop(found);
    bar.finish_and_clear();
    let currency = currency.context("there is no wallet")?;
    if let Some(wanted) = load.currency.filter(|wanted| *wanted != currency) {
        bail!("the wallets have {currency}, not the {wanted} of --currency");
    }
    if let Some(history) = &services.history {
        caught_up(services, history, load, &expected, currency).await?;
    }
    Ok((expected, currency))
}

/// A wallet that is there already, as it is now.
async fn given_account(services: &Services, id: &WalletId) -> anyhow::Result<(Account, Currency)> {
    let id = id.to_string();
    let (currency, found) = services
        .balance_of(&id)
        .await
        .map_err(|why| anyhow::anyhow!("wallet {id} of --wallets-file could not be read: {why}"))?;
    Ok((Account::new(id, found), currency))
}

/// Makes a wallet and gives it its first money.
async fn account(
    services: &Services,
    load: &Load,
    run: &str,
    number: u32,
) -> anyhow::Result<(Account, Currency)> {
    let user = format!("load-{run}-seed-{number}");
    let body = match load.currency {
        Some(currency) => wallet_body(&user, currency),
        None => format!(r#"{{"user_id":"{user}"}}"#),
    };
    let request = services
        .wallet
        .post(format_args!("/wallets"), Some(&user), body);
    let made: Made = answer(deliver(ATTEMPTS_MAX, &request).await)
        .map_err(|failure| anyhow::anyhow!("a wallet could not be made: {failure}"))?;
    let mut found = WalletState::NEW;
    if load.initial_deposit > 0 {
        let amount = made.currency.text(load.initial_deposit);
        let key = format!("{user}-deposit");
        let body = format!(r#"{{"amount":"{amount}"}}"#);
        let request =
            services
                .wallet
                .post(format_args!("/wallets/{}/fund", made.id), Some(&key), body);
        answer::<ResponseBody>(deliver(ATTEMPTS_MAX, &request).await)
            .map_err(|failure| anyhow::anyhow!("a wallet could not be funded: {failure}"))?;
        found.minor += load.initial_deposit;
        found.events += 1;
    }
    Ok((Account::new(made.id.to_string(), found), made.currency))
}

/// Waits until history knows the wallets, so that none of its readings begins with "not found".
async fn caught_up(
    services: &Services,
    history: &ServiceClient,
    load: &Load,
    expected: &ExpectedState,
    currency: Currency,
) -> anyhow::Result<()> {
    let until = Instant::now() + CAUGHT_UP_WITHIN;
    stream::iter(&expected.accounts)
        .map(|account| services.history_at(history, &account.id, currency, account.events(), until))
        .buffer_unordered(usize::from(load.seed_concurrency))
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(|why| {
            anyhow::anyhow!(
                "history has not caught up with the new wallets within {} s: {why}",
                CAUGHT_UP_WITHIN.as_secs()
            )
        })
}
