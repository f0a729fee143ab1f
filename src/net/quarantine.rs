//! Messages that broke the program once, and must not do so again.
//!
//! A defect that ends the process would end it once more at the message's
//! retransmission, half a second after the restart, and again. So the hash of
//! what a shard was handling goes into a file beside the journal before the
//! process ends, and a message with that hash is dropped from then on. Removing
//! the file lets them in again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base::limits::QUARANTINE;

/// The file's name in the ledger's directory.
const FILE: &str = "quarantine";

/// The messages kept out.
#[derive(Clone, Debug, Default)]
pub(super) struct Quarantine {
    hashes: Vec<blake3::Hash>,
}

impl Quarantine {
    /// Reads the list kept in `directory`; without one, nothing is kept out.
    ///
    /// # Errors
    /// The file is there and cannot be read: which one, and what the system said.
    pub(super) fn load(directory: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path(directory)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                let text = format!("{}: {error}", path(directory).display());
                return Err(io::Error::new(error.kind(), text));
            }
        };
        // A line cut short by a crash, or damaged, is no hash, and is passed over.
        let mut hashes: Vec<_> = bytes
            .split(|&byte| byte == b'\n')
            .filter_map(|line| blake3::Hash::from_hex(line.trim_ascii()).ok())
            .collect();
        hashes.drain(..hashes.len().saturating_sub(QUARANTINE));
        Ok(Self { hashes })
    }

    /// How many messages are kept out.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether `datagram` is kept out. Free while nothing is.
    pub(super) fn holds(&self, datagram: &[u8]) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&blake3::hash(datagram))
    }

    /// Keeps `datagram` out from the next start on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn add(directory: &Path, datagram: &[u8]) -> io::Result<()> {
        let path = path(directory);
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        writeln!(file, "{}", blake3::hash(datagram).to_hex())?;
        file.sync_all()
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_held_after_a_restart() {
        let directory = std::env::temp_dir().join(format!("quarantine-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        assert!(!Quarantine::load(&directory).unwrap().holds(b"INVITE"));
        Quarantine::add(&directory, b"INVITE").unwrap();
        Quarantine::add(&directory, b"BYE").unwrap();
        let loaded = Quarantine::load(&directory).unwrap();
        assert_eq!(loaded.len(), 2);
        assert!(loaded.holds(b"INVITE") && loaded.holds(b"BYE"));
        assert!(!loaded.holds(b"ACK"));
        let damaged = [&fs::read(path(&directory)).unwrap()[..], b"\xff\xfe\n"].concat();
        fs::write(path(&directory), damaged).unwrap();
        assert!(Quarantine::load(&directory).unwrap().holds(b"BYE"));
        for _ in 0..QUARANTINE {
            Quarantine::add(&directory, b"ACK").unwrap();
        }
        let loaded = Quarantine::load(&directory).unwrap();
        assert!(loaded.holds(b"ACK") && !loaded.holds(b"INVITE"));
        fs::remove_dir_all(&directory).unwrap();
    }
}
