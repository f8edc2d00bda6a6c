use std::io;
use std::net::IpAddr;

/// What the network side could not do, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A value of the configuration is out of its range.
    #[error("{field} {value} is not allowed: {expected}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A socket option could not be applied.
    #[error("cannot set {option} to {value}: {remedy}")]
    Option {
        /// Name of the option: "SO_RCVBUF", "IP_ADD_MEMBERSHIP", …
        option: &'static str,
        /// The value that was asked for.
        value: String,
        /// What the operator can do.
        remedy: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel gave a smaller receive buffer than was asked for.
    #[error(
        "SO_RCVBUF of {requested} bytes was capped at {effective} by net.core.rmem_max: run \
         `sysctl -w net.core.rmem_max={requested}`, or give the worker CAP_NET_ADMIN"
    )]
    ReceiveBufferCapped {
        /// Bytes asked for.
        requested: usize,
        /// Bytes granted.
        effective: usize,
    },
    /// No interface has this name.
    #[error("no interface {name:?} on this host; it has {available}")]
    NoInterface {
        /// Name asked for.
        name: String,
        /// Names that exist, comma separated.
        available: String,
    },
    /// The interface exists but has no IPv4 address.
    #[error("interface {name:?} has no IPv4 address: run `ip address add ADDRESS/LEN dev {name}`")]
    NoAddress {
        /// Name of the interface.
        name: String,
    },
    /// No interface of this host has this address.
    #[error("no interface of this host has address {address}; it has {available}")]
    NotLocal {
        /// Address asked for.
        address: IpAddr,
        /// Addresses that exist, comma separated.
        available: String,
    },
    /// A limit or capability forbids it.
    #[error("cannot {doing}: {remedy}")]
    Permission {
        /// What was being done.
        doing: String,
        /// What the operator can do.
        remedy: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Another XDP program is on the interface; it is left alone.
    #[error(
        "interface {interface:?} has an XDP program of somebody else, id {program_id}: see \
         `bpftool prog show id {program_id}`; end its owner, or run \
         `ip link set dev {interface} xdp off`, or choose another receive path"
    )]
    ForeignProgram {
        /// The interface.
        interface: String,
        /// The kernel's id of the program.
        program_id: u32,
        /// The system's reason.
        source: io::Error,
    },
    /// The interface was removed while a line was received on it.
    #[error(
        "interface {interface:?} was removed: bring it back (`ip link`), then restart the worker"
    )]
    Gone {
        /// The interface.
        interface: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A BPF program or map was refused.
    #[error("cannot {doing}: {detail}")]
    Bpf {
        /// What was being done.
        doing: &'static str,
        /// What the loader or the kernel's verifier said.
        detail: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Any other operation that failed.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl NetError {
    /// The system's error number, where the system refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Option { source, .. }
            | Self::Permission { source, .. }
            | Self::ForeignProgram { source, .. }
            | Self::Gone { source, .. }
            | Self::Bpf { source, .. }
            | Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    pub(crate) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.errno() == Some(errno.raw_os_error())
    }

    pub(crate) fn config(
        field: &'static str,
        value: impl ToString,
        expected: &'static str,
    ) -> Self {
        Self::Config {
            field,
            value: value.to_string(),
            expected,
        }
    }

    pub(crate) fn io(doing: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Io {
            doing,
            source: source.into(),
        }
    }

    /// For `map_err` behind setting an option.
    pub(crate) fn option(
        option: &'static str,
        value: impl ToString,
        remedy: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let value = value.to_string();
        move |source| Self::Option {
            option,
            value,
            remedy,
            source,
        }
    }
}
