use std::fmt;

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

impl fmt::Display for Rung {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
