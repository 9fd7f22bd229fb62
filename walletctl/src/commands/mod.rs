//! The commands, carried out: ask, then write what was answered.

mod archive;
mod consistency;
mod describe;
mod explain;
mod health;
mod hold;
mod limits;
mod load;
mod money;
mod movements;
mod names;
mod post;
mod projection;
mod quarantine;
mod read;
mod refusals;
mod repair;
mod report;
mod republish;
mod sheet;
mod statement;
mod status;
mod tail;
mod token;
mod transactions;
mod verify;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};

use self::{money::Movement, status::Ordered};

use crate::{
    cli::{Cli, Command, Options},
    client::{Answer, Client, ClientError, parsed},
    output::{self, Wallet},
};

/// Refused or failed. Wrong usage is 2, which the parser of arguments says itself.
const FAILED: u8 = 1;

/// How a command ended that did what it could.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Success,
    /// The proof did not succeed, or something failed under load.
    Failure,
}

/// Carries a command out and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { options, command } = cli;
    match carry_out(&options, command).await {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::Failure) => ExitCode::from(FAILED),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to complain when this fails as well.
            let _ = complain(&options, &error);
            ExitCode::from(FAILED)
        }
    }
}

async fn carry_out(options: &Options, command: Command) -> anyhow::Result<Outcome> {
    let client = || Client::new(options);
    match command {
        Command::Create(create) => money::create(&client()?, options, &create).await,
        Command::Main(main) => describe::main_wallet(&client()?, options, &main).await,
        Command::Describe(change) => describe::describe(&client()?, options, &change).await,
        Command::Fund(payment) => money::pay(&client()?, options, Movement::fund(&payment)).await,
        Command::Withdraw(payment) => {
            money::pay(&client()?, options, Movement::withdraw(&payment)).await
        }
        Command::Transfer(transfer) => {
            money::pay(&client()?, options, Movement::transfer(&transfer)).await
        }
        Command::Post(order) => post::post(&client()?, options, &order).await,
        Command::Split(split) => post::split(|| Ok(client()?), options, &split).await,
        Command::Transaction(wanted) => {
            transactions::transaction(&client()?, options, &wanted).await
        }
        Command::Reverse(reverse) => transactions::reverse(&client()?, options, &reverse).await,
        Command::Hold(hold) => hold::hold(&client()?, options, &hold).await,
        Command::Freeze(freeze) => {
            status::carry_out(&client()?, options, Ordered::freeze(&freeze)).await
        }
        Command::Unfreeze(unfreeze) => {
            status::carry_out(&client()?, options, Ordered::unfreeze(&unfreeze)).await
        }
        Command::Close(close) => {
            status::carry_out(&client()?, options, Ordered::close(&close)).await
        }
        Command::Limits(order) => limits::limits(&client()?, options, &order).await,
        Command::Wallet(shown) => read::wallet(&client()?, options, &shown).await,
        Command::Explain(explain) => explain::explain(&client()?, options, &explain).await,
        Command::Refusals(wanted) => refusals::refusals(&client()?, options, &wanted).await,
        Command::Consistency => consistency::consistency(&client()?, options).await,
        Command::History(history) => read::history(&client()?, options, &history).await,
        Command::Statement(asked) => statement::statement(&client()?, options, &asked).await,
        Command::Report(asked) => report::report(&client()?, options, &asked).await,
        Command::Tail(tail) => tail::tail(&client()?, options, &tail).await,
        Command::Health(asked) => health::health(&client()?, options, &asked).await,
        Command::ShowProjection => projection::projection(&client()?, options).await,
        Command::Quarantine(order) => quarantine::quarantine(&client()?, options, &order).await,
        Command::Verify(verify) => verify::verify(options, verify).await,
        Command::Republish(order) => republish::republish(&client()?, options, &order).await,
        Command::Rebuild(rebuild) => repair::rebuild(&client()?, options, &rebuild).await,
        Command::Repair(repair) => repair::repair(&client()?, options, &repair).await,
        Command::Archive(asked) => archive::archive(options, asked).await,
        Command::Restore(asked) => archive::restore(options, &asked).await,
        Command::Load(load) => load::load(options, &load).await,
        Command::Token(token) => token::token(options, &token),
        Command::Key(key) => token::key(options, &key),
    }
}

/// Writes an answer that is a wallet: for people a table, for programs as it came.
fn show_wallet(options: &Options, answer: &Answer) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let wallet: Wallet = parsed(answer)?;
        drop(out);
        wallet_for_people(options, &wallet)?;
    }
    Ok(())
}

/// A wallet, and below it what is noted on it.
fn wallet_for_people(options: &Options, wallet: &Wallet) -> io::Result<()> {
    let mut out = io::stdout().lock();
    output::wallets_table([wallet], options.width()).write(&mut out)?;
    output::notes(&mut out, wallet)
}

/// People read why on standard error; programs read a problem document where they would have read the answer.
fn complain(options: &Options, error: &anyhow::Error) -> io::Result<()> {
    if !options.json {
        return writeln!(io::stderr().lock(), "walletctl: {}", reasons(error));
    }
    let mut out = io::stdout().lock();
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused(refusal)) if refusal.problem.is_some() => {
            let key = refusal.key.as_deref();
            output::document(&mut out, &with_key(&refusal.body, key))
        }
        Some(ClientError::Refused(refusal)) => {
            let key = refusal.key.as_deref();
            failure(&mut out, "refused", &refusal.to_string(), key)
        }
        Some(ClientError::NoAnswer { doubt, .. }) => {
            failure(&mut out, "no_answer", &reasons(error), doubt.key())
        }
        Some(ClientError::Late { .. }) => failure(&mut out, "no_answer", &reasons(error), None),
        Some(ClientError::Unreadable(_) | ClientError::Token(_)) | None => {
            failure(&mut out, "failed", &reasons(error), None)
        }
    }
}

/// The document as it came; with the key of the request as the member `key`, when it would have changed something: a
/// program asks again under it.
fn with_key(document: &[u8], key: Option<&str>) -> Vec<u8> {
    let (Some(key), Ok(Value::Object(mut members))) = (key, serde_json::from_slice(document))
    else {
        return document.to_vec();
    };
    members.insert("key".to_owned(), json!(key));
    Value::Object(members).to_string().into_bytes()
}

fn failure(out: &mut impl Write, code: &str, detail: &str, key: Option<&str>) -> io::Result<()> {
    let document = json!({"title": "walletctl failed", "code": code, "detail": detail});
    output::document(out, &with_key(document.to_string().as_bytes(), key))
}

/// The error and what is below it, without what was said already: some libraries repeat their source.
fn reasons(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
