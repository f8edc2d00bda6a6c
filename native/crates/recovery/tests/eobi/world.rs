//! A session, its lines with losses, a reader, and a reader that loses nothing.

use std::collections::{BTreeMap, VecDeque};

use tickdeck_recovery::eobi::{
    Collector, CollectorConfig, Cycle, Output, Replayer, ReplayerConfig, Trust,
};
use tickdeck_sim::eobi::{Channel, Session, SessionConfig, Timed};
use tickdeck_wire::eobi::Packet;

use crate::books::Books;

/// What is lost of a packet: bit 0 on line A, bit 1 on line B.
pub(crate) const BOTH: u8 = 3;

pub(crate) struct World {
    pub(crate) config: SessionConfig,
    pub(crate) session: Session,
    pub(crate) collector: Collector,
    pub(crate) replayer: Replayer,
    pub(crate) books: Books,
    /// What a reader without losses has, and each product's last number there.
    whole: Books,
    numbers: BTreeMap<i32, u32>,
    /// Which first copies came of the packets whose second ones are still to come.
    first_copies: VecDeque<Option<Vec<u8>>>,
    last_sequence: u32,
    /// Every cycle that was put out.
    pub(crate) cycles: Vec<Cycle>,
    pub(crate) loaded: u64,
    /// Comparisons of a Good product's books with those of the reader without losses.
    pub(crate) compared: u64,
}

impl World {
    pub(crate) fn new(config: SessionConfig) -> Self {
        Self::with_buffer(config, ReplayerConfig::default())
    }

    pub(crate) fn with_buffer(config: SessionConfig, replayer: ReplayerConfig) -> Self {
        Self {
            config,
            session: Session::new(config),
            collector: Collector::new(CollectorConfig::default()),
            replayer: Replayer::new(replayer),
            books: Books::new(config.release),
            whole: Books::new(config.release),
            numbers: BTreeMap::new(),
            first_copies: VecDeque::new(),
            last_sequence: 0,
            cycles: Vec::new(),
            loaded: 0,
            compared: 0,
        }
    }

    /// Lets the session go on by so many packets; `lost` says on which lines each is lost.
    pub(crate) fn go_on(&mut self, packets: u64, mut lost: impl FnMut(&Timed, &Packet<'_>) -> u8) {
        for _ in 0..packets {
            let Some(timed) = self.session.next() else {
                return;
            };
            let Ok(packet) = Packet::parse(&timed.bytes, self.config.release) else {
                continue;
            };
            let is_lost = lost(&timed, &packet) >> timed.line & 1 == 1;
            match timed.channel {
                Channel::Incremental => self.on_copy(&timed, &packet, is_lost),
                Channel::Snapshot if is_lost => {}
                Channel::Snapshot => self.on_snapshot(timed.line, &packet),
            }
        }
    }

    /// Nothing is lost until the end.
    pub(crate) fn finish(&mut self) {
        self.go_on(u64::MAX, |_, _| 0);
    }

    /// Hands a packet of the snapshot channel to the collector, and what it puts out on.
    pub(crate) fn on_snapshot(&mut self, line: u8, packet: &Packet<'_>) {
        let mut cycles = Vec::new();
        self.collector
            .on_packet(line, packet, &mut |cycle| cycles.push(cycle));
        for cycle in cycles {
            self.on_cycle(&cycle);
            self.cycles.push(cycle);
        }
    }

    pub(crate) fn on_cycle(&mut self, cycle: &Cycle) -> bool {
        let is_loaded = self.replayer.on_cycle(cycle, &mut self.books);
        self.loaded += u64::from(is_loaded);
        if is_loaded {
            self.compare(cycle.market_segment_id);
        }
        is_loaded
    }

    /// Each line is in order, so first and second copies pair up; the merge has a packet if one of them came.
    fn on_copy(&mut self, timed: &Timed, packet: &Packet<'_>, is_lost: bool) {
        let survives = (!is_lost).then(|| timed.bytes.clone());
        if timed.line == self.config.partition_id % 2 {
            self.first_copies.push_back(survives);
            return;
        }
        let first = self.first_copies.pop_front().expect("the first copy");
        if packet.sequence() <= self.last_sequence {
            self.whole.reset();
            self.numbers.clear();
            self.replayer.restart(&mut self.books);
        }
        self.last_sequence = packet.sequence();
        self.take_whole(packet);
        if let Some(bytes) = first.or(survives) {
            let packet = Packet::parse(&bytes, self.config.release).expect("a packet");
            self.replayer.on_packet(&packet, &mut self.books);
            let product = packet.market_segment_id();
            if self.replayer.is_proven(product) {
                self.compare(product);
            }
        }
    }

    fn take_whole(&mut self, packet: &Packet<'_>) {
        let product = packet.market_segment_id();
        for message in packet.messages() {
            if let Some(number) = message.msg_seq_num() {
                self.whole.take(product, &message);
                self.numbers.insert(product, number);
            }
        }
    }

    /// A Good product that is as far as the reader without losses has the same orders.
    fn compare(&mut self, product: i32) {
        let number = self.numbers.get(&product).copied().unwrap_or(0);
        if self.replayer.trust(product) != Some(Trust::Good)
            || self.replayer.last_msg_seq_num(product) != Some(number)
        {
            return;
        }
        let orders = |books: &Books| books.products.get(&product).cloned().unwrap_or_default();
        assert!(
            orders(&self.books) == orders(&self.whole),
            "product {product} differs at message {number}"
        );
        self.compared += 1;
    }

    /// At the end every product is Good, proven, and has the session's orders.
    pub(crate) fn assert_all_good(&self) {
        for product in self.session.products() {
            let id = product.market_segment_id();
            assert_eq!(self.replayer.trust(id), Some(Trust::Good), "product {id}");
            assert!(
                self.replayer.is_proven(id),
                "product {id} was not heard since"
            );
            let found = self.books.products.get(&id).cloned().unwrap_or_default();
            assert!(&found == product.orders(), "product {id} differs");
            assert_eq!(
                self.replayer.last_msg_seq_num(id),
                Some(product.last_number())
            );
        }
        assert_eq!(self.replayer.buffered(), (0, 0));
    }
}
