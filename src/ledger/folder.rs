//! The ledger's folder: who may write it, and the keys kept with it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Fault;
use super::latest::Latest;
use super::mark::Marks;
use super::note::{PublicKey, SigningKey, hex, unhex};
use super::segment::{HEADER, SEGMENT_SIZE};

/// A ledger that this process alone may write, for as long as this or a journal
/// of it lives.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) directory: PathBuf,
    pub(super) lock: Arc<File>,
    pub(super) segment_size: u64,
    pub(super) marks: Marks,
    pub(super) latest: Latest,
    pub(super) signer: Arc<SigningKey>,
    pub(super) durable: bool,
    waiting: Waiting,
}

/// Files that were made while the disk was full, by their names. What is written rests on
/// them: see [`Ledger::keep_what_waits`].
type Waiting = Arc<Mutex<Vec<(&'static str, Vec<u8>)>>>;

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
        let lock = Arc::new(lock(directory)?);
        let waiting = Waiting::default();
        Ok(Self {
            directory: directory.to_path_buf(),
            lock,
            segment_size: SEGMENT_SIZE,
            marks: Marks::default(),
            latest: Latest::default(),
            signer: Arc::new(signing_key(directory, &waiting)?),
            durable: false,
            waiting,
        })
    }

    /// The same ledger, in which records count as written when they are on the disk.
    #[must_use]
    pub const fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// What verifies this ledger's checkpoints, as `public.key` in its folder says
    /// it too.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.signer.public()
    }

    /// Its last checkpoint, as a [`super::Chain`] makes them.
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.latest.clone()
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
        let without = "calls that are up now then cannot be continued";
        secret(&self.directory, KEY, without, &self.waiting).map(u128::from_be_bytes)
    }

    /// Keeps what could not be kept because the disk was full. Nothing may be written that
    /// a next life would need it for, before this is done.
    ///
    /// # Errors
    /// [`Fault`]: it still cannot be.
    pub(super) fn keep_what_waits(&self) -> Result<(), Fault> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((name, bytes)) = waiting.last() {
            keep(&self.directory, name, bytes)?;
            waiting.pop();
        }
        Ok(())
    }

    /// The shards whose journal this process writes, though it is not in its folder any more:
    /// what is unlinked is written without a fault.
    #[must_use]
    pub fn misplaced(&self) -> Vec<u16> {
        self.marks.misplaced(&self.directory)
    }

    /// Keeps a file with the ledger, in the place of one kept before: synced, and
    /// under its name only when whole.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be written. What was kept before is still there.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        keep(&self.directory, name, bytes)
    }

    /// A file kept with the ledger; `None` if there is none of that name.
    ///
    /// # Errors
    /// [`Fault`]: it cannot be read.
    pub fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        kept(&self.directory, name)
    }
}

/// The files of the key that spreads calls, of the one that signs, and of what
/// verifies that.
const KEY: &str = "key";
const SIGNING_KEY: &str = "sign.key";
pub(super) const PUBLIC_KEY: &str = "public.key";

fn keep(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Fault> {
    let path = directory.join(name);
    let new = directory.join(format!("{name}.new"));
    let write = || {
        let mut file = private().truncate(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        // On a full disk a part of it would only take room.
        let _removed = std::fs::remove_file(&new);
        Fault::io("write", &path)(error)
    })
}

/// Keeps a file, or has it wait where the disk is full.
fn keep_or_wait(
    directory: &Path,
    name: &'static str,
    bytes: Vec<u8>,
    waiting: &Waiting,
) -> Result<(), Fault> {
    match keep(directory, name, &bytes) {
        Err(fault) if fault.is_lack_of_room() => {
            tracing::warn!("{fault}: it is kept as soon as there is room, and before any record");
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((name, bytes));
            Ok(())
        }
        kept => kept,
    }
}

/// Bytes of a file that is read whole: the rules of 100,000 tenants are less than a third.
const KEPT_BYTES: u64 = 1 << 30;

fn kept(directory: &Path, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let path = directory.join(name);
    let read = || {
        // Neither a pipe, which says nothing, nor a device, which never ends.
        let found = std::fs::metadata(&path)?;
        if !found.is_file() || found.len() > KEPT_BYTES {
            let what = format!("it is no plain file of at most {KEPT_BYTES} bytes");
            return Err(io::Error::other(what));
        }
        std::fs::read(&path)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("read", &path)(error)),
    }
}

/// The key that signs, drawn at the first start. What verifies it stands beside it.
fn signing_key(directory: &Path, waiting: &Waiting) -> Result<SigningKey, Fault> {
    let without = "what was signed until now is then verified with a copy of public.key alone";
    let seed = secret(directory, SIGNING_KEY, without, waiting)?;
    let Some(key) = SigningKey::new(&seed) else {
        let path = directory.join(SIGNING_KEY);
        return Err(Fault::io("use", &path)(io::Error::other("no key")));
    };
    let public = format!("{}\n", key.public());
    if kept(directory, PUBLIC_KEY)?.as_deref() != Some(public.as_bytes()) {
        keep_or_wait(directory, PUBLIC_KEY, public.into_bytes(), waiting)?;
    }
    Ok(key)
}

/// A secret kept in hexadecimal, drawn if there is none yet. `without` says what
/// follows from its loss.
fn secret<const N: usize>(
    directory: &Path,
    name: &'static str,
    without: &'static str,
    waiting: &Waiting,
) -> Result<[u8; N], Fault> {
    if let Some(text) = kept(directory, name)? {
        return parse_secret(&text).ok_or_else(|| Fault::Key {
            path: directory.join(name),
            digits: 2 * N,
            without,
        });
    }
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Fault::io("read", Path::new("/dev/urandom")))?;
    let text = format!("{}\n", hex(&bytes)).into_bytes();
    keep_or_wait(directory, name, text, waiting)?;
    Ok(bytes)
}

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
    // It only tells who holds the lock, and that need not be known. The room that it has
    // is kept: on a full disk there is no other.
    let text = format!("{}\n", std::process::id());
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let told = file.write_all_at(text.as_bytes(), 0);
    if let Err(error) = told.and_then(|()| file.set_len(length)) {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
    Ok(file)
}

fn parse_secret<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    unhex(std::str::from_utf8(text).ok()?.trim_end())
}
