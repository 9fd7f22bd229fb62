//! What the figures were made on, and with.

use std::{fs, process::Command};

use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    pub memory_bytes: u64,
    pub kernel: String,
    pub disk: String,
    /// From how much on Linux writes what waits for the disk.
    pub writeback: String,
    pub commit: String,
    pub rustc: String,
    pub kafka: String,
}

impl Machine {
    /// What cannot be found out is told as unknown.
    pub fn look(data_disk: &std::path::Path) -> Self {
        let this = walletctl::machine::Machine::this();
        Self {
            cores: this.cores,
            cpu: this.cpu,
            memory_bytes: this.memory_bytes,
            kernel: this.kernel,
            disk: disk(data_disk),
            writeback: writeback(|name| read(&format!("/proc/sys/vm/{name}"))),
            commit: commit(),
            rustc: said("rustc", &["--version"]),
            kafka: kafka(&read("scripts/lib/servers/pom.xml")).unwrap_or_else(unknown),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.ok().filter(|output| output.status.success());
    let text = text.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(unknown)
}

fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() || changed == unknown() {
        commit
    } else {
        format!("{commit}, changed")
    }
}

/// File system and size of the disk that holds the data, and whether it turns.
fn disk(path: &std::path::Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = path.display().to_string();
    let listed = said("df", &["--output=source,fstype,size", "-h", &path]);
    let line = listed.lines().nth(1).unwrap_or("unknown");
    line.split_whitespace().collect::<Vec<_>>().join(", ")
}

/// Of two settings of which only one holds; the other one is zero.
fn writeback(read: impl Fn(&str) -> String) -> String {
    let set = ["dirty_background_bytes", "dirty_background_ratio"]
        .map(|name| (name, read(name).trim().to_owned()))
        .into_iter()
        .find(|(_, value)| !value.is_empty() && value != "0");
    set.map_or_else(unknown, |(name, value)| format!("vm.{name}={value}"))
}

fn kafka(pom: &str) -> Option<String> {
    let (_, rest) = pom.split_once("<kafka.version>")?;
    Some(rest.split('<').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writeback_setting_that_holds_is_told() {
        let by_bytes = |name: &str| match name {
            "dirty_background_bytes" => "8388608\n".to_owned(),
            _ => "0\n".to_owned(),
        };
        let by_ratio = |name: &str| match name {
            "dirty_background_ratio" => "10\n".to_owned(),
            _ => "0\n".to_owned(),
        };
        assert_eq!(writeback(by_bytes), "vm.dirty_background_bytes=8388608");
        assert_eq!(writeback(by_ratio), "vm.dirty_background_ratio=10");
        assert_eq!(writeback(|_| String::new()), "unknown");
    }

    #[test]
    fn the_version_of_kafka_is_found() {
        let pom = include_str!("../../scripts/lib/servers/pom.xml");
        assert!(kafka(pom).unwrap().starts_with("4."));
    }
}
