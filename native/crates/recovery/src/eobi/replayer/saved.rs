//! What a replayer knows as bytes, little-endian, for a reader's snapshot.
//!
//! u32 last packet, u64 gaps, u8 1 when the numbers began again and no packet came since, u64 began;
//! u32 products, each i32 id, u8 suspect, u32 since, u32 next, u32 covered, u64 gaps, u64 began, and
//! the packets that are kept for it, see [`Kept::save`]. Without them a reader would refuse the cycle
//! that its receiver, who still has them, puts into the stream.

use super::super::Trust;
use super::super::kept::Kept;
use super::{Product, Replayer, ReplayerConfig};

impl Replayer {
    /// Appends what is known; not the counters.
    pub fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.last.to_le_bytes());
        out.extend_from_slice(&self.gaps.to_le_bytes());
        out.push(self.is_restarted.into());
        out.extend_from_slice(&self.began_ns.to_le_bytes());
        // Limited by the configuration to far less than 2^32.
        out.extend_from_slice(&(self.products.len() as u32).to_le_bytes());
        for (id, product) in &self.products {
            let (is_suspect, since) = match product.trust {
                Trust::Suspect { since } => (1, since),
                // A product is only rebuilt within one call.
                Trust::Good | Trust::Rebuilding => (0, 0),
            };
            out.extend_from_slice(&id.to_le_bytes());
            out.push(is_suspect);
            for number in [since, product.next, product.covered] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&product.gaps.to_le_bytes());
            out.extend_from_slice(&product.began_ns.to_le_bytes());
            product.kept.save(out);
        }
    }

    /// A replayer that knows what was written, read from the front of the bytes, which then begin
    /// behind it.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn restore(config: ReplayerConfig, saved: &mut &[u8]) -> Result<Self, &'static str> {
        let mut replayer = Self::new(config);
        replayer.last = u32::from_le_bytes(taken(saved)?);
        replayer.gaps = u64::from_le_bytes(taken(saved)?);
        replayer.is_restarted = taken(saved)? != [0];
        replayer.began_ns = u64::from_le_bytes(taken(saved)?);
        for _ in 0..u32::from_le_bytes(taken(saved)?) {
            let id = i32::from_le_bytes(taken(saved)?);
            let [is_suspect] = taken(saved)?;
            let since = u32::from_le_bytes(taken(saved)?);
            let product = Product {
                trust: match is_suspect {
                    0 => Trust::Good,
                    1 => Trust::Suspect { since },
                    _ => return Err("EOBI: a trust that is neither good nor suspect"),
                },
                next: u32::from_le_bytes(taken(saved)?),
                covered: u32::from_le_bytes(taken(saved)?),
                gaps: u64::from_le_bytes(taken(saved)?),
                began_ns: u64::from_le_bytes(taken(saved)?),
                kept: Kept::restore(saved)?,
            };
            if product.next == 0 {
                return Err("EOBI: a product whose next message has no number");
            }
            replayer.kept_bytes += product.kept.bytes();
            let is_full = replayer.products.len() >= config.max_products;
            if is_full || replayer.products.insert(id, product).is_some() {
                return Err("EOBI: more products than there is room for, or one twice");
            }
        }
        Ok(replayer)
    }
}

/// Takes the first bytes away.
pub(in super::super) fn taken<const N: usize>(saved: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let cut = "EOBI: the numbers of the products are cut";
    let (taken, rest) = saved.split_first_chunk().ok_or(cut)?;
    *saved = rest;
    Ok(*taken)
}
