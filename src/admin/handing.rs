//! Open sockets over the control socket (`SCM_RIGHTS`, unix(7)), from a program that
//! ends to its successor.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as Stream;
use std::path::Path;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::base::limits::{CONTROL_REQUEST_BYTES, HANDED_SOCKETS};

use super::client::{self, Unanswered};
use super::protocol::{Answer, Fault, Reply, Request};

/// Sends a line, and with its first byte these descriptors.
///
/// # Errors
/// The client has gone, or the line is longer than the system takes at once.
pub(super) async fn send(
    stream: &UnixStream,
    line: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&raw)];
    let sent = stream
        .async_io(Interest::WRITABLE, || {
            let (socket, line) = (stream.as_raw_fd(), [IoSlice::new(line)]);
            let flags = MsgFlags::MSG_NOSIGNAL;
            Ok(sendmsg::<UnixAddr>(socket, &line, &control, flags, None)?)
        })
        .await?;
    match sent == line.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// What a predecessor gave.
#[derive(Debug)]
pub enum Given {
    /// Its sockets, at which it reads no more.
    Sockets(Vec<OwnedFd>),
    /// Nothing: it goes on.
    Refused(Fault),
}

/// Asks the Tollgate that listens at `path` for its sockets, and for its end.
///
/// # Errors
/// [`Unanswered`].
pub fn take_over(path: &Path, request: &Request) -> Result<Given, Unanswered> {
    let stream = client::say(path, request)?;
    let broken = |error: io::Error| Unanswered::Broken(error.to_string());
    let (line, descriptors) = receive(&stream).map_err(broken)?;
    let answer: Answer =
        serde_json::from_slice(&line).map_err(|error| broken(io::Error::from(error)))?;
    match answer.reply {
        Reply::HandedOver => Ok(Given::Sockets(descriptors)),
        Reply::Fault(fault) => Ok(Given::Refused(fault)),
        other => Err(Unanswered::Broken(format!(
            "an answer to something else came: {other:?}"
        ))),
    }
}

/// Reads a line, and the descriptors that came with it.
fn receive(stream: &Stream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut line, mut descriptors) = (Vec::new(), Vec::new());
    while line.last() != Some(&b'\n') && line.len() < CONTROL_REQUEST_BYTES {
        let mut bytes = [0; 4096];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let mut control = cmsg_space!([RawFd; HANDED_SOCKETS]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message =
            recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                descriptors.extend(raw.into_iter().map(owned));
            }
        }
        let read = message.bytes;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(bytes.get(..read).unwrap_or_default());
    }
    Ok((line, descriptors))
}

#[expect(unsafe_code, reason = "nix hands received descriptors out raw")]
fn owned(raw: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(raw) }
}
