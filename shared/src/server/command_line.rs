//! What a service can be told when it is started: one of a few tasks, and nothing else. Settings come from the
//! environment, so that there is one place for each.
//!
//! Only `serve` and `migrate` touch a database, Kafka or a port. What is not known here ends the process with 2 before
//! anything happened.

use clap::{ArgMatches, Command};

use super::settings::OtherName;

/// What the process is started for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    /// Migrates where it may, then runs until it is told to stop.
    Serve,
    /// Migrates, grants and ends.
    Migrate,
    /// Reads the settings and ends.
    CheckConfig,
}

/// A service, as its help names it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub name: &'static str,
    pub about: &'static str,
    pub version: &'static str,
    /// Every variable that it reads.
    pub settings: &'static [&'static str],
    /// What others call some of them.
    pub other_names: &'static [OtherName],
}

impl Service {
    /// Reads the arguments of this process. Ends it when they are wrong, or when they only ask for help or the version.
    pub(super) fn task(self) -> Task {
        task(&self.command().get_matches())
    }

    fn command(self) -> Command {
        let subcommand = |name: &'static str, about: &'static str| Command::new(name).about(about);
        Command::new(self.name)
            .about(self.about)
            .version(self.version)
            .disable_help_subcommand(true)
            .subcommand(subcommand(
                "serve",
                "Migrate the database, where its role owns it, and serve until SIGTERM or SIGINT. This is what happens without a \
                 command",
            ))
            .subcommand(subcommand(
                "migrate",
                "Bring the database to the schema of this build, grant the roles their rights, and end. For the database's owner; \
                 safe beside running instances",
            ))
            .subcommand(subcommand(
                "check-config",
                "Read the settings and say all that cannot be used of them. Nothing is connected to or changed",
            ))
            .after_help(self.settings_help())
    }

    fn settings_help(self) -> String {
        let mut names = self.settings.to_vec();
        names.sort_unstable();
        let lines: Vec<String> = names.iter().map(|name| format!("  {name}")).collect();
        format!(
            "Settings are variables of the environment, or lines in a file .env of this folder or one above it.\n\
             docs/settings.md says what each is, .env.example has the defaults:\n{}",
            lines.join("\n")
        )
    }
}

fn task(matches: &ArgMatches) -> Task {
    match matches.subcommand_name() {
        Some("migrate") => Task::Migrate,
        Some("check-config") => Task::CheckConfig,
        // The parser takes no other name.
        Some(_) | None => Task::Serve,
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    const SERVICE: Service = Service {
        name: "a-service",
        about: "A service",
        version: "1.2.3",
        settings: &["WALLET_PORT", "CELL"],
        other_names: &[],
    };

    fn read(arguments: &[&str]) -> Result<Task, clap::Error> {
        let words = std::iter::once("a-service").chain(arguments.iter().copied());
        let matches = SERVICE.command().try_get_matches_from(words)?;
        Ok(task(&matches))
    }

    #[test]
    fn the_command_line_fits_together() {
        SERVICE.command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        assert_eq!(read(&[]).unwrap(), Task::Serve);
        assert_eq!(read(&["serve"]).unwrap(), Task::Serve);
        assert_eq!(read(&["migrate"]).unwrap(), Task::Migrate);
        assert_eq!(read(&["check-config"]).unwrap(), Task::CheckConfig);
    }

    #[test]
    fn what_is_not_known_is_wrong_usage() {
        for wrong in [
            &["start"][..],
            &["--port", "3000"],
            &["serve", "now"],
            &["migrate", "--force"],
            &["serve", "migrate"],
            &[""],
        ] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
        for asks in [
            &["--help"][..],
            &["-h"],
            &["--version"],
            &["migrate", "--help"],
        ] {
            let error = read(asks).unwrap_err();
            assert_eq!(error.exit_code(), 0, "{asks:?}");
        }
        assert_eq!(read(&["-V"]).unwrap_err().kind(), ErrorKind::DisplayVersion);
    }

    #[test]
    fn the_help_names_every_setting() {
        let help = read(&["--help"]).unwrap_err().to_string();
        for word in [
            "serve",
            "migrate",
            "check-config",
            "  CELL\n",
            "  WALLET_PORT\n",
        ] {
            assert!(help.contains(word), "{word}: {help}");
        }
    }
}
