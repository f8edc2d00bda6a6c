//! How a worker ends: the exit codes that its supervisor understands.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use tickdeck_stats::ExitReason;

/// Why a worker ended, as an exit code. Codes other than these (and deaths by signal) count as
/// crashes and are answered by a restart with backoff; the permanent ones never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Drained, sealed, clean.
    Clean = 0,
    /// A failure that a restart may cure.
    Failed = 1,
    /// Two inputs could not be compared: one of them cannot be read.
    Incomparable = 2,
    /// The replay was stopped before its end.
    Stopped = 3,
    /// A network interface or address is absent (EX_UNAVAILABLE). Permanent.
    Unavailable = 69,
    /// A file has a foreign layout or version (EX_PROTOCOL). Permanent.
    Layout = 76,
    /// A capability or permission is missing (EX_NOPERM). Permanent.
    Permission = 77,
    /// The spec or the configuration is invalid (EX_CONFIG). Permanent.
    Config = 78,
    /// Another worker holds the lock. Permanent.
    Locked = 125,
}

impl Code {
    /// The reason of the exit record that goes with this code.
    pub fn reason(self) -> ExitReason {
        match self {
            Self::Clean | Self::Stopped => ExitReason::Drained,
            Self::Failed | Self::Incomparable => ExitReason::Failed,
            Self::Unavailable => ExitReason::Absent,
            Self::Layout => ExitReason::Layout,
            Self::Permission => ExitReason::Capability,
            Self::Config => ExitReason::Config,
            Self::Locked => ExitReason::Locked,
        }
    }
}

/// An error that ends the worker: the text says what, where and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// For the log and the exit record.
    pub message: String,
}

impl Failure {
    /// A failure with `code`; the message should name what failed, where, and the remedy.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A failure that a restart may cure.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(Code::Failed, message.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (exit code {})", self.message, self.code as u8)
    }
}

impl Error for Failure {}

/// An error and its causes in one line: most errors name only the step that failed, and the cause
/// is what the operator needs.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Logs the failure, if any, and turns the result of a worker's `main` into its exit code.
pub fn finish(result: Result<Code, Failure>) -> ExitCode {
    let code = match result {
        Ok(code) => code,
        Err(failure) => {
            tracing::error!(code = failure.code as u8, "{}", failure.message);
            failure.code
        }
    };
    ExitCode::from(code as u8)
}
