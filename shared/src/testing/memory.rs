//! What a process has of the machine's memory, as Linux tells.

use super::expect;

/// Now.
pub fn resident_bytes(pid: u32) -> u64 {
    told_of(pid, "VmRSS:")
}

/// The most that it has had.
pub fn most_resident_bytes(pid: u32) -> u64 {
    told_of(pid, "VmHWM:")
}

fn told_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = expect(status, "the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: Result<u64, _> = kib.unwrap_or_default().parse();
    expect(kib, "Linux says how much it has") * 1024
}
