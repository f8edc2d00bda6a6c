//! Segments, checkpoints and pins of the journal.

use tickdeck_journal::{BOOK_PIN, Codec, Pin, fuzz};

use crate::targets::journal::{BLOCK_LEN, HEADER_LEN, TRAILER_LEN};

/// STATE, its length as a `u16` before it, and one segment: sealed, left open, and of each codec;
/// then the first two with numbers at the ends of their range, whose checksums are wrong.
pub(crate) fn journal_logs() -> Vec<Vec<u8>> {
    let mut logs = whole_journal_logs();
    for log in [logs[0].clone(), logs[1].clone()] {
        let segment = 2 + STATE_LEN;
        let words = (2 + STATE_LEN / 2..log.len() - 8).step_by(8);
        let is_number = |at: &usize| {
            let payload = (segment + HEADER_LEN + BLOCK_LEN..log.len() - 8 * 80).contains(at);
            !payload
        };
        for at in words.filter(is_number) {
            for value in [0, u64::MAX >> 1, u64::MAX] {
                let mut bytes = log.clone();
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                logs.push(bytes);
            }
        }
    }
    logs
}

/// Those of the logs that are without fault.
fn whole_journal_logs() -> Vec<Vec<u8>> {
    let log = |codec, is_sealed| {
        let (segment, state) = fuzz::segment(codec, is_sealed);
        let length = (state.len() as u16).to_le_bytes();
        [&length[..], &state, &segment].concat()
    };
    let codecs = [Codec::None, Codec::Lz4, Codec::Zstd];
    let both = |codec| [log(codec, true), log(codec, false)];
    codecs.into_iter().flat_map(both).collect()
}

/// The sequence of the first record, their number, and the records of one block.
pub(crate) fn journal_blocks() -> Vec<Vec<u8>> {
    let (segment, _) = fuzz::segment(Codec::None, false);
    let mut blocks = Vec::new();
    let mut rest = &segment[HEADER_LEN..];
    while rest.len() > BLOCK_LEN {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four"));
        let (stored, pad) = (word(8) as usize, usize::from(rest[30]));
        let payload = &rest[BLOCK_LEN..BLOCK_LEN + stored];
        blocks.push([&rest[16..28], payload].concat());
        rest = &rest[BLOCK_LEN + stored + pad..];
    }
    let mut last = blocks[0].clone();
    last[..8].fill(0xFF);
    blocks.push(last);
    blocks
}

/// A SEAL block with its trailer.
pub(crate) fn journal_seals() -> Vec<Vec<u8>> {
    let (segment, _) = fuzz::segment(Codec::None, true);
    let trailer = segment.len() - TRAILER_LEN;
    let at = u64::from_le_bytes(
        segment[trailer + 8..trailer + 16]
            .try_into()
            .expect("eight"),
    );
    vec![segment[at as usize..].to_vec()]
}

/// STATE files.
pub(crate) fn journal_states() -> Vec<Vec<u8>> {
    let state = |is_sealed| fuzz::segment(Codec::None, is_sealed).1;
    vec![state(true), state(false)]
}

/// RETENTION files.
pub(crate) fn journal_retentions() -> Vec<Vec<u8>> {
    vec![fuzz::sample_retention()]
}

/// Files of pins.
pub(crate) fn journal_pins() -> Vec<Vec<u8>> {
    let pin = |client: &str, lost| Pin {
        client: client.into(),
        acked_seq: 1_000,
        retain_max_bytes: 1 << 30,
        retain_max_age_s: 86_400,
        acked_ns: 1_700_000_000_000_000_000,
        lost,
    };
    let pins = [pin(BOOK_PIN, false), pin("replica-1", true)];
    let mut texts: Vec<_> = pins.iter().map(fuzz::pin_text).collect();
    texts.push(br#"{"client":"a","acked_seq":0}"#.to_vec());
    texts
}

/// A codec, the length of what it stands for, and what it made.
pub(crate) fn journal_stored() -> Vec<Vec<u8>> {
    let texts = [vec![0x5A; 4_000], b"tickdeck journal ".repeat(60)];
    let mut seeds = vec![[&[0, 4, 0, 0, 0], &b"four"[..]].concat()];
    for (codec, raw) in [Codec::Lz4, Codec::Zstd]
        .into_iter()
        .flat_map(|codec| texts.iter().map(move |raw| (codec, raw)))
    {
        let stored = fuzz::compressed(codec, raw).expect("repeats itself");
        let length = (raw.len() as u32).to_le_bytes();
        seeds.push([&[codec.code()], &length[..], &stored].concat());
    }
    seeds
}

const STATE_LEN: usize = 1024;
