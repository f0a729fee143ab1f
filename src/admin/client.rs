//! The control socket's side that asks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::base::limits::CONTROL_ANSWER_BYTES;

use super::protocol::{Answer, Reply, Request};
use super::socket::connect;

/// How long each line of an answer may take: reading a million rules again takes
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often, and after how long, a full backlog is tried again.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unanswered {
    /// Nobody listens there.
    Nobody,
    /// It is another user's.
    Forbidden,
    /// Someone is there, and says nothing that can be understood.
    Broken(String),
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody answers there"),
            Self::Forbidden => {
                f.write_str("it belongs to another user: run this as that user, or as root")
            }
            Self::Broken(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Unanswered {}

/// The lines of an answer, as they come.
#[derive(Debug)]
pub struct Talk {
    reader: BufReader<UnixStream>,
    over: bool,
}

/// Sends a request to the Tollgate that listens at `path`.
///
/// # Errors
/// [`Unanswered`].
pub fn ask(path: &Path, request: &Request) -> Result<Talk, Unanswered> {
    Ok(Talk {
        reader: BufReader::new(say(path, request)?),
        over: false,
    })
}

/// Sends a request, and leaves the answer to be read.
pub(super) fn say(path: &Path, request: &Request) -> Result<UnixStream, Unanswered> {
    let broken = |error: io::Error| Unanswered::Broken(error.to_string());
    let mut stream = reach(path)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
    let mut line = serde_json::to_vec(request).map_err(|error| broken(error.into()))?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // It may have said why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.map_err(broken)?,
    }
    Ok(stream)
}

fn reach(path: &Path) -> Result<UnixStream, Unanswered> {
    for _ in 0..TRIES {
        match connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => sleep(PAUSE),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    return Err(Unanswered::Nobody);
                }
                io::ErrorKind::PermissionDenied => return Err(Unanswered::Forbidden),
                _ => return Err(Unanswered::Broken(error.to_string())),
            },
        }
    }
    Err(Unanswered::Broken(
        "Tollgate takes no orders: it hangs, or too many give orders at once".to_owned(),
    ))
}

impl Iterator for Talk {
    type Item = Result<Reply, Unanswered>;

    /// The next line; none behind the last one.
    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let answer = self.line();
        self.over = !answer.as_ref().is_ok_and(|answer| answer.more);
        Some(answer.map(|answer| answer.reply))
    }
}

impl Talk {
    fn line(&mut self) -> Result<Answer, Unanswered> {
        let most = u64::try_from(CONTROL_ANSWER_BYTES).unwrap_or(u64::MAX);
        let mut line = Vec::new();
        let read = (&mut self.reader).take(most).read_until(b'\n', &mut line);
        if let Err(error) = read {
            return Err(Unanswered::Broken(match error.kind() {
                io::ErrorKind::WouldBlock => {
                    format!("Tollgate did not answer within {} s", PATIENCE.as_secs())
                }
                _ => format!("Tollgate broke off: {error}"),
            }));
        }
        if line.is_empty() {
            return Err(Unanswered::Broken(
                "Tollgate ended before it answered".to_owned(),
            ));
        }
        serde_json::from_slice(&line).map_err(|error| {
            Unanswered::Broken(format!(
                "the answer is of another version of Tollgate, or cut short ({error}): use the \
                 tollgate program of the version that runs"
            ))
        })
    }
}
