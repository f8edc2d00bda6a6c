//! The price model: where new orders go.
//!
//! Each instrument has a grid of 4,096 ticks of one cent. New orders are placed relative to the
//! best price of their own side and then kept on their side of the opposite one.

use tickdeck_wire::itch50::Side;

use super::book::{LEVELS, Touch};
use crate::Random;

/// Lowest and highest level of an order.
const LOWEST: i32 = 2;
const HIGHEST: i32 = LEVELS as i32 - 3;
/// Range of the middle.
const MIDDLE_RANGE: (i32, i32) = (1_000, 3_000);
/// How far an order may cross the middle.
const BEYOND_MIDDLE: i32 = 60;
/// One tick in Price(4): a cent.
const TICK: u32 = 100;

/// The grid of one instrument and where its middle is.
#[derive(Clone, Debug)]
pub(super) struct Prices {
    base_ticks: u32,
    middle: i32,
}

/// 55 %: 100; 20 %: 100 to 900 in hundreds; 25 %: 1 to 400.
pub(super) fn draw_quantity(random: &mut Random) -> u32 {
    let quantity = match random.unit() {
        0.0..0.55 => 100,
        0.55..0.75 => 100 * (1 + random.below(9)),
        _ => 1 + random.below(400),
    };
    // At most 900.
    quantity as u32
}

impl Prices {
    pub(super) fn new(random: &mut Random) -> Self {
        // At most 30,499.
        Self {
            base_ticks: 500 + random.below(30_000) as u32,
            middle: LEVELS as i32 / 2,
        }
    }

    /// Price(4) of a level.
    pub(super) fn price(&self, level: u16) -> u32 {
        (self.base_ticks + u32::from(level)) * TICK
    }

    /// Price(4) of the middle.
    pub(super) fn middle(&self) -> u32 {
        self.price(self.middle as u16)
    }

    /// Moves the middle by -1, 0 or 1 tick.
    pub(super) fn move_middle(&mut self, random: &mut Random) {
        let step = random.below(3) as i32 - 1;
        self.middle = (self.middle + step).clamp(MIDDLE_RANGE.0, MIDDLE_RANGE.1);
    }

    /// The level of a new order: 12 % improve the own touch by a tick or two, 33 % join it, 47 %
    /// stand a few ticks behind it, 8 % far behind. `None` when the grid has no room for it.
    pub(super) fn draw(&self, side: Side, touch: Touch, random: &mut Random) -> Option<u16> {
        let behind = match random.unit() {
            0.0..0.12 => -1 - random.below(2) as i32,
            0.12..0.45 => 0,
            0.45..0.92 => far(4.0, random),
            _ => far(60.0, random),
        };
        let level = match side {
            Side::Buy => {
                let own = touch.bid.map_or(self.middle - 1, i32::from);
                let limit = touch.ask.map_or(HIGHEST, |ask| i32::from(ask) - 1);
                (own - behind)
                    .min(self.middle + BEYOND_MIDDLE)
                    .clamp(LOWEST, HIGHEST)
                    .min(limit)
            }
            Side::Sell => {
                let own = touch.ask.map_or(self.middle + 1, i32::from);
                let limit = touch.bid.map_or(LOWEST, |bid| i32::from(bid) + 1);
                (own + behind)
                    .max(self.middle - BEYOND_MIDDLE)
                    .clamp(LOWEST, HIGHEST)
                    .max(limit)
            }
        };
        let level = (LOWEST..=HIGHEST).contains(&level).then_some(level)?;
        u16::try_from(level).ok()
    }

    /// One tick inside the opposite touch: the price of last resort.
    pub(super) fn inside(&self, side: Side, touch: Touch) -> u16 {
        match side {
            Side::Buy => touch.ask.map_or(self.middle as u16, |ask| ask - 1),
            Side::Sell => touch.bid.map_or(self.middle as u16, |bid| bid + 1),
        }
    }
}

fn far(mean: f64, random: &mut Random) -> i32 {
    i32::try_from(random.exponential(mean)).unwrap_or(i32::MAX / 2)
}
