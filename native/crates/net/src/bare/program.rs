//! The smallest XDP program: every frame of a queue goes to the socket in the map, or to the kernel
//! when there is none. Written as instructions, since it is five lines.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::xsk::XskMode;

/// A program attached to an interface; detached on drop.
pub(super) struct Program {
    _link: OwnedFd,
    _program: OwnedFd,
    _map: OwnedFd,
}

impl Program {
    /// Sends the frames of queue 0 to the socket.
    pub(super) fn attach(
        interface_index: u32,
        mode: XskMode,
        socket: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let map = bpf(
            BPF_MAP_CREATE,
            &MapCreate {
                map_type: BPF_MAP_TYPE_XSKMAP,
                key_bytes: 4,
                value_bytes: 4,
                entries: 1,
            },
        )?;
        let map = owned(map);
        let (queue, descriptor) = (0u32, socket.as_raw_fd());
        let element = MapUpdate {
            map: map.as_raw_fd(),
            _padding: 0,
            key: (&raw const queue).addr() as u64,
            value: (&raw const descriptor).addr() as u64,
            flags: 0,
        };
        bpf(BPF_MAP_UPDATE_ELEM, &element)?;
        let program = load(&map)?;
        let link = LinkCreate {
            program: program.as_raw_fd(),
            interface_index,
            attach_type: BPF_XDP,
            flags: match mode {
                XskMode::Generic => XDP_FLAGS_SKB_MODE,
                XskMode::Native => XDP_FLAGS_DRV_MODE,
            },
        };
        let link = bpf(BPF_LINK_CREATE, &link)?;
        Ok(Self {
            _link: owned(link),
            _program: program,
            _map: map,
        })
    }
}

fn load(map: &OwnedFd) -> io::Result<OwnedFd> {
    let map = map.as_fd().as_raw_fd();
    let instructions = [
        // r2 = context->rx_queue_index
        Instruction::new(0x61, 2, 1, 16, 0),
        // r1 = the map, a load of 64 bits in two halves; source register 1 says "descriptor"
        Instruction::new(0x18, 1, 1, 0, map),
        Instruction::new(0, 0, 0, 0, 0),
        // r3 = XDP_PASS, what happens without a socket
        Instruction::new(0xB7, 3, 0, 0, 2),
        // r0 = bpf_redirect_map(r1, r2, r3)
        Instruction::new(0x85, 0, 0, 0, 51),
        // return r0
        Instruction::new(0x95, 0, 0, 0, 0),
    ];
    let license = c"Dual MIT/GPL";
    let load = ProgramLoad {
        program_type: BPF_PROG_TYPE_XDP,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr().addr() as u64,
        license: license.as_ptr().addr() as u64,
        rest: [0; 5],
    };
    bpf(BPF_PROG_LOAD, &load).map(owned)
}

/// One system call; its result is a descriptor or 0.
fn bpf<T: Attributes>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the attributes are a plain structure with the layout of this command's part of
    // `union bpf_attr`, live through the call, and the length is theirs; every address in them is
    // of memory that the caller keeps alive and that the kernel only reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            mem::size_of::<T>(),
        )
    };
    i32::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}

fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: a command that creates something returns a new descriptor, which is only here.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A part of `union bpf_attr` (linux/bpf.h).
trait Attributes {}
impl Attributes for MapCreate {}
impl Attributes for MapUpdate {}
impl Attributes for ProgramLoad {}
impl Attributes for LinkCreate {}

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries: u32,
}

#[repr(C)]
struct MapUpdate {
    map: i32,
    _padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    /// Log level, size and buffer, kernel version, flags: none.
    rest: [u64; 5],
}

#[repr(C)]
struct LinkCreate {
    program: i32,
    interface_index: u32,
    attach_type: u32,
    flags: u32,
}

/// `struct bpf_insn`: the registers share a byte, the destination in the low half.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        Self {
            code,
            registers: destination | source << 4,
            offset,
            immediate,
        }
    }
}

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
