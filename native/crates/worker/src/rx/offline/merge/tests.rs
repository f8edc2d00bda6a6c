//! Generated channels whose losses, races and copies are known.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tickdeck_wire::cme::{self, PriceChange};
use tickdeck_wire::eobi::Release;
use tickdeck_wire::moldudp64::{PacketBuilder, Session, heartbeat};

use super::*;

const SESSION: Session = Session(*b"CAPTURED01");

/// A datagram of a line: when, which line, what.
type Datagram = (u64, u8, Vec<u8>);

fn accounts(datagrams: &[Datagram], wire: Wire, drops: &[String]) -> Vec<Account> {
    let drops = Drops::parse_all(drops).expect("drops");
    run(&Arrivals::of_channel(datagrams), 0, wire, &drops).expect("limits are in range")
}

fn account(datagrams: &[Datagram], wire: Wire, drops: &[String]) -> Account {
    let mut accounts = accounts(datagrams, wire, drops);
    assert_eq!(accounts.len(), 1, "one session");
    accounts.remove(0)
}

/// Both lines of a CME channel of nine instruments, in no order: packets `first` to, not including,
/// `first + count`, sent a millisecond apart. Four times of five line A is first.
fn cme(seed: u64, first: u32, count: u32) -> Vec<Datagram> {
    cme_at(seed, first, count, 0)
}

/// The same, so many milliseconds later.
fn cme_at(seed: u64, first: u32, count: u32, begin_ms: u64) -> Vec<Datagram> {
    let mut builder = cme::PacketBuilder::new(1_400);
    let mut datagrams = Vec::new();
    for sequence in first..first + count {
        let sent_ns = (begin_ms + u64::from(sequence)) * 1_000_000;
        let change = PriceChange {
            price: 1,
            size: 1,
            security_id: (sequence % 9) as i32,
            rpt_seq: sequence / 9 + 1,
            orders: 1,
            level: 1,
            action: 0,
            kind: b'0',
        };
        builder.begin(sequence, sent_ns);
        assert!(builder.book(cme::template::BOOK_9, sent_ns, &[change], &[]));
        // Spreads seed and number over all bits.
        let mixed = (seed ^ u64::from(sequence)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let lead_ns = 1 + mixed % 900;
        let (a, b) = match mixed / 900 % 5 {
            0 => (lead_ns, 0),
            _ => (0, lead_ns),
        };
        datagrams.push((sent_ns + b, 1, builder.finish().to_vec()));
        datagrams.push((sent_ns + a, 0, builder.finish().to_vec()));
    }
    datagrams
}

/// Both lines of a MoldUDP64 session from message 1 on, in packets of these sizes; line B cuts
/// its packets as A does and comes later, or first when `b_first` says so.
fn mold(sizes: &[u16], b_first: &[bool]) -> Vec<Datagram> {
    let mut builder = PacketBuilder::new(SESSION, 1_400);
    let (mut datagrams, mut next) = (Vec::new(), 1);
    for (index, size) in sizes.iter().enumerate() {
        builder.begin(next);
        for number in next..next + u64::from(*size) {
            assert!(builder.push(&number.to_be_bytes()));
        }
        next += u64::from(*size);
        let at_ns = 1_000_000 * index as u64 + 1_000;
        let (a, b) = if b_first[index] { (500, 0) } else { (0, 500) };
        datagrams.push((at_ns + a, 0, builder.finish().to_vec()));
        datagrams.push((at_ns + b, 1, builder.finish().to_vec()));
    }
    datagrams
}

/// The numbers that every list of ranges has, as ranges, within `first..=last`.
fn common(lists: &[&[(u64, u64)]], first: u64, last: u64) -> Vec<(u64, u64)> {
    let has =
        |ranges: &[(u64, u64)], number| ranges.iter().any(|(a, b)| (*a..=*b).contains(&number));
    let lost = (first..=last).filter(|number| lists.iter().all(|list| has(list, *number)));
    let mut ranges: Vec<_> = lost.map(|number| (number, number)).collect();
    join(&mut ranges);
    ranges
}

fn count(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(first, last)| last - first + 1).sum()
}

fn arguments(line: &str, ranges: &[(u64, u64)]) -> Vec<String> {
    ranges
        .iter()
        .map(|(first, last)| format!("{line}:{first}-{last}"))
        .collect()
}

/// A whole channel has no gap, each number is a duplicate once, and who was first and by how much
/// is what the times say, also of the very first numbers.
#[test]
fn a_whole_channel_is_accounted_for() {
    let datagrams = cme(3, 1_000, 300);
    let found = account(&datagrams, Wire::CmeMdp3, &[]);
    assert_eq!(found.range, Some((1_000, 1_299)));
    let mut times = BTreeMap::<Vec<u8>, [u64; 2]>::new();
    for (at_ns, line, packet) in &datagrams {
        times.entry(packet.clone()).or_default()[usize::from(*line)] = *at_ns;
    }
    let first_a = times.values().filter(|[a, b]| a <= b).count() as u64;
    let line = |first| LineAccount {
        packets: 300,
        first,
        lost: 0,
    };
    assert_eq!(found.lines, [line(first_a), line(300 - first_a)]);
    assert!(first_a > 150 && first_a < 300, "both lines win");
    assert_eq!(
        (found.duplicates, found.conflicts, found.uncompared),
        (300, 0, 0)
    );
    assert_eq!((found.gaps.len(), found.rejected.len()), (0, 0));
    let mut skews: Vec<_> = times.values().map(|[a, b]| *b as i64 - *a as i64).collect();
    skews.sort_unstable();
    let skew = found.skew.expect("both lines brought something");
    let expected = [skews[0], skews[2], skews[149], skews[296], skews[299]];
    assert_eq!([skew.min, skew.p1, skew.p50, skew.p99, skew.max], expected);
    let continuity = found.continuity.expect("CME");
    assert_eq!((continuity.jumps, continuity.malformed), (0, 0));
    assert_eq!(continuity.instruments(), 9);
}

/// A number that one line brings long after the other went on is no gap, however long that is,
/// and the stream begins with the lowest number although a higher one came first.
#[test]
fn late_numbers_are_waited_for() {
    let mut datagrams = mold(&[1, 1, 1, 1], &[false; 4]);
    let hour_ns = 3_600_000_000_000;
    datagrams.retain(|(_, line, _)| *line == 0);
    datagrams[0] = (10_000_000, 1, datagrams[0].2.clone());
    datagrams[2] = (hour_ns, 1, datagrams[2].2.clone());
    let found = account(&datagrams, Wire::MoldUdp64, &[]);
    assert_eq!((found.range, found.gaps.len()), (Some((1, 4)), 0));
    let firsts = found.lines.map(|line| (line.first, line.lost));
    assert_eq!(firsts, [(2, 2), (2, 2)]);
    assert_eq!(found.skew, None);
}

/// A copy with other bytes is a conflict and no duplicate; what is no packet is counted by reason.
#[test]
fn conflicts_and_strangers_are_counted() {
    let mut datagrams = cme(5, 1, 50);
    let (_, _, packet) = &mut datagrams[40];
    let last = packet.len() - 1;
    packet[last] ^= 1;
    datagrams.push((1, 0, b"who is there?".to_vec()));
    let found = account(&datagrams, Wire::CmeMdp3, &[]);
    assert_eq!((found.duplicates, found.conflicts), (49, 1));
    assert_eq!(found.rejected, BTreeMap::from([("trailing_bytes", 1)]));
}

/// A heartbeat tells of numbers that no line brought.
#[test]
fn a_heartbeat_reveals_a_loss_at_the_end() {
    let mut datagrams = mold(&[3, 2], &[false, true]);
    datagrams.push((9_000_000, 1, heartbeat(SESSION, 9).to_vec()));
    let found = account(&datagrams, Wire::MoldUdp64, &[]);
    assert_eq!((found.range, found.gaps), (Some((1, 8)), vec![(6, 8)]));
    assert_eq!(found.lines.map(|line| line.lost), [3, 3]);
    assert_eq!(found.lines.map(|line| line.packets), [2, 3]);
}

/// The weekly reset of a CME channel begins another session, with an account of its own.
#[test]
fn a_new_week_has_its_own_account() {
    let datagrams = [cme(1, 1, 40), cme_at(1, 1, 40, 1_000)].concat();
    let accounts = accounts(&datagrams, Wire::CmeMdp3, &["A:10-12,B:12-14".to_owned()]);
    assert_eq!(accounts.len(), 2);
    for account in &accounts {
        assert_eq!(account.range, Some((1, 40)), "{}", account.session);
        assert_eq!(account.gaps, [(12, 12)], "{}", account.session);
        assert_eq!(account.lines.map(|line| line.lost > 0), [true, true]);
    }
    assert_ne!(accounts[0].session, accounts[1].session);
}

/// A channel of which nothing is a packet still says so.
#[test]
fn nothing_but_strangers_is_an_account_too() {
    let datagrams = [(1, 0, b"?".to_vec()), (2, 1, b"!".to_vec())];
    for wire in [Wire::CmeMdp3, Wire::MoldUdp64, Wire::Eobi(Release::V14_1)] {
        let found = account(&datagrams, wire, &[]);
        assert_eq!((found.range, found.skew), (None, None));
        assert_eq!(found.rejected.values().sum::<u64>(), 2);
    }
}

/// Ranges to drop, and their arguments.
fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec((0u64..140, 0u64..12), 0..14).prop_map(|list| {
        list.into_iter()
            .map(|(first, more)| (first, first + more))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is dropped on both lines, and nothing else, is a gap; what is dropped on one is a loss
    /// of that line, and the copies that stay are counted once each. At the edges too.
    #[test]
    fn dropped_on_both_lines_is_a_gap(seed: u64, a in ranges(), b in ranges()) {
        let datagrams = cme(seed, 20, 100);
        let drops = [arguments("A", &a), arguments("B", &b)].concat();
        let found = account(&datagrams, Wire::CmeMdp3, &drops);
        let gaps = common(&[&a, &b], 20, 119);
        prop_assert_eq!(&found.gaps, &gaps);
        let (lost_a, lost_b) = (count(&common(&[&a], 20, 119)), count(&common(&[&b], 20, 119)));
        prop_assert_eq!(found.lines.map(|line| line.lost), [lost_a, lost_b]);
        prop_assert_eq!(found.lines.map(|line| line.packets), [100 - lost_a, 100 - lost_b]);
        let firsts = found.lines[0].first + found.lines[1].first;
        prop_assert_eq!(firsts, 100 - count(&gaps));
        prop_assert_eq!(found.duplicates, 200 - lost_a - lost_b - firsts);
        prop_assert_eq!((found.conflicts, found.rejected.len()), (0, 0));
        prop_assert_eq!(found.range, Some((20, 119)));
    }

    /// The same of a protocol that numbers messages: packets are cut around what is dropped.
    #[test]
    fn packets_are_cut_around_dropped_messages(
        sizes in vec((1u16..7, any::<bool>()), 20..40),
        a in ranges(),
        b in ranges(),
    ) {
        let (sizes, b_first): (Vec<_>, Vec<_>) = sizes.into_iter().unzip();
        let last = sizes.iter().map(|size| u64::from(*size)).sum();
        let datagrams = mold(&sizes, &b_first);
        let drops = [arguments("A", &a), arguments("B", &b)].concat();
        let found = account(&datagrams, Wire::MoldUdp64, &drops);
        let gaps = common(&[&a, &b], 1, last);
        prop_assert_eq!(&found.gaps, &gaps);
        let (lost_a, lost_b) = (count(&common(&[&a], 1, last)), count(&common(&[&b], 1, last)));
        prop_assert_eq!(found.lines.map(|line| line.lost), [lost_a, lost_b]);
        let firsts = found.lines[0].first + found.lines[1].first;
        prop_assert_eq!(firsts, last - count(&gaps));
        prop_assert_eq!(found.duplicates, 2 * last - lost_a - lost_b - firsts);
        prop_assert_eq!((found.conflicts, found.rejected.len()), (0, 0));
    }

    /// No bytes make it panic, whatever the protocol.
    #[test]
    fn any_bytes_are_survived(
        datagrams in vec((0u64..1_000, 0u8..2, vec(any::<u8>(), 0..60)), 1..12),
        flips in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut damaged = cme(1, 1, 20);
        damaged.extend(mold(&[3, 2, 4], &[true, false, true]));
        for (datagram, at, byte) in &flips {
            let index = datagram.index(damaged.len());
            let bytes = &mut damaged[index].2;
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        damaged.extend(datagrams);
        for wire in [Wire::CmeMdp3, Wire::MoldUdp64, Wire::Eobi(Release::V6_0)] {
            let drops = ["A:3-5".to_owned(), "B:4-90".to_owned()];
            let total: u64 = accounts(&damaged, wire, &drops)
                .iter()
                .map(|account| account.rejected.values().sum::<u64>())
                .sum();
            prop_assert!(total <= 2 * damaged.len() as u64);
        }
    }
}
