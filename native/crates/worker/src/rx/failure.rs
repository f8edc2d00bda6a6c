//! Errors of the parts, as exit codes that the supervisor understands.

use std::io;

use tickdeck_journal::JournalError;
use tickdeck_net::NetError;

use crate::exit::{Code, Failure, chain};

/// What is absent or forbidden stays so until somebody changes it; the rest may be cured by a
/// restart.
pub(super) fn net_failure(error: &NetError) -> Failure {
    let code = match error {
        NetError::Config { .. } => Code::Config,
        NetError::NoInterface { .. } | NetError::NoAddress { .. } | NetError::NotLocal { .. } => {
            Code::Unavailable
        }
        // A removed interface may come back, so a restart is worth the try.
        NetError::Gone { .. } => Code::Failed,
        NetError::ForeignProgram { .. } => Code::Unavailable,
        NetError::ReceiveBufferCapped { .. } | NetError::Permission { .. } => Code::Permission,
        NetError::Option { source, .. }
        | NetError::Bpf { source, .. }
        | NetError::Io { source, .. } => io_code(source),
        _ => Code::Failed,
    };
    Failure::new(code, chain(error))
}

/// A locked or damaged journal stays so until somebody looks at it.
pub(super) fn journal_failure(error: &JournalError) -> Failure {
    let code = match error {
        JournalError::Locked { .. } => Code::Locked,
        JournalError::BadSetting { .. } => Code::Config,
        JournalError::Refused { .. } | JournalError::Damaged(_) => Code::Layout,
        JournalError::Io { source, .. } => io_code(source),
        _ => Code::Failed,
    };
    Failure::new(code, chain(error))
}

fn io_code(error: &io::Error) -> Code {
    use rustix::io::Errno;
    let is_any_of = |list: &[Errno]| {
        let is_it = |errno: &Errno| error.raw_os_error() == Some(errno.raw_os_error());
        list.iter().any(is_it)
    };
    match error.kind() {
        io::ErrorKind::PermissionDenied => Code::Permission,
        io::ErrorKind::AddrNotAvailable => Code::Unavailable,
        // A driver learns nothing new by a restart either.
        _ if is_any_of(&[Errno::NODEV, Errno::OPNOTSUPP]) => Code::Unavailable,
        _ => Code::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exit code follows from what is wrong, and the text names the cause too.
    #[test]
    fn codes_follow_the_cause() {
        let code = |source: io::Error| {
            net_failure(&NetError::Io {
                doing: "open a UDP socket",
                source,
            })
        };
        let denied = code(io::Error::from_raw_os_error(1));
        assert_eq!(denied.code, Code::Permission);
        assert!(denied.message.contains("open a UDP socket: "), "{denied}");
        let absent = code(io::Error::from_raw_os_error(99));
        assert_eq!(absent.code, Code::Unavailable);
        assert_eq!(
            code(io::Error::from_raw_os_error(19)).code,
            Code::Unavailable
        );
        assert_eq!(
            code(io::Error::from_raw_os_error(95)).code,
            Code::Unavailable
        );
        assert_eq!(code(io::Error::from_raw_os_error(5)).code, Code::Failed);
    }

    /// Another writer stays; a round of pruning ends by itself, and a restart finds it gone.
    #[test]
    fn a_repair_beside_pruning_is_tried_again() {
        let (dir, holder) = (std::path::PathBuf::from("journal"), "pid 1".to_owned());
        let locked = JournalError::Locked {
            dir: dir.clone(),
            holder: holder.clone(),
        };
        assert_eq!(journal_failure(&locked).code, Code::Locked);
        let pruning = JournalError::Pruning { dir, holder };
        assert_eq!(journal_failure(&pruning).code, Code::Failed);
    }
}
