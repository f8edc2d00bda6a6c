//! Exact decimals, as a file writes prices; never a float.

use std::str::FromStr;

use thiserror::Error;

/// A decimal number: a mantissa and how many of its digits stand behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i64,
    decimals: u8,
}

/// Why a text is no [`Decimal`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no decimal number; write up to 9 digits, and up to 9 more behind a point, as 0.01"
)]
pub struct DecimalError {
    text: String,
}

/// Digits before the point, and as many behind it: together they fit into an `i64`.
const DIGITS_MAX: usize = 9;

impl Decimal {
    /// The number as an integer of a scale with so many decimals; `None` when it is finer than
    /// the scale, or does not fit.
    pub fn scaled(self, decimals: u8) -> Option<i64> {
        if decimals >= self.decimals {
            let factor = 10_i64.checked_pow(u32::from(decimals - self.decimals))?;
            return self.mantissa.checked_mul(factor);
        }
        let divisor = 10_i64.checked_pow(u32::from(self.decimals - decimals))?;
        (self.mantissa % divisor == 0).then_some(self.mantissa / divisor)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads digits with at most one point between them and a minus before them: no exponent, no
    /// separator of thousands.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        parse(text).ok_or_else(|| DecimalError {
            text: text.to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<Decimal> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let is_number = |part: &str| {
        (1..=DIGITS_MAX).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(whole) || !fraction.is_none_or(is_number) {
        return None;
    }
    let fraction = fraction.unwrap_or("");
    let mantissa = whole
        .bytes()
        .chain(fraction.bytes())
        .fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
    Some(Decimal {
        mantissa: sign * mantissa,
        decimals: fraction.len() as u8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(text: &str, decimals: u8) -> Option<i64> {
        text.parse::<Decimal>().expect(text).scaled(decimals)
    }

    /// Every digit arrives, in any scale that holds it; a finer number is not rounded.
    #[test]
    fn decimals_are_exact() {
        assert_eq!(scaled("0.01", 4), Some(100));
        assert_eq!(scaled("0.1", 8), Some(10_000_000));
        assert_eq!(scaled("-12.50", 1), Some(-125));
        assert_eq!(scaled("0.015625", 9), Some(15_625_000));
        assert_eq!(scaled("0.015625", 4), None);
        assert_eq!(
            scaled("999999999.999999999", 9),
            Some(999_999_999_999_999_999)
        );
        assert_eq!(scaled("999999999", 12), None);
        assert_eq!(scaled("7", 0), Some(7));
    }

    /// What is no plain decimal is refused with its text.
    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "-",
            ".5",
            "5.",
            "1e-2",
            "0,01",
            "+1",
            "1.2.3",
            " 1",
            "1 ",
            "--1",
            "0x1",
            "1234567890",
            "0.1234567890",
            "٣",
        ] {
            let error = text.parse::<Decimal>().expect_err(text);
            assert!(
                error.to_string().contains("write up to 9 digits"),
                "{error}"
            );
        }
    }
}
