//! The steering program that also fetches the card's receive time (XDP RX metadata).
//!
//! The time comes from `bpf_xdp_metadata_rx_timestamp`, a function of the kernel that works only in
//! a program which is loaded for one interface (BPF_F_XDP_DEV_BOUND_ONLY) and attached in its
//! driver; see Documentation/networking/xdp-rx-metadata.rst. aya loads neither such programs nor
//! calls of kernel functions, so this one is loaded and attached here: aya-obj reads the object, the
//! maps are those that aya has made for the plain program, and the link is made directly, which also
//! means that there is no attachment by netlink to fall back to. Minimum kernel: 6.3.

use std::collections::HashSet;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::Object;
use aya_obj::btf::{Btf, BtfKind};
use aya_obj::generated::bpf_insn;

/// An attached program; detached when dropped.
pub(super) struct Stamped {
    _link: OwnedFd,
    _program: OwnedFd,
}

impl Stamped {
    /// Loads the program for the interface with the maps of the plain one, and attaches it in the
    /// driver. Fails where the driver has no such times, and on kernels that do not know them.
    pub(super) fn attach(index: u32, maps: &[(&str, BorrowedFd<'_>)]) -> io::Result<Self> {
        let kernel = Btf::from_sys_fs().map_err(io::Error::other)?;
        let function = kernel
            .id_by_type_name_kind(FUNCTION, BtfKind::Func)
            .map_err(|_| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
        let mut instructions = relocated(maps)?;
        patch(&mut instructions, function)?;
        let program = load(&instructions, index)?;
        let link = link(&program, index)?;
        Ok(Self {
            _link: link,
            _program: program,
        })
    }
}

/// The instructions, with the descriptors of the maps in their places.
fn relocated(maps: &[(&str, BorrowedFd<'_>)]) -> io::Result<Vec<bpf_insn>> {
    let mut object = Object::parse(OBJECT).map_err(io::Error::other)?;
    let known = object.maps.clone();
    let places = maps
        .iter()
        .filter_map(|(name, fd)| Some((*name, fd.as_raw_fd(), known.get(*name)?)));
    let sections: HashSet<usize> = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object
        .relocate_maps(places, &sections)
        .and_then(|()| object.relocate_calls(&sections))
        .map_err(io::Error::other)?;
    let function = object.functions.into_values().next();
    Ok(function.expect("the object has one function").instructions)
}

/// Turns the call of the placeholder into a call of the kernel's function with this BTF id.
fn patch(instructions: &mut [bpf_insn], function: u32) -> io::Result<()> {
    let is_placeholder = |insn: &&mut bpf_insn| {
        insn.code == OP_CALL && insn.src_reg() == 0 && insn.imm == PLACEHOLDER
    };
    let call = instructions.iter_mut().find(is_placeholder);
    let call = call.ok_or_else(|| io::Error::other("the object calls no placeholder"))?;
    call.set_src_reg(PSEUDO_KFUNC_CALL);
    call.imm = function.cast_signed();
    Ok(())
}

fn load(instructions: &[bpf_insn], index: u32) -> io::Result<OwnedFd> {
    bpf(
        BPF_PROG_LOAD,
        &ProgramLoad {
            kind: BPF_PROG_TYPE_XDP,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: LICENSE.as_ptr() as u64,
            flags: BPF_F_XDP_DEV_BOUND_ONLY,
            name: *b"steer_stamped\0\0\0",
            index,
            attach_type: BPF_XDP,
            ..ProgramLoad::default()
        },
    )
}

fn link(program: &OwnedFd, index: u32) -> io::Result<OwnedFd> {
    bpf(
        BPF_LINK_CREATE,
        &LinkCreate {
            program: program.as_raw_fd().cast_unsigned(),
            index,
            attach_type: BPF_XDP,
            flags: XDP_FLAGS_DRV_MODE,
        },
    )
}

/// A command of bpf(2) that answers with a descriptor.
fn bpf<T: Attributes>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // No safe wrapper has these two commands.
    // SAFETY: `attributes` is one of the two structures below: plain integers laid out as the
    // kernel's `union bpf_attr` for their command, without padding, and as long as said. The
    // addresses in it are of slices that outlive the call, which the kernel only reads.
    let result = unsafe {
        let attributes: *const T = attributes;
        libc::syscall(libc::SYS_bpf, command, attributes, mem::size_of::<T>())
    };
    let descriptor = libc::c_int::try_from(result).unwrap_or(-1);
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both commands answer with a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// What may be handed to [`bpf`].
trait Attributes {}
impl Attributes for ProgramLoad {}
impl Attributes for LinkCreate {}

/// BPF_PROG_LOAD's part of `union bpf_attr` (uapi/linux/bpf.h), as far as it is used.
#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_bytes: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    index: u32,
    attach_type: u32,
}

/// BPF_LINK_CREATE's part of `union bpf_attr`, as far as it is used.
#[repr(C)]
struct LinkCreate {
    program: u32,
    index: u32,
    attach_type: u32,
    flags: u32,
}

const FUNCTION: &str = "bpf_xdp_metadata_rx_timestamp";
/// The number in the source that stands for the function.
const PLACEHOLDER: i32 = 0x7DEC;
const LICENSE: &[u8] = b"Dual MIT/GPL\0";
const OP_CALL: u8 = 0x85;
const PSEUDO_KFUNC_CALL: u8 = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Compiled from `native/bpf/steer.bpf.c` with RX_TIMESTAMP; a test compares the two.
static OBJECT: &[u8] = aya::include_bytes_aligned!("steer_stamped.bpf.o");

#[cfg(test)]
mod tests {
    use super::*;

    /// The structures are as the kernel lays them out: no padding, names and indices in place.
    #[test]
    fn the_attributes_have_the_kernels_layout() {
        assert_eq!(mem::size_of::<ProgramLoad>(), 72);
        assert_eq!(mem::offset_of!(ProgramLoad, name), 48);
        assert_eq!(mem::offset_of!(ProgramLoad, index), 64);
        assert_eq!(mem::size_of::<LinkCreate>(), 16);
    }

    /// The object has exactly one call to be replaced, and its maps are relocated.
    #[test]
    fn the_placeholder_is_replaced_once() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsFd::as_fd(&null);
        let maps = [("lines", fd), ("xsks", fd), ("counters", fd)];
        let mut instructions = relocated(&maps).unwrap();
        patch(&mut instructions, 77).unwrap();
        let calls = instructions
            .iter()
            .filter(|insn| insn.src_reg() == PSEUDO_KFUNC_CALL);
        let calls: Vec<i32> = calls
            .filter(|insn| insn.code == OP_CALL)
            .map(|i| i.imm)
            .collect();
        assert_eq!(calls, [77]);
        assert!(
            patch(&mut instructions, 77).is_err(),
            "there is no second one"
        );
    }
}
