//! What the path does, case by case.

use std::time::Duration;

use crate::traffic::{Mix, Tally, lines};
use crate::wire::{COPY_RUNGS, PLAIN, alone, destinations, receive, send};
use tickdeck_net::{
    AfXdpConfig, AfXdpReceiver, LineConfig, NetError, PathCounters, Receiver, Rung, SocketConfig,
    Timestamps, UdpReceiver,
};
use tickdeck_testbed::{RX_INTERFACE, Testbed, skip};

/// Zero-copy is refused by veth with its errno, and leaves nothing behind.
#[test]
fn zero_copy_is_refused_by_its_errno() {
    let Some((_turn, testbed)) = alone("zero_copy_is_refused_by_its_errno", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let config = AfXdpConfig::default();
        let error = AfXdpReceiver::open(&lines(), Rung::ZeroCopy, &config)
            .err()
            .unwrap();
        assert_eq!(error.errno(), Some(libc::EOPNOTSUPP), "{error}");
        drop(AfXdpReceiver::open(&lines(), Rung::NativeCopy, &config).unwrap());
    });
    assert!(
        !testbed
            .command_rx("ip link show rx0")
            .unwrap()
            .contains("xdp")
    );
}

/// When the fill ring runs empty the kernel drops, and counts; when frames come back it goes on.
#[test]
fn a_starved_fill_ring_is_counted_and_recovers() {
    let Some((_turn, testbed)) = alone("a_starved_fill_ring_is_counted_and_recovers", 1) else {
        return;
    };
    for rung in COPY_RUNGS {
        testbed.in_rx(|| {
            let lines = lines();
            let config = AfXdpConfig {
                frame_count: 64,
                rx_ring: 2_048,
                ..AfXdpConfig::default()
            };
            let mut receiver = AfXdpReceiver::open(&lines, rung, &config).unwrap();
            let burst = Mix {
                packets: 100,
                ..PLAIN
            };
            send(&testbed, burst, destinations(&lines));
            assert_eq!(receiver.frames_waiting_min(), 0, "{rung}");
            let mut tally = Tally::new(burst);
            let quiet = Duration::from_millis(100);
            assert_eq!(receive(&mut receiver, &mut tally, 100, quiet), 64, "{rung}");
            let counters = receiver.counters().unwrap();
            let expected = PathCounters {
                xsk_fill_ring_empty: 36,
                program_redirected: 100,
                ..PathCounters::default()
            };
            assert_eq!(counters, expected, "{rung}");
            let small = Mix {
                packets: 60,
                ..PLAIN
            };
            send(&testbed, small, destinations(&lines));
            assert_eq!(
                receive(&mut receiver, &mut Tally::new(small), 60, quiet),
                60,
                "{rung}"
            );
        });
    }
}

/// A full RX ring is another counter than an empty fill ring.
#[test]
fn a_full_ring_is_counted_apart() {
    let Some((_turn, testbed)) = alone("a_full_ring_is_counted_apart", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let config = AfXdpConfig {
            frame_count: 1_024,
            rx_ring: 64,
            ..AfXdpConfig::default()
        };
        let mut receiver = AfXdpReceiver::open(&lines, Rung::NativeCopy, &config).unwrap();
        let burst = Mix {
            packets: 100,
            ..PLAIN
        };
        send(&testbed, burst, destinations(&lines));
        let quiet = Duration::from_millis(100);
        assert_eq!(
            receive(&mut receiver, &mut Tally::new(burst), 100, quiet),
            64
        );
        let counters = receiver.counters().unwrap();
        assert_eq!(
            (counters.xsk_ring_full, counters.lost()),
            (36, 36),
            "{counters:?}"
        );
    });
}

/// A second program is refused by the id of the first, which stays; so is a second receiver.
#[test]
fn a_foreign_program_is_refused_by_its_id() {
    let Some((_turn, testbed)) = alone("a_foreign_program_is_refused_by_its_id", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let config = AfXdpConfig::default();
        let first = AfXdpReceiver::open(&lines(), Rung::NativeCopy, &config).unwrap();
        for rung in COPY_RUNGS {
            let error = AfXdpReceiver::open(&lines(), rung, &config).err().unwrap();
            let NetError::ForeignProgram {
                interface,
                program_id,
                ..
            } = &error
            else {
                panic!("{rung}: {error}");
            };
            let shown = testbed.command_rx("ip -d link show rx0").unwrap();
            assert_eq!(interface, RX_INTERFACE);
            assert!(shown.contains(&format!("id {program_id}")), "{shown}");
            assert!(
                error.to_string().contains("bpftool prog show id"),
                "{error}"
            );
        }
        drop(first);
        drop(AfXdpReceiver::open(&lines(), Rung::Generic, &config).unwrap());
    });
}

/// A line is added and left while the others run: a change of a map, no packet of theirs is lost.
#[test]
fn lines_come_and_go_at_run_time() {
    let Some((_turn, testbed)) = alone("lines_come_and_go_at_run_time", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let [a, b] = lines();
        let to = [a.destination(), b.destination()];
        let config = AfXdpConfig::default();
        let mut receiver =
            AfXdpReceiver::open(std::slice::from_ref(&a), Rung::NativeCopy, &config).unwrap();
        let (mix, quiet) = (
            Mix {
                packets: 200,
                ..PLAIN
            },
            Duration::from_millis(100),
        );
        send(&testbed, mix, to);
        assert_eq!(
            receive(&mut receiver, &mut Tally::new(mix), 200, quiet),
            100,
            "A alone"
        );
        receiver.add_line(&b).unwrap();
        assert!(receiver.add_line(&b).is_err(), "a line is added once");
        send(&testbed, mix, to);
        assert_eq!(
            receive(&mut receiver, &mut Tally::new(mix), 200, quiet),
            200,
            "both"
        );
        assert!(receiver.remove_line(1).unwrap());
        assert!(!receiver.remove_line(1).unwrap(), "it is gone");
        send(&testbed, mix, to);
        assert_eq!(
            receive(&mut receiver, &mut Tally::new(mix), 200, quiet),
            100,
            "A alone"
        );
        assert!(receiver.remove_line(0).is_err(), "the last line stays");
        assert_eq!(receiver.counters().unwrap().lost(), 0);
    });
}

/// While the program is there the kernel's sockets get nothing of the lines; when the receiver goes
/// they get all of it at once, and a new receiver binds at once.
#[test]
fn the_kernel_takes_over_and_gives_back() {
    let Some((_turn, testbed)) = alone("the_kernel_takes_over_and_gives_back", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let socket = SocketConfig::default();
        let mut kernel = UdpReceiver::open(&lines[0], &socket).unwrap();
        let (mix, quiet) = (
            Mix {
                packets: 100,
                ..PLAIN
            },
            Duration::from_millis(100),
        );
        for round in 0..5 {
            let mut receiver =
                AfXdpReceiver::open(&lines, Rung::NativeCopy, &AfXdpConfig::default()).unwrap();
            send(&testbed, mix, destinations(&lines));
            assert_eq!(
                receive(&mut receiver, &mut Tally::new(mix), 100, quiet),
                100,
                "{round}"
            );
            assert_eq!(
                receive(&mut kernel, &mut Tally::new(mix), 1, quiet),
                0,
                "{round}"
            );
            drop(receiver);
            send(&testbed, mix, destinations(&lines));
            assert_eq!(
                receive(&mut kernel, &mut Tally::new(mix), 50, quiet),
                50,
                "{round}"
            );
        }
    });
}

/// When the program is taken off the interface behind its back, the receiver goes on through the
/// kernel's sockets beside, and says so by a counter.
#[test]
fn a_forced_detach_falls_back_to_the_kernel() {
    let Some((_turn, testbed)) = alone("a_forced_detach_falls_back_to_the_kernel", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let mut receiver =
            AfXdpReceiver::open(&lines, Rung::NativeCopy, &AfXdpConfig::default()).unwrap();
        if let Err(error) = force_detach(&testbed) {
            skip("a_forced_detach_falls_back_to_the_kernel", &error);
            return;
        }
        let (mix, quiet) = (
            Mix {
                packets: 100,
                ..PLAIN
            },
            Duration::from_millis(100),
        );
        send(&testbed, mix, destinations(&lines));
        assert_eq!(
            receive(&mut receiver, &mut Tally::new(mix), 100, quiet),
            100
        );
        assert_eq!(receiver.counters().unwrap().beside, 100);
    });
}

/// Detaches the program of the receiving interface as an administrator can.
fn force_detach(testbed: &Testbed) -> Result<(), String> {
    let run = |line: &str| testbed.command_rx(line).map_err(|error| error.to_string());
    let shown = run("ip -d link show rx0")?;
    let program = shown
        .split("prog/xdp id ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let program = program.ok_or_else(|| format!("no program in {shown}"))?;
    let links = run("bpftool -j link show")?;
    let wanted = format!("\"prog_id\":{program}");
    let mut entries = links.split("{\"id\":").skip(1);
    let ours = entries.find(|link| link.split(['}', ',']).any(|part| part == wanted));
    let id = ours
        .and_then(|link| link.split(',').next())
        .ok_or("no link of it")?;
    run(&format!("bpftool link detach id {id}")).map(drop)
}

/// With two receive queues both have a socket, so nothing depends on where the card puts a flow.
#[test]
fn every_queue_has_a_socket() {
    let Some((_turn, testbed)) = alone("every_queue_has_a_socket", 2) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let mut receiver =
            AfXdpReceiver::open(&lines, Rung::NativeCopy, &AfXdpConfig::default()).unwrap();
        let (mix, quiet) = (
            Mix {
                packets: 1_000,
                ..PLAIN
            },
            Duration::from_millis(100),
        );
        send(&testbed, mix, destinations(&lines));
        assert_eq!(
            receive(&mut receiver, &mut Tally::new(mix), 1_000, quiet),
            1_000
        );
        assert_eq!(receiver.counters().unwrap().program_unbound_queue, 0);
    });
}

/// An interface that goes down and comes up again is survived; one that is removed is an error of the
/// counters that names it, for this path and for a kernel socket, instead of silence for ever.
#[test]
fn a_lost_interface_is_an_error() {
    let Some((_turn, testbed)) = alone("a_lost_interface_is_an_error", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let polling = AfXdpConfig {
            busy_poll_us: 20,
            ..AfXdpConfig::default()
        };
        let mut receiver = AfXdpReceiver::open(&lines, Rung::NativeCopy, &polling).unwrap();
        let mut kernel = UdpReceiver::open(&lines[0], &SocketConfig::default()).unwrap();
        testbed.command_rx("ip link set rx0 down").unwrap();
        receiver.receive(&mut |_| {}).unwrap();
        receiver.counters().unwrap();
        testbed.command_rx("ip link set rx0 up").unwrap();
        receiver.counters().unwrap();
        testbed.command_rx("ip link delete rx0").unwrap();
        let errors = [
            receiver.counters().err().unwrap(),
            kernel.counters().err().unwrap(),
        ];
        for error in errors {
            let is_gone = matches!(&error, NetError::Gone { interface, .. } if interface == "rx0");
            assert!(is_gone, "{error}");
        }
    });
}

/// The membership is real: the kernel lists it while the receiver lives, and not after.
#[test]
fn the_group_is_joined() {
    let Some((_turn, testbed)) = alone("the_group_is_joined", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let is_joined = || {
            std::fs::read_to_string("/proc/thread-self/net/igmp")
                .unwrap()
                .contains("01014DEF")
        };
        assert!(!is_joined());
        let receiver =
            AfXdpReceiver::open(&lines(), Rung::Generic, &AfXdpConfig::default()).unwrap();
        assert!(is_joined());
        drop(receiver);
        assert!(!is_joined());
    });
}

/// In the driver's hook the program asks for the card's time (this kernel's veth answers, with
/// none); where the time is missing, or nobody asks, packets are stamped by this process.
#[test]
fn stamps_are_labelled_by_what_is_there() {
    let Some((_turn, testbed)) = alone("stamps_are_labelled_by_what_is_there", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let lines = lines();
        let mut without = AfXdpConfig::default();
        without.beside.timestamps = Timestamps::Off;
        let cases = [
            (Rung::NativeCopy, AfXdpConfig::default(), true),
            (Rung::NativeCopy, without, false),
            (Rung::Generic, AfXdpConfig::default(), false),
        ];
        for (rung, config, has_hardware_stamps) in cases {
            let mut receiver = AfXdpReceiver::open(&lines, rung, &config).unwrap();
            assert_eq!(
                receiver.has_hardware_stamps(),
                has_hardware_stamps,
                "{rung}"
            );
            let (mix, quiet) = (
                Mix {
                    packets: 100,
                    ..PLAIN
                },
                Duration::from_millis(100),
            );
            let mut tally = Tally::new(mix);
            send(&testbed, mix, destinations(&lines));
            assert_eq!(
                receive(&mut receiver, &mut tally, 100, quiet),
                100,
                "{rung}"
            );
            assert_eq!(tally.stamps, [0, 0, 100], "{rung}");
        }
    });
}

/// Values out of range and lines that AF_XDP cannot serve are refused by name.
#[test]
fn wrong_values_are_refused_by_name() {
    let Some((_turn, testbed)) = alone("wrong_values_are_refused_by_name", 1) else {
        return;
    };
    testbed.in_rx(|| {
        let [a, b] = lines();
        let good = AfXdpConfig::default;
        let v6 = LineConfig {
            group: "ff05::1".parse().unwrap(),
            ..a.clone()
        };
        let elsewhere = LineConfig {
            interface: tickdeck_net::find_interface("lo").unwrap(),
            ..b
        };
        let cases = [
            ("lines", vec![], Rung::Generic, good()),
            ("group", vec![v6], Rung::Generic, good()),
            (
                "interface",
                vec![a.clone(), elsewhere],
                Rung::Generic,
                good(),
            ),
            ("rung", vec![a.clone()], Rung::Recvmmsg, good()),
            (
                "frame_count",
                vec![a.clone()],
                Rung::Generic,
                AfXdpConfig {
                    frame_count: 100,
                    ..good()
                },
            ),
            (
                "rx_ring",
                vec![a.clone()],
                Rung::Generic,
                AfXdpConfig {
                    rx_ring: 32,
                    ..good()
                },
            ),
            (
                "batch",
                vec![a],
                Rung::Generic,
                AfXdpConfig { batch: 0, ..good() },
            ),
        ];
        for (name, lines, rung, config) in cases {
            let error = AfXdpReceiver::open(&lines, rung, &config).err().unwrap();
            assert!(
                matches!(error, NetError::Config { field, .. } if field == name),
                "{error}"
            );
        }
    });
}
