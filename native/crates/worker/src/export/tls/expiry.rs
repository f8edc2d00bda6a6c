//! Warns before a certificate expires: 30, 7 and 1 days before, and when it has.

use std::fmt;

/// A warning that is due, once for each threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpiryWarning {
    /// It expires within so many days.
    Within {
        /// 30, 7 or 1.
        days: i64,
    },
    /// It has expired: new sessions are refused.
    Expired,
}

impl fmt::Display for ExpiryWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within { days } => write!(f, "expires within {days} days"),
            Self::Expired => f.write_str("has expired: no new session is begun with it"),
        }
    }
}

/// Remembers what was warned of.
#[derive(Debug, Default)]
pub(crate) struct ExpiryWatch {
    warned: Option<ExpiryWarning>,
}

impl ExpiryWatch {
    /// The warning for a certificate with so many seconds left, if it is a new one. Another, longer
    /// lived certificate begins again.
    pub(crate) fn look(&mut self, expires_s: i64) -> Option<ExpiryWarning> {
        let due = if expires_s < 0 {
            Some(ExpiryWarning::Expired)
        } else {
            let reached = |days: &&i64| expires_s <= **days * DAY_S;
            THRESHOLDS_DAYS
                .iter()
                .find(reached)
                .map(|&days| ExpiryWarning::Within { days })
        };
        let is_new = due != self.warned;
        self.warned = due;
        due.filter(|_| is_new)
    }
}

/// The nearest first.
const THRESHOLDS_DAYS: [i64; 3] = [1, 7, 30];
const DAY_S: i64 = 86_400;
