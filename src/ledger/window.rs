//! A part of a segment that is mapped into memory: what is copied there is the file's,
//! and outlives the process, without a system call for each turn.
//!
//! Only as much as this is mapped, so that a segment's size does not count as memory.

use std::fs::File;
use std::io;
use std::sync::atomic::{Ordering, compiler_fence};

use memmap2::{MmapMut, MmapOptions};
use nix::sys::statfs::{self, FsType};

/// How long a window is, in bytes; windows begin at multiples of it.
const LENGTH: u64 = 1 << 20;

/// The file systems on which room that was allocated is there when it is written to.
/// Where a written block gets a new place, as on btrfs, a full disk would show as a signal
/// that ends the process, and no longer as an error.
const KEPT: [FsType; 3] = [
    statfs::EXT4_SUPER_MAGIC,
    statfs::XFS_SUPER_MAGIC,
    statfs::TMPFS_MAGIC,
];

/// Where a journal copies its frames to.
#[derive(Debug)]
pub(super) struct Window {
    map: MmapMut,
    /// Of which byte of the file it begins.
    begin: u64,
}

impl Window {
    /// Whether a segment of this file's file system can be written through a window.
    pub(super) fn is_safe_on(file: &File) -> bool {
        statfs::fstatfs(file).is_ok_and(|it| KEPT.contains(&it.filesystem_type()))
    }

    /// Maps the window with this byte of a file that has room up to `size`.
    #[expect(unsafe_code, reason = "the file could be cut short by someone else")]
    fn open(file: &File, at: u64, size: u64) -> io::Result<Self> {
        let begin = at - at % LENGTH;
        let length = LENGTH.min(size.saturating_sub(begin));
        let mut options = MmapOptions::new();
        options
            .offset(begin)
            .len(usize::try_from(length).unwrap_or(0));
        // SAFETY: nobody but this process's one journal of the shard writes the file (the
        // ledger is locked), it changes its length only when it has let the window go, and
        // no reference into the window outlives a call. Who cuts a ledger's file short all
        // the same ends the process, and the next start says what is missing.
        let map = unsafe { options.map_mut(file)? };
        Ok(Self { map, begin })
    }

    /// Copies what fits of these bytes to that place of the file. How many did.
    ///
    /// They are there in their order at any time: a process that is killed in between, or
    /// a reader who looks, finds the first part of them and zeros behind it.
    fn copy(&mut self, at: u64, bytes: &[u8]) -> usize {
        let place = at.checked_sub(self.begin);
        let place = place.and_then(|it| usize::try_from(it).ok());
        let room = place.and_then(|place| self.map.get_mut(place..));
        let room = room.unwrap_or_default();
        let count = room.len().min(bytes.len());
        let room = room.get_mut(..count).unwrap_or_default();
        let (to, last_to) = room.as_chunks_mut::<8>();
        let (from, last_from) = bytes.get(..count).unwrap_or_default().as_chunks::<8>();
        for (to, from) in to.iter_mut().zip(from) {
            // One store. The fence has the compiler leave them in their order.
            *to = *from;
            compiler_fence(Ordering::Release);
        }
        for (to, from) in last_to.iter_mut().zip(last_from) {
            *to = *from;
            compiler_fence(Ordering::Release);
        }
        count
    }

    /// Copies all of these bytes to that place of a file with room up to `size`, through
    /// one window after another.
    ///
    /// # Errors
    /// A window cannot be mapped. A part of the bytes may be there.
    pub(super) fn write(
        window: &mut Option<Self>,
        file: &File,
        size: u64,
        mut at: u64,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let open = match window {
                Some(open) if (open.begin..open.end()).contains(&at) => open,
                _ => window.insert(Self::open(file, at, size)?),
            };
            let count = open.copy(at, bytes);
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    fn end(&self) -> u64 {
        let length = u64::try_from(self.map.len()).unwrap_or(u64::MAX);
        self.begin.saturating_add(length)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::tests::Temporary;
    use super::*;

    fn file_of(folder: &Temporary, size: u64) -> File {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        std::fs::create_dir_all(folder.ledger()).unwrap();
        let file = options.open(folder.ledger().join("file")).unwrap();
        file.set_len(size).unwrap();
        file
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_copied_is_the_file_s_across_windows_and_to_its_end(
            begin in 0..2 * LENGTH,
            lengths in vec(prop_oneof![1_usize..3_000, 1_usize..2 << 20], 1..40),
        ) {
            let size = 2 * LENGTH + 12_345;
            let folder = Temporary::new();
            let file = file_of(&folder, size);
            let (mut window, mut at, mut all) = (None, begin, Vec::new());
            for (number, length) in lengths.into_iter().enumerate() {
                let left = usize::try_from(size - at).unwrap();
                let bytes = vec![u8::try_from(number + 1).unwrap(); length.min(left)];
                Window::write(&mut window, &file, size, at, &bytes).unwrap();
                at += bytes.len() as u64;
                all.extend(bytes);
                let mut found = vec![0; all.len()];
                file.read_exact_at(&mut found, begin).unwrap();
                prop_assert!(found == all);
            }
            prop_assert_eq!(file.metadata().unwrap().len(), size);
        }
    }

    #[test]
    fn what_lies_outside_of_a_window_is_no_part_of_it() {
        let folder = Temporary::new();
        let file = file_of(&folder, 2 * LENGTH);
        let mut window = Window::open(&file, LENGTH + 1, 2 * LENGTH).unwrap();
        assert_eq!(window.copy(LENGTH - 1, b"before"), 0);
        assert_eq!(window.copy(2 * LENGTH - 3, b"across"), 3);
        assert_eq!(window.copy(2 * LENGTH, b"behind"), 0);
    }
}
