//! What a process has of the machine's memory, as Linux tells.

/// Now.
pub fn resident_bytes(pid: u32) -> u64 {
    told_of(pid, "VmRSS:")
}

/// The most that it has had.
pub fn most_resident_bytes(pid: u32) -> u64 {
    told_of(pid, "VmHWM:")
}

fn told_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}
