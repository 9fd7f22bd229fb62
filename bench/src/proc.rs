//! What Linux tells about processes, from the text of `/proc`.

use std::fs;

/// A line of `/proc/PID/stat`, as far as it is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub parent: u32,
    /// User and system time together, in clock ticks.
    pub ticks: u64,
    /// Tells a process from a later one with the same id.
    pub started: u64,
}

/// Reads `/proc/PID/stat`. The second field is the program's name in parentheses, which may hold anything.
pub fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)?,
        started: number(19)?,
    })
}

/// Reads the resident memory in `/proc/PID/status`, in bytes.
pub fn parse_resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Whom a process of Postgres works for: a database, or everybody. From its title,
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
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

pub fn resident(pid: u32) -> Option<u64> {
    parse_resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

pub fn title(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
}

/// All processes that `parent` started and that still run.
pub fn children(parent: u32) -> Vec<(u32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .filter(|(_, stat)| stat.parent == parent)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_past_any_name() {
        let line =
            "4711 (a) b (c) S 17 4711 4711 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 987654 1 2 3";
        let expected = Stat {
            parent: 17,
            ticks: 300,
            started: 987_654,
        };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat("4711 (short) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn resident_memory_is_told_in_bytes() {
        let status = "Name:\twallet\nVmPeak:\t  900 kB\nVmRSS:\t  120 kB\n";
        assert_eq!(parse_resident(status), Some(122_880));
        assert_eq!(parse_resident("Name:\tkthreadd\n"), None);
    }

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
    }
}
