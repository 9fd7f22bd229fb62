//! What the tool runs on, for reports: figures mean little without it.

use serde::Serialize;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

#[derive(Clone, Serialize, PartialEq, Eq, Debug)]
pub struct Machine {
    /// That this process may use.
    pub cores: usize,
    pub cpu: String,
    pub memory_bytes: u64,
    pub kernel: String,
}

impl Machine {
    /// What cannot be found out is told as unknown.
    pub fn this() -> Self {
        let wanted = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted);
        let brands = system.cpus().iter().map(|cpu| cpu.brand().trim());
        let mut named = brands.filter(|brand| !brand.is_empty());
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: named.next().unwrap_or("unknown").to_owned(),
            memory_bytes: system.total_memory(),
            kernel: System::kernel_long_version(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_a_kernel() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.memory_bytes > 100_000_000);
        assert!(!machine.kernel.is_empty() && !machine.cpu.is_empty());
    }
}
