//! The ticks of a spec: exact decimals, by name of the instrument.

use serde::{Deserialize, Deserializer, de};
use tickdeck_book::{Decimal, TickRule, TickRules};

/// The tick of one instrument.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// Symbol of the instrument, or its number in digits.
    pub instrument: String,
    /// Step between two prices, below the first band.
    #[serde(deserialize_with = "decimal")]
    pub tick_size: Decimal,
    /// Other ticks, each from its price on.
    pub bands: Vec<Band>,
}

/// Another tick from a price on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// First price of the band.
    #[serde(deserialize_with = "decimal")]
    pub from_price: Decimal,
    /// Step between two prices of the band.
    #[serde(deserialize_with = "decimal")]
    pub tick_size: Decimal,
}

/// The most decimals that a venue's prices have (CME MDP 3.0, PRICE9).
const DECIMALS_MAX: u8 = 9;

impl Tick {
    /// The rule as the books take it.
    pub fn rule(&self) -> TickRule {
        TickRule {
            base: self.tick_size,
            bands: self
                .bands
                .iter()
                .map(|band| (band.from_price, band.tick_size))
                .collect(),
        }
    }

    /// What the types cannot hold: sizes above 0, bands in order.
    pub(super) fn check(&self) -> Result<(), String> {
        let table = self.rule().table(DECIMALS_MAX);
        table
            .map(|_| ())
            .map_err(|error| format!("book.ticks of {:?}: {error}", self.instrument))
    }
}

/// The rules of a list of ticks; the last one of an instrument counts.
pub fn rules(ticks: &[Tick]) -> TickRules {
    let mut rules = TickRules::default();
    for tick in ticks {
        rules.insert(&tick.instrument, tick.rule());
    }
    rules
}

fn decimal<'de, D: Deserializer<'de>>(input: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(input)?;
    text.parse().map_err(de::Error::custom)
}
