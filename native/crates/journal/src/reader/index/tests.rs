//! What a look takes for known although it is not.

use super::*;
use crate::crash_tests::scratch;
use crate::policy::SyncPolicy;
use crate::reader::blocks::{BlockCursor, BlockStep};
use crate::writer::{Record, Writer, WriterConfig};

/// Where number and time of a file are those of another that was there before, the first reader that
/// opens it finds out, and so does who follows the tail; the next look knows.
#[test]
fn a_wrong_header_is_forgotten() {
    let home = scratch();
    let config = WriterConfig::new(home.path(), 1 << 20, SyncPolicy::Os, 1);
    let mut writer = Writer::open(config).expect("opens").0;
    let record = Record {
        kind: 1,
        stamp: 1,
        line: 0,
        channel: 3,
        venue_seq: 1,
        rx_ns: 1,
        payload: b"a record",
    };
    writer.append(&record).expect("appends");
    writer.flush().expect("writes");
    for follows_tail in [false, true] {
        let mut index = SegmentIndex::open(home.path()).expect("looks");
        let name = directory::segment_name(1);
        let file = index.files.get_mut(&name).expect("is known");
        let right = file.header.clone().expect("a segment");
        file.header = Some(SegmentHeader {
            created_ns: right.created_ns - 1,
            ..right.clone()
        });
        index.look().expect("looks");
        let header = |index: &SegmentIndex| index.shared.map().places[0].header.clone();
        assert_ne!(header(&index), right);
        let mut cursor = BlockCursor::over(&index.shared(), 1).expect("opens");
        if follows_tail {
            index.follow_tail(u64::MAX).expect("reads");
        } else {
            assert_eq!(cursor.next(1).expect("reads"), BlockStep::End);
        }
        index.look().expect("looks");
        assert_eq!(header(&index), right);
        let step = cursor.next(1).expect("reads");
        assert!(matches!(step, BlockStep::Block(_)), "{step:?}");
    }
}
