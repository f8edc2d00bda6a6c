//! Changes inputs a little, by a seed: what libFuzzer does, small and without its eyes.

use tickdeck_sim::Random;

/// Longest input that is made.
const MOST_BYTES: usize = 4_096;
/// Values at which code that counts and measures goes wrong.
const EDGES: [u64; 8] = [
    0,
    1,
    0x7F,
    0xFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    u64::MAX,
];

/// Makes inputs from seeds. The same seed number gives the same inputs.
#[derive(Clone, Debug)]
pub struct Mutator {
    random: Random,
}

impl Mutator {
    /// A mutator for one input; inputs of different numbers have nothing to do with one another.
    pub fn new(seed: u64, execution: u64) -> Self {
        Self {
            random: Random::new(tickdeck_sim::mix(seed, execution)),
        }
    }

    /// One of the seeds, changed in 1 to 8 places.
    ///
    /// # Panics
    /// When there is no seed.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.index(seeds.len())].clone();
        for _ in 0..=self.index(8) {
            let other = &seeds[self.index(seeds.len())];
            self.change(&mut bytes, other);
        }
        bytes.truncate(MOST_BYTES);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        if bytes.is_empty() {
            bytes.extend_from_slice(other);
            return;
        }
        let at = self.index(bytes.len());
        match self.index(10) {
            0 => bytes[at] ^= 1 << self.index(8),
            1 => bytes[at] = self.byte(),
            2 => bytes.truncate(at),
            3 => self.insert(bytes, at),
            4 => {
                let end = (at + 1 + self.index(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => self.repeat(bytes, at),
            6 => self.splice(bytes, at, other),
            7 => self.overwrite(bytes, at),
            8 => self.add_a_little(bytes, at),
            _ => self.lengthen_a_field(bytes, at),
        }
    }

    fn insert(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let inserted: Vec<u8> = (0..=self.index(16)).map(|_| self.byte()).collect();
        bytes.splice(at..at, inserted);
    }

    fn repeat(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let end = (at + 1 + self.index(64)).min(bytes.len());
        let again = bytes[at..end].to_vec();
        bytes.splice(end..end, again);
    }

    /// Goes on with another seed from somewhere in it.
    fn splice(&mut self, bytes: &mut Vec<u8>, at: usize, other: &[u8]) {
        bytes.truncate(at);
        if !other.is_empty() {
            bytes.extend_from_slice(&other[self.index(other.len())..]);
        }
    }

    /// Puts an edge value of 1 to 8 bytes, in either order.
    fn overwrite(&mut self, bytes: &mut [u8], at: usize) {
        let value = EDGES[self.index(EDGES.len())];
        let width = 1 << self.index(4);
        let word = match self.index(2) {
            0 => value.to_le_bytes(),
            _ => (value << (64 - 8 * width)).to_be_bytes(),
        };
        for (place, byte) in bytes[at..].iter_mut().zip(&word[..width]) {
            *place = *byte;
        }
    }

    fn add_a_little(&mut self, bytes: &mut [u8], at: usize) {
        // -8 to 8 as the low byte of a difference.
        let difference = (self.index(17) as u8).wrapping_sub(8);
        bytes[at] = bytes[at].wrapping_add(difference);
    }

    /// Inserts or takes bytes and adds as many to a number of two bytes before: a length that still
    /// fits what changed.
    fn lengthen_a_field(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let count = 1 + self.index(8);
        let Some(field) = at.checked_sub(2 + self.index(8)) else {
            return;
        };
        let is_big_endian = self.index(2) == 0;
        let pair = [bytes[field], bytes[field + 1]];
        let length = match is_big_endian {
            true => u16::from_be_bytes(pair),
            false => u16::from_le_bytes(pair),
        };
        // At most 8.
        let length = length.wrapping_add(count as u16);
        let pair = match is_big_endian {
            true => length.to_be_bytes(),
            false => length.to_le_bytes(),
        };
        bytes[field..field + 2].copy_from_slice(&pair);
        let inserted: Vec<u8> = (0..count).map(|_| self.byte()).collect();
        bytes.splice(at..at, inserted);
    }

    fn index(&mut self, bound: usize) -> usize {
        // Below a bound that came from a usize.
        self.random.below(bound as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        // The low byte of any number.
        self.random.next_u64() as u8
    }
}
