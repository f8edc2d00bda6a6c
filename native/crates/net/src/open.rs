//! Opens the receive path that the configuration asks for, or the best there is.
//!
//! `auto` climbs down the rungs, AF_XDP zero-copy first, and keeps why each was refused: a path is
//! never quietly a worse one than it could be. AF_XDP serves all lines of an interface together;
//! the other paths open one receiver for a line.

use crate::af_xdp::{AfXdpConfig, AfXdpReceiver};
use crate::any::AnyReceiver;
use crate::error::NetError;
use crate::line::LineConfig;
use crate::packet_mmap::{PacketMmapConfig, PacketMmapReceiver};
use crate::rung::{NetErrorText, Rung, RungReport};
use crate::udp::{SocketConfig, UdpReceiver};

/// What the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathWish {
    /// Kernel UDP sockets and nothing else.
    Recvmmsg,
    /// A packet ring and nothing else.
    PacketMmap,
    /// AF_XDP, as good as the host can and [`PathSettings::worst_af_xdp`] demands.
    AfXdp,
    /// The best path that the host can.
    Auto,
}

/// Settings of every path.
#[derive(Debug, Clone)]
pub struct PathSettings {
    /// Kernel UDP sockets.
    pub socket: SocketConfig,
    /// Packet rings.
    pub packet_mmap: PacketMmapConfig,
    /// AF_XDP.
    pub af_xdp: AfXdpConfig,
    /// The worst rung of AF_XDP that is still taken: [`Rung::ZeroCopy`], [`Rung::NativeCopy`] or
    /// [`Rung::Generic`].
    pub worst_af_xdp: Rung,
    /// Rungs that the configuration has switched off; `auto` passes over them.
    pub disabled: Vec<Rung>,
}

/// A receiver, the lines that it serves and how it was chosen.
pub struct Opened {
    /// It.
    pub receiver: AnyReceiver,
    /// Numbers of its lines.
    pub lines: Vec<u8>,
    /// The rungs that were tried, in order; the last one runs.
    pub rungs: Vec<RungReport>,
}

/// No rung that was asked for could be opened.
#[derive(Debug, thiserror::Error)]
#[error("no receive path for line {lines:?}: {}", listed(.rungs))]
pub struct NoPath {
    /// Numbers of the lines.
    pub lines: Vec<u8>,
    /// Every rung that was tried and why it was refused.
    pub rungs: Vec<RungReport>,
    /// The last refusal.
    pub source: NetError,
}

/// Opens all lines. Lines of one interface that ask for AF_XDP or for `auto` share a receiver, since
/// an interface has one program; packets of the others pass by.
///
/// # Errors
///
/// The first line that has no path; everything that was opened is closed again.
pub fn open_lines(
    wishes: &[(LineConfig, PathWish)],
    settings: &PathSettings,
) -> Result<Vec<Opened>, NoPath> {
    let mut opened = Vec::new();
    for group in groups(wishes) {
        // A line that may have anything is content with what its neighbour insists on.
        let insists = group.iter().any(|(_, wish)| *wish == PathWish::AfXdp);
        let wish = if insists { PathWish::AfXdp } else { group[0].1 };
        let configs: Vec<LineConfig> = group.iter().map(|(line, _)| line.clone()).collect();
        opened.extend(open_group(&configs, wish, settings)?);
    }
    Ok(opened)
}

/// Which rungs this host has for a line now, each with its refusal. Opens and closes each of them;
/// no packet goes another way meanwhile (see [`AfXdpReceiver::probe`]).
pub fn probe(line: &LineConfig, settings: &PathSettings) -> Vec<RungReport> {
    let attempt = |rung: Rung| match rung {
        _ if !rung.is_af_xdp() => open_apart(line, rung, settings).map(drop),
        _ => AfXdpReceiver::probe(line, rung, &settings.af_xdp),
    };
    let report = |rung: Rung| RungReport {
        rung,
        refusal: attempt(rung).err().map(|error| NetErrorText::from(&error)),
    };
    Rung::ALL.into_iter().map(report).collect()
}

/// The rungs that a wish may end on, in order of trial.
pub fn rungs_of(wish: PathWish, settings: &PathSettings) -> Vec<Rung> {
    let is_wanted = |rung: &Rung| match wish {
        PathWish::Recvmmsg => *rung == Rung::Recvmmsg,
        PathWish::PacketMmap => *rung == Rung::PacketMmap,
        PathWish::AfXdp => rung.is_af_xdp() && *rung <= settings.worst_af_xdp,
        PathWish::Auto => {
            let is_good_enough = !rung.is_af_xdp() || *rung <= settings.worst_af_xdp;
            is_good_enough && !settings.disabled.contains(rung)
        }
    };
    Rung::ALL.into_iter().filter(is_wanted).collect()
}

/// Lines that one AF_XDP receiver would serve are together; every other line is alone.
fn groups(wishes: &[(LineConfig, PathWish)]) -> Vec<Vec<&(LineConfig, PathWish)>> {
    let mut groups: Vec<Vec<&(LineConfig, PathWish)>> = Vec::new();
    for entry in wishes {
        let (line, wish) = entry;
        let may_share = matches!(wish, PathWish::AfXdp | PathWish::Auto) && line.group.is_ipv4();
        let same = groups.iter_mut().find(|group| {
            let (first, first_wish) = group[0];
            may_share
                && first.group.is_ipv4()
                && matches!(first_wish, PathWish::AfXdp | PathWish::Auto)
                && first.interface.index == line.interface.index
        });
        match same {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    groups
}

fn open_group(
    lines: &[LineConfig],
    wish: PathWish,
    settings: &PathSettings,
) -> Result<Vec<Opened>, NoPath> {
    let rungs = rungs_of(wish, settings);
    let (shared, apart): (Vec<Rung>, Vec<Rung>) = rungs.into_iter().partition(|r| r.is_af_xdp());
    let climbed = climb(&shared, |rung| {
        AfXdpReceiver::open(lines, rung, &settings.af_xdp).map(Box::new)
    });
    let (refused, error) = match climbed {
        Ok((receiver, rungs)) => {
            let lines = lines.iter().map(|line| line.line).collect();
            let receiver = AnyReceiver::AfXdp(receiver);
            return Ok(vec![Opened {
                receiver,
                lines,
                rungs,
            }]);
        }
        Err(refused) => refused,
    };
    if apart.is_empty() {
        return Err(no_path(lines, refused, error));
    }
    let open_one = |line: &LineConfig| {
        let climbed = climb(&apart, |rung| open_apart(line, rung, settings));
        let with_shared = |rungs: Vec<RungReport>| [refused.clone(), rungs].concat();
        match climbed {
            Ok((receiver, rungs)) => Ok(Opened {
                receiver,
                lines: vec![line.line],
                rungs: with_shared(rungs),
            }),
            Err((rungs, error)) => Err(no_path(
                std::slice::from_ref(line),
                with_shared(rungs),
                error,
            )),
        }
    };
    lines.iter().map(open_one).collect()
}

fn open_apart(
    line: &LineConfig,
    rung: Rung,
    settings: &PathSettings,
) -> Result<AnyReceiver, NetError> {
    match rung {
        Rung::Recvmmsg => UdpReceiver::open(line, &settings.socket).map(AnyReceiver::Udp),
        Rung::PacketMmap => {
            let receiver = PacketMmapReceiver::open(line, &settings.packet_mmap)?;
            Ok(AnyReceiver::PacketMmap(receiver))
        }
        _ => Err(NetError::config("rung", rung, "a path of one line")),
    }
}

/// What a climb that reached nothing leaves: every refusal, and the last error.
type Refused = (Vec<RungReport>, Option<NetError>);

/// Tries the rungs in order until one holds.
fn climb<T>(
    rungs: &[Rung],
    mut attempt: impl FnMut(Rung) -> Result<T, NetError>,
) -> Result<(T, Vec<RungReport>), Refused> {
    let (mut reports, mut last) = (Vec::new(), None);
    for rung in rungs.iter().copied() {
        match attempt(rung) {
            Ok(opened) => {
                reports.push(RungReport {
                    rung,
                    refusal: None,
                });
                return Ok((opened, reports));
            }
            Err(error) => {
                let refusal = Some(NetErrorText::from(&error));
                reports.push(RungReport { rung, refusal });
                last = Some(error);
            }
        }
    }
    Err((reports, last))
}

fn no_path(lines: &[LineConfig], rungs: Vec<RungReport>, error: Option<NetError>) -> NoPath {
    let none = || NetError::config("receive", "auto", "a path that is not switched off");
    NoPath {
        lines: lines.iter().map(|line| line.line).collect(),
        rungs,
        source: error.unwrap_or_else(none),
    }
}

fn listed(rungs: &[RungReport]) -> String {
    let one = |report: &RungReport| {
        let refusal = report
            .refusal
            .as_ref()
            .map_or("opened", |refusal| &refusal.text);
        format!("{}: {refusal}", report.rung)
    };
    rungs.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
