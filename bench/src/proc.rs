//! What Linux tells about processes, and what a process of Postgres is busy with.

use procfs::process::{self, Process};

/// What a process has used until now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub parent: u32,
    /// User and system time together, in clock ticks.
    pub ticks: u64,
    /// Tells a process from a later one with the same id.
    pub started: u64,
}

impl Stat {
    fn of(process: &Process) -> Option<Self> {
        let stat = process.stat().ok()?;
        Some(Self {
            parent: stat.ppid.try_into().ok()?,
            ticks: stat.utime + stat.stime,
            started: stat.starttime,
        })
    }
}

/// Which database a process of Postgres works for; none for one that serves the whole server. From its title,
/// `postgres: USER DATABASE HOST(PORT) STATE` or `postgres: walwriter`.
pub fn database_of(title: &str) -> Option<&str> {
    let mut words = title
        .strip_prefix("postgres: ")?
        .trim_end_matches('\0')
        .split(' ');
    let (_user, database, host) = (words.next()?, words.next()?, words.next()?);
    (host.contains('(') || host == "[local]").then_some(database)
}

pub fn stat(pid: u32) -> Option<Stat> {
    Stat::of(&running(pid)?)
}

/// Resident memory, in bytes.
pub fn resident(pid: u32) -> Option<u64> {
    let kilobytes = running(pid)?.status().ok()?.vmrss?;
    Some(kilobytes * 1024)
}

pub fn title(pid: u32) -> Option<String> {
    Some(running(pid)?.cmdline().ok()?.join(" "))
}

/// All processes that `parent` started and that still run.
pub fn children(parent: u32) -> Vec<(u32, Stat)> {
    let running = process::all_processes().into_iter().flatten().flatten();
    running
        .filter_map(|process| Some((process.pid.try_into().ok()?, Stat::of(&process)?)))
        .filter(|(_, stat)| stat.parent == parent)
        .collect()
}

fn running(pid: u32) -> Option<Process> {
    Process::new(pid.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_of_postgres_tells_the_database() {
        for (title, database) in [
            (
                "postgres: wallet_system bench_wallet 127.0.0.1(4711) INSERT",
                Some("bench_wallet"),
            ),
            (
                "postgres: wallet_system history [local] idle",
                Some("history"),
            ),
            ("postgres: walwriter ", None),
            ("postgres: autovacuum worker bench_wallet", None),
            ("postgres: io worker 0", None),
            ("java -cp /x kafka.Kafka", None),
        ] {
            assert_eq!(database_of(title), database, "{title}");
        }
    }

    #[test]
    fn this_very_process_can_be_read() {
        let me = std::process::id();
        assert!(stat(me).is_some());
        assert!(resident(me).is_some_and(|bytes| bytes > 100_000));
        assert!(title(me).is_some_and(|title| title.contains("bench")));
    }

    #[test]
    fn a_child_is_found_by_its_parent_as_long_as_it_runs() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let found = children(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.iter().any(|(pid, _)| *pid == child.id()), "{found:?}");
        assert_eq!(stat(child.id()), None);
    }
}
