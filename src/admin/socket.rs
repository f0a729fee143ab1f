//! The control socket's file.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Type};

/// The longest path that fits into a Unix socket's address, with the byte that ends
/// it (`sun_path`, unix(7)).
const LONGEST_PATH: usize = 107;

/// Connections that the kernel keeps for us until we take them.
const BACKLOG: i32 = 16;

/// Why the control socket cannot be opened, in one line with what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum SocketFault {
    /// Another Tollgate answers there.
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something else of that name.
    NoSocket {
        /// What is there.
        path: PathBuf,
    },
    /// The operating system refused.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The socket.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl SocketFault {
    /// Whether it is that a disk is full: all goes on when it is not any more.
    #[must_use]
    pub fn is_lack_of_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        let Self::Io { source, .. } = self else {
            return false;
        };
        matches!(source.kind(), StorageFull | QuotaExceeded)
    }
}

impl std::fmt::Display for SocketFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse { path } => write!(
                f,
                "another Tollgate answers on the control socket {}: stop that first, or set another `socket` in [admin]",
                path.display()
            ),
            Self::NoSocket { path } => write!(
                f,
                "{} is no socket: remove it, or set another `socket` in [admin]",
                path.display()
            ),
            Self::Io {
                doing,
                path,
                source,
            } => write!(
                f,
                "cannot {doing} the control socket {}: {source}: set another `socket` in [admin], in a folder that Tollgate may write",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SocketFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::InUse { .. } | Self::NoSocket { .. } => None,
        }
    }
}

/// The control socket, open. Its file goes when this does.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// The file's device and number, so that a successor's is not removed.
    file: (u64, u64),
}

impl Socket {
    /// Opens the socket at `path`, for its owner alone (0600). What a Tollgate left
    /// behind that was killed is replaced.
    ///
    /// # Errors
    /// [`SocketFault`]: someone answers there, or it cannot be made.
    pub fn open(path: &Path) -> Result<Self, SocketFault> {
        let fault = |doing| {
            move |source| SocketFault::Io {
                doing,
                path: path.to_path_buf(),
                source,
            }
        };
        is_free(path)?;
        // Under its name only when nobody else may open it.
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let listener = listen(&new).map_err(fault("open"))?;
        let file = fs::symlink_metadata(&new).map_err(fault("read"))?;
        fs::rename(&new, path).map_err(fault("name"))?;
        Ok(Self {
            listener,
            path: path.to_path_buf(),
            file: (file.dev(), file.ino()),
        })
    }

    /// Another one in the place of this, if its file was removed: nobody could stop a
    /// call any more.
    pub(super) fn anew(&self) -> Option<Self> {
        let there = fs::symlink_metadata(&self.path);
        if !there.is_err_and(|it| it.kind() == io::ErrorKind::NotFound) {
            return None;
        }
        match Self::open(&self.path) {
            Ok(socket) => {
                let path = self.path.display();
                tracing::warn!("the control socket {path} was removed, and is there again");
                Some(socket)
            }
            // Its folder may come again.
            Err(fault) => {
                tracing::debug!("{fault}");
                None
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path);
        if ours.is_ok_and(|it| (it.dev(), it.ino()) == self.file) {
            // A file that stays is replaced at the next start.
            let _removed = fs::remove_file(&self.path);
        }
    }
}

/// Whether a socket can be put there.
fn is_free(path: &Path) -> Result<(), SocketFault> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(SocketFault::Io {
                doing: "read",
                path: path.to_path_buf(),
                source,
            });
        }
    };
    let path = path.to_path_buf();
    if !there.file_type().is_socket() {
        return Err(SocketFault::NoSocket { path });
    }
    match connect(&path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // A full backlog is somebody's, too.
        Ok(_) => Err(SocketFault::InUse { path }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SocketFault::InUse { path }),
        Err(source) => Err(SocketFault::Io {
            doing: "try",
            path,
            source,
        }),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&Near::to(path)?.address()?)?;
    // Nobody can connect before it listens.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(UnixListener::from(std::os::fd::OwnedFd::from(socket)))
}

/// Connects to the socket at `path`, at once or not at all.
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&Near::to(path)?.address()?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

/// A path that is short enough for a socket's address: that of the folder is
/// replaced by an open file where it must be.
struct Near {
    path: PathBuf,
    _folder: Option<File>,
}

impl Near {
    fn to(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self {
                path: path.to_path_buf(),
                _folder: None,
            });
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = File::open(folder)?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
        Ok(Self {
            path: path.join(name),
            _folder: Some(folder),
        })
    }

    fn address(&self) -> io::Result<SockAddr> {
        SockAddr::unix(&self.path)
    }
}
