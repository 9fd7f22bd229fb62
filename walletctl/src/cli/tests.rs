//! What the parser refuses, and what it says.

use super::*;

const ID: &str = "01990000-0000-7000-8000-00000000000a";
const OTHER: &str = "01990000-0000-7000-8000-00000000000b";

fn read(arguments: &[&str]) -> Result<Cli, clap::Error> {
    let words = std::iter::once("walletctl").chain(arguments.iter().copied());
    Cli::try_read(words)
}

/// Each with a part of what is said, by which the caller can put it right.
const WRONG: &[(&[&str], &str)] = &[
    (&["create"], "<USER>"),
    (&["create", ""], "1 to 128 characters"),
    (&["create", " alice"], "white space"),
    (&["create", "alice", "bob"], "'bob'"),
    (&["main", "alice"], "<CURRENCY>"),
    (&["explain"], "<WALLET>"),
    (&["explain", ID, "--movements", "0"], "1 to 500"),
    (&["refusals", "alice"], "named by its id"),
    (&["main", "alice", "usd"], "capitals: USD"),
    (&["describe", ID], "nothing would change"),
    (
        &["describe", ID, "--label", "a", "--no-label"],
        "cannot be used with",
    ),
    (&["create", "alice", "--currency", "usd"], "capitals: USD"),
    (&["create", "alice", "--currency", "dollars"], "such as USD"),
    (&["create", "alice", "--curency", "USD"], "'--currency'"),
    (&["freeze", ID], "--reason"),
    (
        &["freeze", ID, "--reason", "r", "--direction", "up"],
        "debit, credit and all",
    ),
    (
        &["freeze", ID, "--reason", "r", "--until", "soon"],
        "it looks like",
    ),
    (&["unfreeze", ID], "--reason"),
    (&["hold"], "place"),
    (&["limits"], "show"),
    (
        &["limits", "set", ID, "--floor", "five"],
        "an amount must be",
    ),
    (&["limits", "set", ID, "--cap", "debits"], "OF=AMOUNT"),
    (
        &["limits", "set", ID, "--cap", "spending=5"],
        "must be debits",
    ),
    (&["limits", "set", ID, "--sum", "debits=5"], "OF:PERIOD"),
    (
        &["limits", "set", ID, "--sum", "debits:year=5"],
        "hour, day, week or month",
    ),
    (
        &["limits", "set", ID, "--sum", "debits:day@Mars=5"],
        "such as Europe/Berlin",
    ),
    (
        &["limits", "set", ID, "--count", "debits:day=few"],
        "a whole one",
    ),
    (&["hold", "place", ID], "<AMOUNT>"),
    (&["hold", "place", ID, "0"], "more than zero"),
    (&["hold", "capture", "pump"], "hold list WALLET"),
    (&["hold", "extend", ID], "--expires-in or --expires-at"),
    (
        &[
            "hold",
            "extend",
            ID,
            "--expires-in",
            "5",
            "--expires-at",
            "2026-12-01",
        ],
        "cannot be used with",
    ),
    (&["hold", "list", ID, "--status", "shut"], "open, captured"),
    (
        &["close", ID, "--reason", "r", "--drain-to", ID],
        "name another one",
    ),
    (&["transaction"], "<ID|REFERENCE>"),
    (&["transaction", ""], "value is required"),
    (&["reverse", ID], "--reason"),
    (
        &["reverse", "order-7", "--reason", "r"],
        "walletctl transaction REFERENCE",
    ),
    (&["reverse", ID, "0", "--reason", "r"], "more than zero"),
    (&["post"], "--leg"),
    (&["post", "--leg", ID], "WALLET=AMOUNT"),
    (&["post", "--leg", "settlement=5"], "settlement:USD=10.00"),
    (&["post", "--leg", "settlement:usd=5"], "capitals: USD"),
    (
        &["post", "--leg", "alice=5"],
        "walletctl wallet --user alice",
    ),
    (
        &[
            "post",
            "--leg",
            concat!("01990000-0000-7000-8000-00000000000a", "=0.00"),
        ],
        "amount is zero",
    ),
    (
        &[
            "post",
            "--leg",
            concat!("01990000-0000-7000-8000-00000000000a", "=five"),
        ],
        "its amount must be",
    ),
    (
        &[
            "post",
            "--leg",
            "settlement:USD=5",
            "--leg",
            "settlement:USD=-5",
        ],
        "add their amounts up",
    ),
    (
        &["post", "--leg", "settlement:USD=5", "--file", "legs.json"],
        "cannot be used with",
    ),
    (&["split", "10", "USD", "--to", ID], "--from"),
    (&["split", "10", "USD", "--from", ID], "--to"),
    (
        &["split", "10.001", "USD", "--from", ID, "--to", OTHER],
        "decimals",
    ),
    (
        &["split", "10", "USD", "--from", ID, "--to", ID],
        "named twice",
    ),
    (
        &["split", "10", "USD", "--from", ID, "--to", "settlement=99%"],
        "do not come to the whole",
    ),
    (
        &["split", "10", "USD", "--from", ID, "--to", "settlement=11"],
        "more than the whole",
    ),
    (
        &[
            "split",
            "10",
            "USD",
            "--from",
            ID,
            "--to",
            "settlement=101%",
        ],
        "at most 100",
    ),
    (
        &["split", "10", "USD", "--from", ID, "--to", "settlement=5%x"],
        "its share \"5%x\" is neither an amount",
    ),
    (
        &["split", "10", "USD", "--from", ID, "--to", "settlement="],
        "its share \"\" is neither an amount",
    ),
    (
        &[
            "split",
            "10",
            "USD",
            "--from",
            ID,
            "--to",
            "settlement=0.0000001%",
        ],
        "6 decimals",
    ),
    (
        &[
            "split",
            "10",
            "USD",
            "--from",
            ID,
            "--to",
            OTHER,
            "--dry-run",
        ],
        "--post",
    ),
    (&["fund", ID], "<AMOUNT>"),
    (&["fund", ID, "-5"], "more than zero"),
    (&["fund", ID, "-5.00"], "more than zero"),
    (
        &["withdraw", ID, "-0.01"],
        "withdraw it or swap the wallets",
    ),
    (&["fund", ID, "0"], "more than zero"),
    (&["fund", ID, "0.00"], "more than zero"),
    (&["fund", ID, ""], "it is empty"),
    (&["fund", ID, "1e3"], "without an exponent"),
    (&["fund", ID, "$5"], "5 alone; --currency"),
    (&["fund", ID, "5USD"], "5 alone; --currency"),
    (&["fund", ID, "5 EUR"], "5 alone; --currency"),
    (&["fund", ID, "5,00"], "with a point, 5.00"),
    (&["fund", ID, "1,000"], "without separators"),
    (&["fund", ID, "1_000"], "without separators"),
    (&["fund", ID, "+5"], "without a sign"),
    (&["fund", ID, "5."], "5 or 5.00"),
    (&["fund", ID, ".5"], "0.5"),
    (&["fund", ID, "05"], "without zeros"),
    (&["fund", ID, "five"], "such as 100.00"),
    (&["fund", ID, "NaN"], "such as 100.00"),
    (
        &["fund", ID, "99999999999999999999"],
        "larger than this system can hold",
    ),
    (
        &["fund", ID, "0.1234567890123456789012345678"],
        "more decimals than any currency",
    ),
    (&["fund", "alice", "5"], "walletctl wallet --user alice"),
    (&["fund", "5", ID], "the amount comes after the ids"),
    (&["fund", "a b", "5"], "--user NAME"),
    (&["fund", "-5", ID], "the amount comes after the ids"),
    (&["fund", ID, ID], "the amount comes after the ids"),
    (&["fund", ID, "5", "--if-match", "new"], "the VERSION that"),
    (&["fund", ID, "5", "--if-match", "-1"], "the VERSION that"),
    (
        &["fund", ID, "5", "--if-match", "\"3\""],
        "the VERSION that",
    ),
    (&["fund", ID, "5", "--metadata", "novalue"], "key=value"),
    (&["fund", ID, "5", "--metadata", "=x"], "key=value"),
    (
        &["fund", ID, "5", "--metadata", "a=1", "--metadata", "a=2"],
        "\"a\" twice",
    ),
    (&["fund", ID, "5", "--key", ""], "visible ASCII"),
    (&["fund", ID, "5", "--key", "two words"], "visible ASCII"),
    (&["transfer", ID, "5"], "the amount comes after the ids"),
    (&["transfer", ID, OTHER], "<AMOUNT>"),
    (&["transfer", ID, OTHER, "-5"], "more than zero"),
    (&["transfer", ID, ID, "5"], "the same wallet"),
    (&["wallet"], "--user <USER>"),
    (&["wallet", ID, "--user", "alice"], "cannot be used with"),
    (&["history", ID, "--limit", "0"], "from 1 to 500"),
    (&["history", ID, "--limit", "-5"], "from 1 to 500"),
    (&["history", ID, "--limit", "many"], "from 1 to 500"),
    (&["history", ID, "--kind", "a,funded"], "wallet.funded"),
    (&["history", ID, "--from", "yesterday"], "2026-11-21"),
    (
        &["history", ID, "--to", "2026-02-30"],
        "a day that there is",
    ),
    (
        &["history", ID, "--from", "2026-11-22", "--to", "2026-11-21"],
        "--from is the earlier one",
    ),
    (&["tail", ID, "-n", "501"], "from 0 to 500"),
    (&["tail", ID, "-n", "-1"], "from 0 to 500"),
    (&["quarantine"], "discard"),
    (
        &["quarantine", "list", "--status", "closed"],
        "open, all, waiting",
    ),
    (&["quarantine", "show", "-1"], "from 1 to"),
    (&["quarantine", "replay", "first"], "from 1 to"),
    (&["quarantine", "discard", "7"], "--reason <REASON>"),
    (
        &["verify", "--wallet-only", "--wallet-database-url", "wallet"],
        "--wallet-database-url or WALLET_DATABASE_URL",
    ),
    (
        &[
            "verify",
            "--wallet-only",
            "--wallet-database-url",
            "postgres://w:hunter2@d:x/w",
        ],
        "its port",
    ),
    (&["verify", "--wait", "soon"], "from 0 to 86400"),
    (&["republish"], "--all"),
    (
        &["republish", "--all", "--wallet", ID],
        "cannot be used with",
    ),
    (
        &["republish", "--wallet", "alice"],
        "walletctl wallet --user alice",
    ),
    (&["republish", "--since", "noon"], "2026-11-21"),
    (
        &["republish", "--all", "--events-per-second", "0"],
        "from 1 to 100000",
    ),
    (
        &["rebuild", "--wallet", "all"],
        "a wallet is named by its id",
    ),
    (&["repair", "--reason", "restored"], "--ledger-wins"),
    (&["repair", "--ledger-wins"], "--reason <REASON>"),
    (&["load", "--duration", "1m"], "from 1 to 604800"),
    (&["load", "--workers", "-1"], "from 1 to 4096"),
    (
        &["load", "--report-json", "/nowhere/report.json"],
        "there is no folder /nowhere",
    ),
    (&["--timeout-ms", "15s", "wallet", ID], "from 1 to 600000"),
    (&["--width", "10", "wallet", ID], "from 40 to 1000"),
    (
        &["--wallet-url", "ftp://x", "wallet", ID],
        "or https://host",
    ),
    (
        &["--wallet-url", "localhost:3000", "wallet", ID],
        "http://host:port",
    ),
    (
        &["--history-url", "http://x:99999", "wallet", ID],
        "http://host:port",
    ),
    (&["burn", ID], "'burn'"),
    (&["token", "alice", "--key-file", "k"], "--scope <SCOPE>"),
    (
        &["token", "alice", "--scope", "wallets", "--key-file", "k"],
        "wallets:read, ",
    ),
    (
        &[
            "token",
            "@settlement",
            "--scope",
            "admin",
            "--key-file",
            "k",
        ],
        "of the system",
    ),
    (&["token", "alice", "--scope", "admin"], "--key-file <FILE>"),
    (
        &["token", "alice", "--scope", "admin", "--key-file", "k"],
        "--issuer or set AUTH_ISSUER",
    ),
    (
        &[
            "token",
            "a",
            "--scope",
            "admin",
            "--key-file",
            "k",
            "--issuer",
            "i",
        ],
        "--audience or set AUTH_AUDIENCE",
    ),
    (
        &["verify", "--wallet-database-url-file", "/no/such/file"],
        "No such file",
    ),
    (
        &[
            "verify",
            "--wallet-database-url-file",
            "/dev/null",
            "--wallet-only",
        ],
        "the file is empty",
    ),
];

#[test]
fn what_is_wrong_is_said_so_that_it_can_be_put_right() {
    let mut missed = Vec::new();
    for (arguments, part) in WRONG {
        let error = read(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
        let said = error.to_string();
        if !said.contains(part) || said.contains("hunter2") {
            missed.push(format!("{arguments:?}, {part}: {said}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn wrong_usage_ends_with_the_usage_of_the_command_that_was_meant() {
    for (arguments, usage) in [
        (
            &["--wallet-url", "http://localhost:1", "fund", ID][..],
            "Usage: walletctl fund [OPTIONS] <WALLET> <AMOUNT>",
        ),
        (
            &["transfer", ID, ID, "5"],
            "Usage: walletctl transfer [OPTIONS]",
        ),
        (
            &["quarantine", "replay", "7", "--wallet", ID],
            "Usage: walletctl quarantine replay [OPTIONS]",
        ),
        (
            &["verify", "--wallet-only", "--wallet-database-url", "wallet"],
            "Usage: walletctl verify [OPTIONS]",
        ),
    ] {
        let said = read(arguments).unwrap_err().to_string();
        assert!(said.contains(usage), "{said}");
        assert!(!said.contains("--wallet-url"), "{said}");
    }
}

#[test]
fn the_help_says_what_is_done_without_a_word() {
    let help = |words: &[&str]| read(words).unwrap_err().to_string();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for order in ["repair", "republish", "rebuild"] {
        let said = words(&help(&[order, "--help"]));
        assert!(said.contains("What repair and republish do"), "{said}");
        assert!(said.contains("What rebuild does"), "{said}");
    }
    let said = words(&help(&["quarantine", "list", "--help"]));
    for reason in ["conflicting_event", "not_storable", "unknown_event"] {
        assert!(said.contains(reason), "{said}");
    }
    let said = words(&help(&["verify", "--help"]));
    assert!(said.contains("change nothing here"), "{said}");
}

#[test]
fn numbers_that_may_be_negative_to_the_parser_are_no_flags_and_flags_stay_flags() {
    let cli = read(&["fund", ID, "--key", "mine", "5"]).unwrap();
    let Command::Fund(payment) = cli.command else {
        panic!("{cli:?}");
    };
    assert_eq!(payment.amount.to_string(), "5");
    assert_eq!(payment.details.trial.attempt.key.unwrap().as_str(), "mine");
}

#[test]
fn the_commands_and_flags_fit_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_argument_of_every_command_has_a_help() {
    let cli = Cli::command();
    for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
        for argument in command.get_arguments() {
            let (of, id) = (command.get_name(), argument.get_id());
            assert!(argument.get_help().is_some(), "{of}: {id}");
        }
    }
}

#[test]
fn what_the_environment_may_say_is_not_shown_as_required() {
    for command in Cli::command().get_subcommands() {
        for argument in command
            .get_arguments()
            .filter(|argument| argument.get_env().is_some())
        {
            let (of, id) = (command.get_name(), argument.get_id());
            assert!(!argument.is_required_set(), "{of}: {id}");
        }
    }
}

#[test]
fn the_variables_of_load_are_its_own() {
    let cli = Cli::command();
    let load = cli.find_subcommand("load").unwrap();
    for argument in load.get_arguments() {
        let variable = argument.get_env().and_then(|variable| variable.to_str());
        let name = argument.get_id().as_str();
        assert!(
            variable.is_some_and(|variable| variable.starts_with("LOAD_")),
            "{name}"
        );
    }
}

#[test]
fn a_database_url_is_not_printed() {
    let words = [
        "verify",
        "--wallet-only",
        "--wallet-database-url",
        "postgres://w:hunter2@d/w",
    ];
    let cli = read(&words).unwrap();
    assert!(!format!("{cli:?}").contains("hunter2"));
}
