use std::fmt;
use std::io;

/// Why there is no testbed, or why it does not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestbedError {
    /// This host or this process cannot have one: a test skips.
    #[error("no testbed: {0}")]
    Unavailable(Unavailable),
    /// A command of the testbed failed: a test fails.
    #[error("`{command}` failed: {stderr}")]
    Command {
        /// As it was run.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// The two ends of the veth pair were not up in time.
    #[error("{interface} is not up after {waited_ms} ms")]
    NotUp {
        /// Name of the interface.
        interface: &'static str,
        /// How long was waited.
        waited_ms: u128,
    },
    /// Any other operation that failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// What is missing for a testbed, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// The process is not root.
    NotRoot,
    /// There is no `ip` command.
    NoIp,
    /// Namespaces cannot be made; what `ip netns add` said.
    NoNamespaces(String),
    /// A veth pair cannot be made; what `ip link add` said.
    NoVeth(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => formatter.write_str("not root (run it with sudo)"),
            Self::NoIp => formatter.write_str("no `ip` command (install iproute2)"),
            Self::NoNamespaces(reason) => write!(
                formatter,
                "no network namespaces (CAP_SYS_ADMIN is needed): {reason}"
            ),
            Self::NoVeth(reason) => write!(
                formatter,
                "no veth pair (CAP_NET_ADMIN and the kernel's veth driver are needed): {reason}"
            ),
        }
    }
}

impl TestbedError {
    pub(crate) fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            doing: doing.into(),
            source: source.into(),
        }
    }
}
