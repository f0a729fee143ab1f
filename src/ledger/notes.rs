//! The checkpoints' files: one for each day, with one note behind the other.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::base::time::Wall;

use super::checkpoint::{Head, ORIGIN};
use super::note::SIGNED;
use super::{Fault, folder};

/// The folder of the checkpoints.
const FOLDER: &str = "checkpoints";

/// What the files' names end in.
const EXTENSION: &str = ".txt";

/// A note as it was found.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) file: PathBuf,
    /// The line it begins at, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

impl Note {
    /// What the note after it names it by.
    pub(super) fn hash(&self) -> Head {
        hash(&self.text)
    }

    /// Leaves out what stands before the text that was signed, and line ends as mail
    /// has them.
    pub(super) fn strip(&mut self) {
        let text = self.text.replace("\r\n", "\n");
        let begins = text.match_indices(ORIGIN).map(|(at, _)| at);
        let at_line = |at: &usize| {
            text.get(..*at)
                .is_some_and(|it| it.is_empty() || it.ends_with('\n'))
        };
        let begin = begins.filter(at_line).last().unwrap_or(0);
        self.line += text.get(..begin).map_or(0, |it| it.lines().count());
        self.text = text.get(begin..).unwrap_or_default().to_owned();
    }
}

pub(super) fn hash(note: &str) -> Head {
    *blake3::hash(note.as_bytes()).as_bytes()
}

/// The notes in a text, and the bytes behind the last whole one.
pub(super) fn split(file: &Path, text: &str) -> (Vec<Note>, usize) {
    let (mut notes, mut note, mut begins) = (Vec::new(), String::new(), 1);
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        note.push_str(line);
        if line.starts_with(SIGNED) && line.ends_with('\n') {
            notes.push(Note {
                file: file.to_path_buf(),
                line: begins,
                text: std::mem::take(&mut note),
            });
            begins = number + 1;
        }
    }
    (notes, note.len())
}

/// The notes of one file, and the bytes behind the last whole one.
pub(super) fn read(file: &Path) -> Result<(Vec<Note>, usize), Fault> {
    let bytes = std::fs::read(file).map_err(Fault::io("read", file))?;
    Ok(split(file, &String::from_utf8_lossy(&bytes)))
}

/// Every file of checkpoints, in order; none if there is no such folder.
pub(super) fn files(ledger: &Path) -> Result<Vec<PathBuf>, Fault> {
    let folder = ledger.join(FOLDER);
    let listing = match std::fs::read_dir(&folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Fault::io("read", &folder)(error)),
    };
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.map_err(Fault::io("read", &folder))?.path();
        let ours = path.file_name().and_then(|name| name.to_str());
        if ours.is_some_and(|name| name.ends_with(EXTENSION)) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// How many bytes of room on the disk are kept behind the last note: so long as a full
/// disk lasts no longer than these, checkpoints are written as ever.
pub(super) const ROOM: u64 = 1 << 20;

/// How many notes wait for the disk at the most: those of half a day.
const WAITING: usize = 4_096;

/// Appends notes, each to its day's file. A day that comes before the last one
/// (the clock stepped back) is taken for that: names are in the order of the notes.
#[derive(Debug)]
pub(super) struct Pile {
    folder: PathBuf,
    /// The last file's name, and how long it is with whole notes alone.
    last: Option<(String, u64)>,
    /// Up to which byte that file has its room, as far as is known.
    room: u64,
    /// What could not be written yet, in order.
    waiting: VecDeque<(Wall, String)>,
}

impl Pile {
    /// Goes on after what is there, less what was written only in part.
    pub(super) fn open(ledger: &Path) -> Result<Self, Fault> {
        let folder = ledger.join(FOLDER);
        let mut last = None;
        if let Some(path) = files(ledger)?.pop() {
            let bytes = std::fs::read(&path).map_err(Fault::io("read", &path))?;
            let end = whole(&bytes);
            let name = path.file_name().and_then(|name| name.to_str());
            last = name.map(|name| (name.to_owned(), end));
        }
        Ok(Self {
            folder,
            last,
            room: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Whether something could not be written yet.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether no more can wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    /// Appends a note, on the disk when this returns.
    ///
    /// # Errors
    /// What the system said; the note then waits, and those after it do.
    pub(super) fn append(&mut self, wall: Wall, note: &str) -> Result<(), Fault> {
        self.waiting.push_back((wall, note.to_owned()));
        self.write()
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// What the system said; the rest goes on waiting.
    pub(super) fn write(&mut self) -> Result<(), Fault> {
        while let Some((wall, note)) = self.waiting.pop_front() {
            if let Err(fault) = self.place(wall, &note) {
                self.waiting.push_front((wall, note));
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Writes a note to its day's file, or to the one before where there is no room for
    /// another file.
    fn place(&mut self, wall: Wall, note: &str) -> Result<(), Fault> {
        let today = format!("{}{EXTENSION}", day(wall));
        let last = self.last.clone();
        match last {
            Some((name, end)) if name >= today => self.put(&name, end, note),
            Some((name, end)) => match self.put(&today, 0, note) {
                Err(fault) if fault.is_lack_of_room() => self.put(&name, end, note),
                put => {
                    self.give_back(&name, end);
                    put
                }
            },
            None => self.put(&today, 0, note),
        }
    }

    fn put(&mut self, name: &str, end: u64, note: &str) -> Result<(), Fault> {
        let path = self.folder.join(name);
        // Whoever removes it does not keep what comes from being signed. A whole ledger that
        // is gone is not begun anew beside the one that is written.
        if self.folder.parent().is_some_and(Path::is_dir) {
            folder::create_folder(&self.folder)?;
        }
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path)?;
            let length = file.metadata()?.len();
            let from = end.min(length);
            let end = from.saturating_add(u64::try_from(note.len()).unwrap_or(u64::MAX));
            file.write_all_at(note.as_bytes(), from)?;
            // Only where something is left of what was written in part: this gives back the
            // room behind it, too.
            let cut = end < length;
            if cut {
                file.set_len(end)?;
            }
            file.sync_all()?;
            if from == 0 {
                File::open(&self.folder)?.sync_all()?;
            }
            Ok((file, end, cut))
        };
        let (file, end, cut) = write().map_err(Fault::io("write", &path))?;
        let same = self.last.as_ref().is_some_and(|(last, _)| last == name);
        if !same || cut {
            self.room = 0;
        }
        self.last = Some((name.to_owned(), end));
        if self.room < end.saturating_add(ROOM / 2) {
            self.room = ahead(&file, end).unwrap_or(self.room);
        }
        Ok(())
    }

    /// Gives back the room that a file of an earlier day did not need.
    fn give_back(&self, name: &str, end: u64) {
        let path = self.folder.join(name);
        let file = OpenOptions::new().write(true).open(path);
        // Where this fails, there is less room for others.
        let _given_back = file.and_then(|file| match file.metadata()?.len() == end {
            true => file.set_len(end),
            false => Ok(()),
        });
    }
}

/// Has room on the disk behind a file's end, which stays where it is. Up to where; none
/// if the disk is full, or cannot do so.
fn ahead(file: &File, end: u64) -> Option<u64> {
    let (from, room) = (i64::try_from(end).ok()?, i64::try_from(ROOM).ok()?);
    fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, room).ok()?;
    end.checked_add(ROOM)
}

/// Where the last whole note ends.
fn whole(bytes: &[u8]) -> u64 {
    let (mut end, mut at) = (0, 0);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        at += line.len();
        if line.starts_with(SIGNED.as_bytes()) && line.ends_with(b"\n") {
            end = at;
        }
    }
    u64::try_from(end).unwrap_or(u64::MAX)
}

/// The day in UTC, as `2026-11-29`.
pub(super) fn day(wall: Wall) -> String {
    let time = jiff::Timestamp::from_microsecond(wall.as_micros()).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Temporary;
    use super::*;

    #[test]
    fn notes_are_piled_and_found_again() {
        let folder = Temporary::new();
        let ledger = folder.ledger();
        folder::create_folder(&ledger).unwrap();
        let day = 86_400_000_000;
        let note = |text: &str| format!("{text}\n\n{SIGNED}name sig\n");
        let mut pile = Pile::open(&ledger).unwrap();
        for (at, text) in [
            (day, "one"),
            (day + 1, "two"),
            (2 * day, "three"),
            (0, "four"),
        ] {
            pile.append(Wall::from_micros(at), &note(text)).unwrap();
        }
        let all = || -> Vec<(usize, String)> {
            let files = files(&ledger).unwrap();
            let notes = files.iter().flat_map(|file| read(file).unwrap().0);
            notes.map(|it| (it.line, it.text)).collect()
        };
        let expected = [(1, "one"), (4, "two"), (1, "three"), (4, "four")];
        let expected = expected.map(|(line, text)| (line, note(text)));
        assert_eq!(all(), expected);
        // What was written in part gives way to the next.
        let last = files(&ledger).unwrap().pop().unwrap();
        assert!(last.ends_with("1970-01-03.txt"), "{last:?}");
        let bytes = std::fs::read(&last).unwrap();
        std::fs::write(&last, &bytes[..bytes.len() - 3]).unwrap();
        let rest = note("four").len() - 3;
        assert_eq!(read(&last).unwrap().1, rest);
        let mut pile = Pile::open(&ledger).unwrap();
        pile.append(Wall::from_micros(2 * day), &note("five"))
            .unwrap();
        assert_eq!(all()[3], (4, note("five")));
        // What is taken away while it is written does not keep what comes from being read.
        std::fs::remove_dir_all(last.parent().unwrap()).unwrap();
        for text in ["six", "seven"] {
            pile.append(Wall::from_micros(2 * day), &note(text))
                .unwrap();
        }
        assert_eq!(all(), [(1, note("six")), (4, note("seven"))]);
    }
}
