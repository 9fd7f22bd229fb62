//! The process itself: which build it is, and what it takes of the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Definition, Metrics, Sample};

const BUILD: Definition = Definition::gauge(
    "build_info",
    "",
    "1, with the name and the version of the service, and the commit it was built from when that was told",
)
.by(&["service", "version", "commit"]);

const START: Definition = Definition::gauge(
    "process_start_time_seconds",
    "seconds",
    "When the process was started, since 1970",
);

const CPU: Definition = Definition::counter(
    "process_cpu_seconds_total",
    "seconds",
    "CPU time of the process, its own and the kernel's for it",
);

const MEMORY: Definition = Definition::gauge(
    "process_resident_memory_bytes",
    "bytes",
    "Memory of the process that is in RAM",
);

const OPEN_FILES: Definition = Definition::gauge(
    "process_open_fds",
    "fds",
    "Files and sockets that the process has open",
);

const MAX_FILES: Definition = Definition::gauge(
    "process_max_fds",
    "fds",
    "How many files and sockets the process may have open",
);

/// Every number about the process. Those of CPU, memory and files are known on Linux only.
pub const PROCESS: &[Definition] = &[BUILD, START, CPU, MEMORY, OPEN_FILES, MAX_FILES];

/// Which build this is.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    pub service: &'static str,
    pub version: &'static str,
    /// Told to the compiler as `BUILD_COMMIT`.
    pub commit: Option<&'static str>,
}

/// Tells which build it is and what it takes.
pub fn tell_process(metrics: &Metrics, build: BuildInfo) {
    let BuildInfo {
        service,
        version,
        commit,
    } = build;
    metrics.read_all(BUILD, move || {
        let labels = [
            ("service", service),
            ("version", version),
            ("commit", commit.unwrap_or("unknown")),
        ];
        let labels = labels.map(|(name, value)| (name, String::from(value)));
        vec![Sample::from((labels.to_vec(), 1.0))]
    });
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = started.ok().map(|since| since.as_secs_f64());
    metrics.read(START, move || started);
    metrics.read(CPU, usage::cpu_seconds);
    metrics.read(MEMORY, usage::resident_bytes);
    metrics.read(OPEN_FILES, usage::open_files);
    metrics.read(MAX_FILES, usage::max_files);
}

/// From /proc, which answers from memory.
#[cfg(target_os = "linux")]
mod usage {
    use procfs::{
        WithCurrentSystemInfo,
        process::{LimitValue, Process},
    };

    pub(super) fn cpu_seconds() -> Option<f64> {
        let stat = Process::myself().ok()?.stat().ok()?;
        let ticks = stat.utime.saturating_add(stat.stime);
        #[expect(clippy::float_arithmetic, reason = "it is no money")]
        let seconds = ticks as f64 / procfs::ticks_per_second() as f64;
        Some(seconds)
    }

    pub(super) fn resident_bytes() -> Option<f64> {
        let stat = Process::myself().ok()?.stat().ok()?;
        Some(stat.rss_bytes().get() as f64)
    }

    pub(super) fn open_files() -> Option<f64> {
        Some(Process::myself().ok()?.fd_count().ok()? as f64)
    }

    pub(super) fn max_files() -> Option<f64> {
        match Process::myself()
            .ok()?
            .limits()
            .ok()?
            .max_open_files
            .soft_limit
        {
            LimitValue::Value(files) => Some(files as f64),
            LimitValue::Unlimited => None,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod usage {
    pub(super) const fn cpu_seconds() -> Option<f64> {
        None
    }

    pub(super) const fn resident_bytes() -> Option<f64> {
        None
    }

    pub(super) const fn open_files() -> Option<f64> {
        None
    }

    pub(super) const fn max_files() -> Option<f64> {
        None
    }
}
