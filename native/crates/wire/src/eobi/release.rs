//! The releases of the interface that this crate has layouts of.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A release of the interface. Layouts depend on it and packets do not name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// 6.0: quantities are `i32` whole numbers.
    V6_0,
    /// 14.1: quantities are `i64` in units of 10⁻⁴.
    V14_1,
}

/// Text that names no known release.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no known EOBI release; use \"14.1\" or \"6.0\"")]
pub struct ReleaseError {
    text: String,
}

impl Release {
    /// Every release there is a layout of.
    pub const ALL: [Self; 2] = [Self::V6_0, Self::V14_1];

    /// BodyLen of OrderAdd, by which a wrong setting shows.
    const fn order_add_len(self) -> usize {
        match self {
            Self::V6_0 => 48,
            Self::V14_1 => 56,
        }
    }

    /// Whether a message proves that the packet is of another release that is known here.
    pub(super) fn denies(self, template_id: u16, body_len: usize) -> bool {
        const ORDER_ADD: u16 = 13_100;
        let is_of = |release: Self| release.order_add_len() == body_len;
        template_id == ORDER_ADD && !is_of(self) && Self::ALL.into_iter().any(is_of)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_0 => "6.0",
            Self::V14_1 => "14.1",
        })
    }
}

impl FromStr for Release {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let named = |release: &Self| release.to_string() == text;
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| ReleaseError {
                text: text.to_owned(),
            })
    }
}
