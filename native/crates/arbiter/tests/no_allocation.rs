//! After construction no packet makes the arbiter allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tickdeck_arbiter::{Arbiter, Arrival, Config, Event, LossReason, Output, Run, Source, Start};
use tickdeck_wire::moldudp64::{Packet, PacketBuilder, Session};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Tally {
    messages: u64,
    gaps_opened: u64,
    to_give_up: Option<u64>,
}

impl Output for Tally {
    fn deliver(&mut self, run: Run<'_>) {
        self.messages += u64::from(run.count);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::GapOpened { .. } => self.gaps_opened += 1,
            Event::GapWaitOver { gap } => self.to_give_up = Some(gap.id),
            _ => {}
        }
    }
}

fn packets(count: u64, messages_each: u64, text: u8) -> Vec<Vec<u8>> {
    let packet = |index: u64| {
        let mut builder = PacketBuilder::new(Session(*b"ALLOCATION"), 1400);
        builder.begin(1 + index * messages_each);
        for _ in 0..messages_each {
            assert!(builder.push(&[text; 36]));
        }
        builder.finish().to_vec()
    };
    (0..count).map(packet).collect()
}

/// 20,000 packets on two lines with losses on one, on both, late copies, copies with other bytes,
/// gaps that are given up, stops and a hold that overflows: not one allocation.
#[test]
fn packet_path_does_not_allocate() {
    let conflicting = packets(10_000, 5, 8);
    let packets = packets(10_000, 5, 7);
    let mut stops = 0;
    let mut arbiter = Arbiter::new(Config {
        start: Start::SessionStart,
        hold_capacity_packets: 64,
        gap_capacity: 16,
        reorder_window_min_ns: 2_000_000,
        reorder_window_packets: 1000,
        ..Config::default()
    })
    .expect("a valid configuration");
    let mut tally = Tally::default();
    let before = ALLOCATIONS.with(Cell::get);
    for (index, bytes) in (0u64..).zip(&packets) {
        let now_ns = index * 10_000;
        let arrival = |line, bytes| Arrival {
            source: Source::Line(line),
            unit: Packet::parse(bytes).expect("well formed").into(),
            rx_ns: now_ns,
            stamp: 1,
            now_ns,
        };
        let lost_on_both = index % 100 == 50 || (4000..4100).contains(&index);
        if !lost_on_both && index % 7 != 0 {
            arbiter.on_packet(arrival(0, bytes), &mut tally);
        }
        if !lost_on_both && index >= 3 {
            let copy = &packets[index as usize - 3];
            let conflicting = &conflicting[index as usize - 3];
            let bytes = if index % 61 == 7 { conflicting } else { copy };
            arbiter.on_packet(arrival(1, bytes), &mut tally);
        }
        if index % 97 == 0 && arbiter.next_sequence() > 0 {
            let at = arbiter.next_sequence() + index % 3;
            stops += u64::from(arbiter.stop_at(at, now_ns, &mut tally).is_ok());
        }
        if index % 97 == 4 {
            arbiter.go_on(now_ns, &mut tally);
        }
        arbiter.poll(now_ns, &mut tally);
        if let Some(id) = tally.to_give_up.take() {
            assert!(arbiter.holes(id).count() > 0);
            arbiter.give_up(id, LossReason::AttemptsExhausted, now_ns, &mut tally);
        }
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    let counters = arbiter.counters();
    let exercised = [
        tally.gaps_opened,
        counters.messages_lost,
        counters.hold_dropped,
        counters.duplicates,
        counters.conflicts,
        stops,
    ];
    assert!(exercised.iter().all(|count| *count > 50), "{exercised:?}");
    assert_eq!(tally.messages, counters.delivered);
}
