//! Lines reach standard output by a thread of their own, as many at a time as there are: who logs never waits for who
//! reads. What an output that is not read leaves no room for is left out, counted, and told once it is read again.

use std::{
    io::{self, BufWriter, Write},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// How many lines wait to be written: some megabytes, of the busiest service the lines of seconds.
pub(super) const WAITING_LINES_MAX: usize = 65_536;
/// What one write to the output takes at most.
const WRITE_BYTES: usize = 64 * 1024;
/// How long lines gather: waking the thread costs more than writing a line.
const GATHER: Duration = Duration::from_millis(2);

/// Starts the thread. When the guard goes, what waits is written, as far as the output takes it within a second.
pub(super) fn start<W, T>(output: W, lines_max: usize, tell: T) -> (NonBlocking, WorkerGuard)
where
    W: Write + Send + 'static,
    T: Fn(usize) + Send + 'static,
{
    let left_out = Arc::new(OnceLock::new());
    let output = Output {
        inner: BufWriter::with_capacity(WRITE_BYTES, output),
        left_out: Arc::clone(&left_out),
        told: 0,
        tell,
    };
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(lines_max)
        .lossy(true)
        .thread_name("log")
        .finish(output);
    // The thread counts what it could not take, and tells of it: it is the only one that knows when there is room again.
    let _: Result<(), ErrorCounter> = left_out.set(lines.error_counter());
    (lines, guard)
}

struct Output<W: Write, T> {
    inner: BufWriter<W>,
    left_out: Arc<OnceLock<ErrorCounter>>,
    told: usize,
    tell: T,
}

impl<W: Write, T: Fn(usize)> Write for Output<W, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    /// Comes after all lines that waited.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()?;
        let left_out = self.left_out.get().map_or(0, ErrorCounter::dropped_lines);
        if left_out > self.told {
            (self.tell)(left_out - self.told);
            self.told = left_out;
        }
        thread::sleep(GATHER);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// Takes nothing before it is opened.
    struct Gate {
        opened: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Open for good once its other end is gone.
            let _: Result<(), mpsc::RecvError> = self.opened.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_is_not_read_stops_nothing_and_what_is_left_out_is_told() {
        let (open, opened) = mpsc::channel();
        let (told, tells) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate {
            opened,
            taken: Arc::clone(&taken),
        };
        let (mut lines, guard) = start(gate, 8, move |count| told.send(count).unwrap());
        let line = [b"a".repeat(WRITE_BYTES), b"\n".to_vec()].concat();
        for _ in 0..100 {
            lines.write_all(&line).unwrap();
        }
        drop(open);
        let left_out = tells.recv_timeout(SOON).unwrap();
        drop(guard);
        let taken = taken.lock().unwrap();
        let written = taken.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(written + left_out, 100);
        assert!((8..=10).contains(&written), "{written}");
    }

    #[test]
    fn the_guard_has_all_that_waited_written() {
        let (_, opened) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate {
            opened,
            taken: Arc::clone(&taken),
        };
        let (mut lines, guard) = start(gate, WAITING_LINES_MAX, |_| {});
        for number in 0..1_000 {
            lines.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        drop(guard);
        let expected: String = (0..1_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(*taken.lock().unwrap(), expected.into_bytes());
    }
}
