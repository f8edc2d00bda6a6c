use std::error::Error;
use std::{fmt, io};

use crate::error::NetError;

/// The receive paths that exist, the best first: the order in which `auto` tries them.
///
/// A path is never called by a better name than it has: AF_XDP is three rungs, by how the driver
/// hands the frames over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rung {
    /// AF_XDP, the driver writes into our memory.
    ZeroCopy = 1,
    /// AF_XDP, the driver's hook, frames copied.
    NativeCopy = 2,
    /// AF_XDP, the kernel's generic hook, frames copied.
    Generic = 3,
    /// A TPACKET_V3 ring of a packet socket.
    PacketMmap = 4,
    /// Kernel UDP sockets.
    Recvmmsg = 5,
}

impl Rung {
    /// All of them, the best first.
    pub const ALL: [Self; 5] = [
        Self::ZeroCopy,
        Self::NativeCopy,
        Self::Generic,
        Self::PacketMmap,
        Self::Recvmmsg,
    ];

    /// The true name, as operators read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroCopy => "af_xdp zero-copy",
            Self::NativeCopy => "af_xdp native copy",
            Self::Generic => "af_xdp generic",
            Self::PacketMmap => "packet_mmap",
            Self::Recvmmsg => "recvmmsg",
        }
    }

    /// Whether frames go around the kernel's IP stack, where tcpdump and `ss` cannot see them.
    pub fn is_af_xdp(self) -> bool {
        self <= Self::Generic
    }
}

/// What came of trying a rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungReport {
    /// Which.
    pub rung: Rung,
    /// Why it was refused; `None` for the one that runs.
    pub refusal: Option<NetErrorText>,
}

/// An error kept for later readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetErrorText {
    /// The system's number of it, where the system refused.
    pub errno: Option<i32>,
    /// The error and its causes.
    pub text: String,
}

impl From<&NetError> for NetErrorText {
    fn from(error: &NetError) -> Self {
        let (mut text, mut errno) = (error.to_string(), None);
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            let system = inner.downcast_ref::<io::Error>();
            errno = errno.or_else(|| system.and_then(io::Error::raw_os_error));
            cause = inner.source();
        }
        Self { errno, text }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal keeps the system's number and every cause; one of ours has no number.
    #[test]
    fn a_refusal_keeps_the_errno() {
        let refused = NetError::io("attach the program", io::Error::from_raw_os_error(95));
        let kept = NetErrorText::from(&refused);
        assert_eq!(kept.errno, Some(95));
        assert!(
            kept.text.starts_with("cannot attach the program: "),
            "{kept:?}"
        );
        let ours = NetError::config("port", 0, "1 to 65535");
        assert_eq!(NetErrorText::from(&ours).errno, None);
    }
}
