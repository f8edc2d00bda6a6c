//! Opening the journal for writing: the mode that the exchange file asks for, and an event for each
//! thing that was found or done.

use tickdeck_journal::{JournalError, RecoveryMode, RecoveryReport, Writer, WriterConfig};

use crate::spec::journal::RecoveryMode as Configured;

/// Opens the journal. What recovery found and changed goes to the log, whether it opened or not; the
/// same is in the journal's `recovery-report.json`.
pub(super) fn open_journal(
    config: &WriterConfig,
    mode: RecoveryMode,
) -> Result<(Writer, RecoveryReport), JournalError> {
    let opened = Writer::open_with(config.clone(), mode);
    match &opened {
        Ok((_, report)) => tell(report),
        Err(JournalError::Refused { report }) => tell(report),
        Err(_) => {}
    }
    opened
}

/// The journal's word for the mode of the exchange file.
pub(super) fn recovery_mode(mode: Configured) -> RecoveryMode {
    match mode {
        Configured::Strict => RecoveryMode::Strict,
        Configured::Tail => RecoveryMode::Tail,
        Configured::PointInTime => RecoveryMode::PointInTime,
    }
}

fn tell(report: &RecoveryReport) {
    for problem in &report.problems {
        tracing::warn!(
            file = problem.file,
            offset = problem.offset,
            class = problem.class.name(),
            from = problem.from,
            to = problem.to,
            detail = problem.detail,
            "journal recovery: problem"
        );
    }
    for action in &report.actions {
        tracing::warn!(
            file = action.file,
            offset = action.offset,
            bytes = action.bytes,
            action = action.action,
            class = action.class.map(|class| class.name()),
            from = action.from,
            to = action.to,
            "journal recovery: action"
        );
    }
}
