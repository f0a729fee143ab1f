//! The ledger's folder: who may write it, and the key kept with it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Fault;
use super::mark::Marks;
use super::segment::{HEADER, SEGMENT_SIZE};

/// A ledger that this process alone may write, for as long as this or a journal
/// of it lives.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) directory: PathBuf,
    pub(super) lock: Arc<File>,
    pub(super) segment_size: u64,
    pub(super) marks: Marks,
}

impl Ledger {
    /// Opens the ledger in `directory` for writing. A missing folder is created,
    /// 0700.
    ///
    /// # Errors
    /// [`Fault`]: another process writes it, or the folder cannot be made or
    /// written.
    pub fn open(directory: &Path) -> Result<Self, Fault> {
        create_folder(directory)?;
        let metadata = directory.metadata().map_err(Fault::io("read", directory))?;
        if metadata.mode() & 0o077 != 0 {
            tracing::warn!(
                "others on this machine may look into the ledger {}: chmod 700 it",
                directory.display()
            );
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            lock: Arc::new(lock(directory)?),
            segment_size: SEGMENT_SIZE,
            marks: Marks::default(),
        })
    }

    /// The same ledger with segments of `bytes` instead of [`SEGMENT_SIZE`]; at
    /// least 4,096.
    #[must_use]
    pub fn with_segment_size(mut self, bytes: u64) -> Self {
        self.segment_size = bytes.max(4096);
        self
    }

    /// The secret that sorts Call-IDs into buckets: drawn once, and then the same
    /// in every run, so that a call's messages find its shard after a restart.
    ///
    /// # Errors
    /// [`Fault`]: the key file cannot be read or written, or is damaged.
    pub fn key(&self) -> Result<u128, Fault> {
        if let Some(bytes) = self.kept(KEY)? {
            let path = self.directory.join(KEY);
            return parse_key(&bytes).ok_or(Fault::Key { path });
        }
        let key = draw().map_err(Fault::io("read", Path::new("/dev/urandom")))?;
        self.keep(KEY, format!("{key:032x}\n").as_bytes())?;
        Ok(key)
    }

    /// Keeps a file with the ledger, in the place of one kept before: synced, and
    /// under its name only when whole.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be written. What was kept before is still there.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.directory.join(name);
        let new = self.directory.join(format!("{name}.new"));
        let write = || {
            let mut file = private().truncate(true).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(Fault::io("write", &path))
    }

    /// A file kept with the ledger; `None` if there is none of that name.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be read.
    pub fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.directory.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::io("read", &path)(error)),
        }
    }
}

/// The key's file.
const KEY: &str = "key";

const _: () = assert!(HEADER < 4096);

/// Files of the ledger are for its owner only.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

pub(super) fn create_folder(path: &Path) -> Result<(), Fault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Fault::io("create the folder", path))
}

fn lock(directory: &Path) -> Result<File, Fault> {
    let path = directory.join("lock");
    let mut file = private()
        .read(true)
        .truncate(false)
        .open(&path)
        .map_err(Fault::io("write", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(Fault::Locked {
                directory: directory.to_path_buf(),
                pid,
            });
        }
        Err(TryLockError::Error(error)) => return Err(Fault::io("lock", &path)(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Fault::io("write", &path))?;
    Ok(file)
}

fn parse_key(bytes: &[u8]) -> Option<u128> {
    let digits = std::str::from_utf8(bytes).ok()?.trim_end();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

fn draw() -> io::Result<u128> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}
