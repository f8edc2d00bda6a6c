use std::io;

use super::*;
use crate::Interface;

fn settings(worst_af_xdp: Rung, disabled: &[Rung]) -> PathSettings {
    PathSettings {
        socket: SocketConfig::default(),
        packet_mmap: PacketMmapConfig::default(),
        af_xdp: AfXdpConfig::default(),
        worst_af_xdp,
        disabled: disabled.to_vec(),
    }
}

fn line(number: u8, interface: u32, group: &str) -> LineConfig {
    LineConfig {
        line: number,
        group: group.parse().unwrap(),
        port: 9,
        interface: Interface {
            name: format!("if{interface}"),
            index: interface,
            ipv4: None,
        },
        source: None,
    }
}

/// Each wish ends only where it may: never on a better name, never on a switched-off rung.
#[test]
fn a_wish_has_its_rungs() {
    let all = settings(Rung::Generic, &[]);
    assert_eq!(rungs_of(PathWish::Auto, &all), Rung::ALL);
    assert_eq!(rungs_of(PathWish::Recvmmsg, &all), [Rung::Recvmmsg]);
    assert_eq!(rungs_of(PathWish::PacketMmap, &all), [Rung::PacketMmap]);
    let native = settings(Rung::NativeCopy, &[Rung::PacketMmap]);
    let af_xdp = [Rung::ZeroCopy, Rung::NativeCopy];
    assert_eq!(rungs_of(PathWish::AfXdp, &native), af_xdp);
    let auto = [Rung::ZeroCopy, Rung::NativeCopy, Rung::Recvmmsg];
    assert_eq!(rungs_of(PathWish::Auto, &native), auto);
}

/// The climb stops at the first rung that holds and keeps every refusal with its number.
#[test]
fn a_climb_keeps_every_refusal() {
    let mut tried = Vec::new();
    let attempt = |rung: Rung| {
        tried.push(rung);
        match rung {
            Rung::ZeroCopy => Err(NetError::io("bind", io::Error::from_raw_os_error(95))),
            Rung::NativeCopy => Err(NetError::config("rung", rung, "another")),
            _ => Ok(7),
        }
    };
    let Ok((opened, reports)) = climb(&Rung::ALL, attempt) else {
        panic!("the third holds")
    };
    let errnos: Vec<_> = reports
        .iter()
        .map(|r| r.refusal.as_ref().map(|r| r.errno))
        .collect();
    assert_eq!((opened, tried.len()), (7, 3));
    assert_eq!(errnos, [Some(Some(95)), Some(None), None]);
    let refused = climb(&Rung::ALL[..1], |_| {
        Err::<(), _>(NetError::config("a", 1, "b"))
    });
    assert_eq!(refused.err().unwrap().0.len(), 1);
}

/// Only lines of one interface and IPv4 that may have AF_XDP share a receiver.
#[test]
fn lines_share_where_they_can() {
    let wishes = [
        (line(0, 1, "239.1.1.1"), PathWish::AfXdp),
        (line(1, 1, "239.1.1.2"), PathWish::AfXdp),
        (line(2, 2, "239.1.1.3"), PathWish::AfXdp),
        (line(3, 1, "239.1.1.4"), PathWish::Recvmmsg),
        (line(4, 1, "239.1.1.5"), PathWish::Recvmmsg),
        (line(5, 1, "ff05::1"), PathWish::AfXdp),
        (line(6, 2, "239.1.1.6"), PathWish::Auto),
    ];
    let groups = groups(&wishes);
    let numbers = |group: &Vec<&(LineConfig, PathWish)>| -> Vec<u8> {
        group.iter().map(|(line, _)| line.line).collect()
    };
    let numbers: Vec<Vec<u8>> = groups.iter().map(numbers).collect();
    assert_eq!(numbers, [vec![0, 1], vec![2, 6], vec![3], vec![4], vec![5]]);
}

/// Without any rung the error names the line and what is switched off.
#[test]
fn no_path_is_an_error() {
    let off = settings(Rung::Generic, &Rung::ALL);
    let lines = [(line(4, 1, "239.1.1.1"), PathWish::Auto)];
    let error = open_lines(&lines, &off).err().unwrap();
    assert_eq!((error.lines, error.rungs.len()), (vec![4], 0));
    assert!(error.source.to_string().contains("switched off"));
}
