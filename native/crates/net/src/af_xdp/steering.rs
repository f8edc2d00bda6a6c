//! The steering program on an interface, and its maps. The source is `native/bpf/steer.bpf.c`.

use std::io;

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError, EbpfLoader};
use std::os::fd::{AsFd, AsRawFd};

use crate::error::NetError;
use crate::line::{Interface, LineConfig};
use crate::link::Link;
use crate::rung::{NetErrorText, Rung};

use super::stamped::Stamped;

/// The program, attached. It leaves the interface when this is dropped, and also when the process
/// dies: the kernel closes the link with its last descriptor.
pub(super) struct Steering {
    has_stamps: bool,
    /// Why the card's times are not fetched though they were asked for.
    stamps_refusal: Option<NetErrorText>,
    lines: HashMap<MapData, LineKey, u32>,
    xsks: XskMap<MapData>,
    counters: PerCpuArray<MapData, u64>,
    _attached: Attached,
    _program: Ebpf,
}

/// What keeps a program on the interface while it lives.
enum Attached {
    /// The plain one.
    Plain { _link: FdLink },
    /// The one that fetches the card's time.
    Stamped { _program: Stamped },
}

/// What the program counted, over all cores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SteeringCounters {
    pub(super) redirected: u64,
    pub(super) no_key: u64,
    pub(super) fragments: u64,
    pub(super) malformed: u64,
    pub(super) unbound_queue: u64,
}

impl Steering {
    /// Loads the program and attaches it to the interface, in the driver or, on the generic rung,
    /// in the kernel's stack. With `wants_stamps` the card's receive time is fetched where its
    /// driver has one.
    pub(super) fn attach(
        interface: &Interface,
        rung: Rung,
        wants_stamps: bool,
    ) -> Result<Self, NetError> {
        let mut program = EbpfLoader::new()
            .load(OBJECT)
            .map_err(|error| bpf_error("load the steering program", error))?;
        let (stamped, stamps_refusal) = match wants_stamps && rung != Rung::Generic {
            true => attach_stamped(&program, interface)?,
            false => (None, None),
        };
        let has_stamps = stamped.is_some();
        let attached = match stamped {
            Some(stamped) => Attached::Stamped { _program: stamped },
            None => Attached::Plain {
                _link: attach(&mut program, interface, rung)?,
            },
        };
        Ok(Self {
            has_stamps,
            stamps_refusal,
            lines: taken(&mut program, "lines")?,
            xsks: taken(&mut program, "xsks")?,
            counters: taken(&mut program, "counters")?,
            _attached: attached,
            _program: program,
        })
    }

    /// The eight bytes in front of a packet are the card's time, 0: it has none.
    pub(super) fn has_stamps(&self) -> bool {
        self.has_stamps
    }

    /// Why there are no such times, where they were asked for.
    pub(super) fn stamps_refusal(&self) -> Option<&NetErrorText> {
        self.stamps_refusal.as_ref()
    }

    /// Sends the frames of `line` to the sockets.
    pub(super) fn add_line(&mut self, line: &LineConfig) -> Result<(), NetError> {
        let base_slot = 0;
        self.lines
            .insert(key_of(line)?, base_slot, 0)
            .map_err(|error| bpf_error("add a line to the steering map", error.into()))
    }

    /// Leaves the frames of `line` to the kernel.
    pub(super) fn remove_line(&mut self, line: &LineConfig) -> Result<(), NetError> {
        self.lines
            .remove(&key_of(line)?)
            .map_err(|error| bpf_error("remove a line from the steering map", error.into()))
    }

    /// Sends what comes on `queue` to `socket`, which must be bound to it.
    pub(super) fn bind_queue(&mut self, queue: u32, socket: &impl AsFd) -> Result<(), NetError> {
        self.xsks
            .set(queue, socket.as_fd().as_raw_fd(), 0)
            .map_err(|error| bpf_error("add a socket to the steering map", error.into()))
    }

    /// Leaves what comes on `queue` to the kernel.
    pub(super) fn unbind_queue(&mut self, queue: u32) -> Result<(), NetError> {
        self.xsks
            .unset(queue)
            .map_err(|error| bpf_error("remove a socket from the steering map", error.into()))
    }

    pub(super) fn counters(&self) -> Result<SteeringCounters, NetError> {
        let sum = |index: u32| -> Result<u64, NetError> {
            let values = self.counters.get(&index, 0);
            let values = values.map_err(|e| bpf_error("read the steering counters", e.into()))?;
            Ok(values.iter().sum())
        };
        Ok(SteeringCounters {
            redirected: sum(0)?,
            no_key: sum(1)?,
            fragments: sum(2)?,
            malformed: sum(3)?,
            unbound_queue: sum(4)?,
        })
    }
}

/// Group and port in network byte order, and padding: `struct line_key`.
type LineKey = [u8; 8];

fn key_of(line: &LineConfig) -> Result<LineKey, NetError> {
    let std::net::IpAddr::V4(group) = line.group else {
        return Err(super::only_ipv4(line));
    };
    let [a, b, c, d] = group.octets();
    let [high, low] = line.port.to_be_bytes();
    Ok([a, b, c, d, high, low, 0, 0])
}

/// The program with the card's time, or why it cannot be had: kernel or driver do not have it. Times
/// are taken by this process then, and labelled so.
fn attach_stamped(
    program: &Ebpf,
    interface: &Interface,
) -> Result<(Option<Stamped>, Option<NetErrorText>), NetError> {
    let descriptor = |name: &'static str| match program.map(name) {
        Some(Map::HashMap(map) | Map::XskMap(map) | Map::PerCpuArray(map)) => {
            (name, map.fd().as_fd())
        }
        _ => unreachable!("the object has these three maps"),
    };
    let maps = ["lines", "xsks", "counters"].map(descriptor);
    match Stamped::attach(interface.index, &maps) {
        Ok(stamped) => Ok((Some(stamped), None)),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(NetError::Permission {
            doing: "load the steering program".to_owned(),
            remedy: "give the worker CAP_BPF and CAP_NET_ADMIN",
            source: error,
        }),
        // Somebody else's program is found again, and told, when the plain one is attached.
        Err(error) => {
            let error = NetError::io("fetch the card's receive times by XDP metadata", error);
            Ok((None, Some(NetErrorText::from(&error))))
        }
    }
}

fn attach(program: &mut Ebpf, interface: &Interface, rung: Rung) -> Result<FdLink, NetError> {
    let xdp: &mut Xdp = program
        .program_mut("steer")
        .expect("the object has the program")
        .try_into()
        .expect("the program is of type XDP");
    xdp.load()
        .map_err(|error| bpf_error("load the steering program", error.into()))?;
    let mode = match rung {
        Rung::Generic => XdpMode::Skb,
        _ => XdpMode::Driver,
    };
    let id = xdp
        .attach_to_if_index(interface.index, mode)
        .map_err(|error| attach_error(interface, error))?;
    // Where the kernel refuses a link, aya attaches by netlink instead, which would outlive a
    // crash. A link of our program tells which of the two it was.
    let own = xdp.info().map(|info| info.id());
    let own = own.map_err(|error| bpf_error("read the steering program's id", error.into()))?;
    let has_link =
        aya::programs::loaded_links().any(|link| link.is_ok_and(|link| link.program_id() == own));
    if !has_link {
        xdp.detach(id)
            .map_err(|error| bpf_error("detach the steering program", error.into()))?;
        return Err(NetError::Bpf {
            doing: "attach the steering program by a link",
            detail: "this kernel has only attachments that outlive a crash; 5.9 or newer has links"
                .to_owned(),
            source: io::Error::from_raw_os_error(libc::EOPNOTSUPP),
        });
    }
    let link = xdp
        .take_link(id)
        .map_err(|error| bpf_error("take the steering program's link", error.into()))?;
    FdLink::try_from(link).map_err(|error| NetError::Bpf {
        doing: "take the steering program's link",
        detail: error.to_string(),
        source: io::Error::from_raw_os_error(libc::EOPNOTSUPP),
    })
}

fn attach_error(interface: &Interface, error: ProgramError) -> NetError {
    let error = bpf_error("attach the steering program", error.into());
    if !error.is(rustix::io::Errno::BUSY) && !error.is(rustix::io::Errno::EXIST) {
        return error;
    }
    match Link::of(interface.index) {
        Ok(Link { xdp_program_id, .. }) if xdp_program_id != 0 => NetError::ForeignProgram {
            interface: interface.name.clone(),
            program_id: xdp_program_id,
            source: io::Error::from_raw_os_error(error.errno().unwrap_or(libc::EBUSY)),
        },
        _ => error,
    }
}

fn taken<M>(program: &mut Ebpf, name: &str) -> Result<M, NetError>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    let map = program.take_map(name).expect("the object has the map");
    M::try_from(map).map_err(|error| bpf_error("open a map of the steering program", error.into()))
}

/// aya's error with the system's reason brought to the surface.
fn bpf_error(doing: &'static str, error: EbpfError) -> NetError {
    let source = system_error(&error);
    if source.raw_os_error() == Some(libc::EPERM) {
        return NetError::Permission {
            doing: doing.to_owned(),
            remedy: "give the worker CAP_BPF and CAP_NET_ADMIN",
            source,
        };
    }
    let detail = error.to_string();
    NetError::Bpf {
        doing,
        detail,
        source,
    }
}

/// The first error of the system in the chain of causes.
fn system_error(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let found = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        if let Some(number) = found {
            return io::Error::from_raw_os_error(number);
        }
        cause = error.source();
    }
    io::Error::from(io::ErrorKind::Other)
}

/// Compiled from `native/bpf/steer.bpf.c`; a test compares the two.
static OBJECT: &[u8] = aya::include_bytes_aligned!("steer.bpf.o");
