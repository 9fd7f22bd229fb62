//! Ports of servers that tests start: each is one test process's for as long as that lives, also while its server is away.

use std::{
    env::temp_dir,
    fs::{File, create_dir_all},
    net::TcpListener,
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::expect;

/// Below those that the system gives to whoever asks for any, and below those that scripts/ draw.
const FIRST: u32 = 10_000;
const COUNT: u32 = 10_000;
/// Processes that run at the same time begin this far from each other.
const STRIDE: u32 = 97;

/// The locks of the ports that this process has.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
static DRAWN: AtomicU32 = AtomicU32::new(0);

/// A port that no other test has, of this process or of another, until the process ends.
///
/// # Panics
/// When there is none left.
pub fn free_port() -> u16 {
    let begin = process::id().wrapping_mul(STRIDE);
    for _ in 0..COUNT {
        let drawn = begin.wrapping_add(DRAWN.fetch_add(1, Ordering::Relaxed));
        let port = expect(u16::try_from(FIRST + drawn % COUNT), "it is a port");
        if let Some(lock) = taken(port) {
            TAKEN
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(lock);
            return port;
        }
    }
    panic!("no port is free from {FIRST} on")
}

/// The port's lock, unless it is held or something listens there.
fn taken(port: u16) -> Option<File> {
    let folder = temp_dir().join("wallet-test-ports");
    expect(create_dir_all(&folder), "there is a folder for locks");
    let lock = File::create(folder.join(port.to_string()));
    let lock = expect(lock, "a lock's file can be made");
    lock.try_lock().ok()?;
    TcpListener::bind(("127.0.0.1", port)).ok()?;
    Some(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_away_once_and_not_while_something_listens_there() {
        let port = free_port();
        assert!(taken(port).is_none(), "it was given away twice");
        let another = free_port();
        assert_ne!(port, another);
        assert!((10_000..20_000).contains(&another), "{another}");
        // What others listen on is not locked.
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(taken(listener.local_addr().unwrap().port()).is_none());
    }
}
