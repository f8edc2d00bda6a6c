//! Where the exporter listens, or a subscriber that is dialled.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::dial::connect_unix;
use crate::exit::{Code, Failure};
use crate::spec::export::Endpoint;

/// A bound listener.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Name),
}

impl Listener {
    /// Binds before anything is started, so that a port that is taken fails the start.
    pub(crate) fn bind(endpoint: &Endpoint) -> Result<Self, Failure> {
        let bound = match endpoint {
            Endpoint::Tcp(host, port) => bind_tcp(host, *port),
            Endpoint::Unix(path) => bind_unix(path),
        };
        bound.map_err(|error| {
            Failure::new(Code::Unavailable, format!("listen on {endpoint}: {error}"))
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| address.to_string()),
            Self::Unix(_, name) => format!("unix:{}", name.path.display()),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// The name of our socket; removed when dropped, unless it has become another's.
#[derive(Debug)]
pub(crate) struct Name {
    pub(super) path: PathBuf,
    file: (u64, u64),
}

impl Drop for Name {
    fn drop(&mut self) {
        let path = self.path.display();
        match file_at(&self.path) {
            Ok(file) if file == self.file => {
                if let Err(error) = std::fs::remove_file(&self.path) {
                    tracing::warn!(%path, %error, "socket not removed");
                }
            }
            Ok(_) => tracing::warn!(%path, "another file is there now; it is not removed"),
            Err(error) => tracing::warn!(%path, %error, "socket is not there any more"),
        }
    }
}

fn bind_tcp(host: &str, port: u16) -> io::Result<Listener> {
    let listener = TcpListener::bind((host, port))?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Tcp(listener))
}

/// A socket that nobody answers on is what a killed process has left. Anything else at the path is
/// not ours to remove.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(file) if file.file_type().is_socket() => remove_stale(path)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file is there that is no socket; move it away, or choose another path",
            ));
        }
    }
    let listener = UnixListener::bind(path)?;
    let path = path.to_owned();
    let file = file_at(&path)?;
    let name = Name { path, file };
    rustix::fs::chmod(&name.path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, name))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match connect_unix(path, Instant::now()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "a socket that nobody answers on is removed");
            std::fs::remove_file(path)
        }
        // A full queue is a listener, too.
        Ok(_) => Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(in_use()),
        Err(error) => Err(error),
    }
}

fn in_use() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrInUse,
        "another process answers there; stop it, or choose another path",
    )
}

/// What a path names now.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    let file = std::fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &Path) -> Result<Listener, Failure> {
        Listener::bind(&Endpoint::Unix(path.to_owned()))
    }

    /// Only what a dead exporter has left is removed; whatever else is there stays, and the error says
    /// what to do.
    #[test]
    fn only_dead_sockets_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        drop(UnixListener::bind(&path).expect("binds"));
        assert!(path.exists(), "a dead socket");
        let alive = bind(&path).expect("takes its place");
        let failure = bind(&path).expect_err("is in use");
        assert!(
            failure.message.contains("another process answers"),
            "{failure:?}"
        );
        assert_eq!(failure.code, Code::Unavailable);
        drop(alive);
        assert!(!path.exists());

        std::fs::write(&path, "precious").expect("writes");
        let failure = bind(&path).expect_err("is no socket");
        assert!(failure.message.contains("no socket"), "{failure:?}");
        assert_eq!(std::fs::read(&path).expect("reads"), b"precious");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("links");
        bind(&link).expect_err("is a link");
        assert!(link.exists() && path.exists());
        let below = dir.path().join("below");
        std::fs::create_dir(&below).expect("creates");
        bind(&below).expect_err("is a directory");
    }

    /// One whose queue is full is alive.
    #[test]
    fn a_busy_socket_is_no_dead_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let _busy = crate::export::dial::full_listener(&path);
        let failure = bind(&path).expect_err("is in use");
        assert!(
            failure.message.contains("another process answers"),
            "{failure:?}"
        );
        assert!(path.exists());
    }

    /// The name goes with the listener, unless it is another's by then.
    #[test]
    fn a_name_of_others_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let ours = bind(&path).expect("binds");
        std::fs::remove_file(&path).expect("removes");
        let _theirs = UnixListener::bind(&path).expect("binds");
        drop(ours);
        assert!(path.exists());
    }
}
