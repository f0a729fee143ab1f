//! Standard error, which must not be able to stop a telephone call: what is said
//! to it may be lost, but nobody waits for it.
//!
//! While the log runs, a thread of its own writes it. Whoever has a line puts it
//! into a queue; a line for which there is no room is lost, and how many were is
//! written as soon as there is room again.

use std::fs::File;
use std::io::{self, Write, stderr};
use std::os::fd::AsFd;
use std::panic;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::base::limits::{LOG_LINES_UNTOLD, LOG_QUEUE_BYTES};

use super::cli;

/// How long the end of the program waits for a log that nobody may be reading.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where lines go while the log runs.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Says one thing on standard error. That nobody can read it is no fault.
pub(super) fn say(text: &str) {
    let text = format!("{text}\n");
    match QUEUE.get() {
        Some(queue) => queue.put(text.into_bytes()),
        None => {
            let _unread = stderr().lock().write_all(text.as_bytes());
        }
    }
}

/// Starts the log of a program that runs: what `tracing` is given from now on,
/// what is said, and what a panic says.
///
/// # Errors
/// One line: what the machine lacks.
pub(super) fn start(form: cli::Log, level: LevelFilter, ansi: bool) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot start the log: {error}");
    let sink = stderr().as_fd().try_clone_to_owned();
    let sink = File::from(sink.map_err(|error| failed(&error))?);
    let form = Form { form, ansi };
    let queue = form.start(sink).map_err(|error| failed(&error))?;
    let queue = QUEUE.get_or_init(|| queue);
    form.dispatch(level, queue)
        .try_init()
        .map_err(|error| failed(&error))?;
    panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}

/// Waits until the log is written, if it is being read.
pub(super) fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish();
    }
}

/// What a line looks like.
#[derive(Clone, Copy)]
struct Form {
    form: cli::Log,
    ansi: bool,
}

impl Form {
    fn dispatch<W>(self, level: LevelFilter, to: W) -> Dispatch
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let log = tracing_subscriber::fmt()
            .with_max_level(level)
            // It would be said on standard error by what panics if it cannot be.
            .log_internal_errors(false)
            .with_writer(to);
        match self.form {
            cli::Log::Text => log.with_ansi(self.ansi).into(),
            cli::Log::Json => log.json().flatten_event(true).into(),
        }
    }

    /// Starts the thread that writes to `sink`.
    fn start(self, sink: impl Write + Send + 'static) -> io::Result<Queue> {
        let (sender, letters) = channel();
        let fill = Arc::<Fill>::default();
        let queue = Queue {
            sender,
            fill: Arc::clone(&fill),
        };
        let pad = Pad::default();
        let scribe = Scribe {
            sink,
            fill,
            failed: 0,
            untold: 0,
            own: self.dispatch(LevelFilter::WARN, pad.clone()),
            pad,
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || scribe.serve(&letters))?;
        Ok(queue)
    }
}

/// What the thread is sent.
enum Letter {
    Line(Vec<u8>),
    /// All before it is to be written, and that it is to be said.
    Finish(SyncSender<()>),
}

/// How full the queue is.
#[derive(Debug, Default)]
struct Fill {
    bytes: AtomicUsize,
    /// Lines for which there was no room and of which nobody was told.
    lost: AtomicU64,
}

/// Lines that wait for being written: as many bytes as there may be, and no wait.
#[derive(Clone, Debug)]
struct Queue {
    sender: Sender<Letter>,
    fill: Arc<Fill>,
}

impl Queue {
    fn put(&self, line: Vec<u8>) {
        let length = line.len();
        let before = self.fill.bytes.fetch_add(length, Ordering::Relaxed);
        let room = before == 0 || before.saturating_add(length) <= LOG_QUEUE_BYTES;
        if !room || self.sender.send(Letter::Line(line)).is_err() {
            self.fill.bytes.fetch_sub(length, Ordering::Relaxed);
            self.fill.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn finish(&self) {
        let (done, written) = sync_channel(1);
        if self.sender.send(Letter::Finish(done)).is_ok() {
            // Whoever does not read it by then must do without.
            let _written = written.recv_timeout(PATIENCE);
        }
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for &'static Queue {
    type Writer = &'static Queue;

    fn make_writer(&self) -> Self::Writer {
        self
    }
}

/// Where the thread's own lines are formatted.
#[derive(Clone, Default)]
struct Pad(Arc<Mutex<Vec<u8>>>);

impl Pad {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Pad {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut pad = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pad.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Pad {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The thread's part.
struct Scribe<W> {
    sink: W,
    fill: Arc<Fill>,
    /// Lines that could not be written and of which nobody was told.
    failed: u64,
    /// Lines written since it was last told how many were lost.
    untold: usize,
    own: Dispatch,
    pad: Pad,
}

impl<W: Write> Scribe<W> {
    fn serve(mut self, letters: &Receiver<Letter>) {
        loop {
            let letter = match letters.try_recv() {
                Ok(letter) => letter,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    self.tell();
                    match letters.recv() {
                        Ok(letter) => letter,
                        Err(_) => return,
                    }
                }
            };
            match letter {
                Letter::Line(line) => self.write(&line),
                Letter::Finish(done) => {
                    self.tell();
                    // Who has gone need not know.
                    let _told = done.send(());
                }
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        if self.sink.write_all(line).is_err() {
            self.failed = self.failed.saturating_add(1);
        }
        self.fill.bytes.fetch_sub(line.len(), Ordering::Relaxed);
        self.untold += 1;
        if self.untold >= LOG_LINES_UNTOLD {
            self.tell();
        }
    }

    /// Writes how many lines were lost since this was last written.
    fn tell(&mut self) {
        self.untold = 0;
        let unroomed = self.fill.lost.swap(0, Ordering::Relaxed);
        self.failed = self.failed.saturating_add(unroomed);
        let lines = self.failed;
        if lines == 0 {
            return;
        }
        with_default(&self.own, || {
            tracing::warn!(
                lines,
                "lines of the log were lost: they came faster than they were read, or could \
                 not be written; the journal has all calls"
            );
        });
        if self.sink.write_all(&self.pad.take()).is_ok() {
            self.failed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Hands each line to the test, and waits until it is taken.
    struct Slow(SyncSender<String>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(line.to_vec()).unwrap();
            self.0.send(text).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow(form: cli::Log) -> (Queue, Receiver<String>) {
        let (sender, lines) = sync_channel(0);
        let form = Form { form, ansi: false };
        (form.start(Slow(sender)).unwrap(), lines)
    }

    #[test]
    fn who_does_not_read_loses_lines_and_is_told_how_many() {
        for form in [cli::Log::Text, cli::Log::Json] {
            let (queue, lines) = slow(form);
            let line = vec![b'x'; LOG_QUEUE_BYTES / 100];
            for _ in 0..150 {
                queue.put(line.clone());
            }
            for _ in 0..100 {
                assert_eq!(lines.recv_timeout(LONG).unwrap().len(), line.len());
            }
            let told = lines.recv_timeout(LONG).unwrap();
            assert!(
                told.contains("lines=50") || told.contains("\"lines\":50"),
                "{told}"
            );
            assert!(told.contains("lines of the log were lost"), "{told}");
            // There is room again.
            queue.put(b"more".to_vec());
            assert_eq!(lines.recv_timeout(LONG).unwrap(), "more");
            drop(queue);
            let end = lines.recv_timeout(LONG);
            assert_eq!(end, Err(RecvTimeoutError::Disconnected));
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_goes_on_and_ends() {
        let (queue, lines) = slow(cli::Log::Text);
        drop(lines);
        for _ in 0..1_000 {
            queue.put(vec![b'x'; LOG_QUEUE_BYTES / 100]);
        }
        queue.finish();
        assert_eq!(queue.fill.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_stream_of_lines_too_many_is_told_of_while_it_lasts() {
        let (queue, lines) = slow(cli::Log::Text);
        let line = vec![b'x'; LOG_QUEUE_BYTES / 10];
        let told = (0..2 * LOG_LINES_UNTOLD).any(|_| {
            // Always more than fit.
            for _ in 0..20 {
                queue.put(line.clone());
            }
            lines.recv_timeout(LONG).unwrap().contains("were lost")
        });
        assert!(told);
    }
}
