//! The classic BPF program in front of a ring: only the line's frames get in. Pure.
//!
//! It sees a frame as the ring will: from the Ethernet header on, without the outermost VLAN tag,
//! which the kernel has taken out, whatever its number. A frame with two tags is refused. Fragments
//! of the group's UDP get in whatever their port, which only the first has: they are counted.

use std::net::IpAddr;

use libc::sock_filter;

use crate::line::LineConfig;

/// Lets nothing in.
pub(super) fn closed() -> Vec<sock_filter> {
    vec![instruction(RETURN, 0)]
}

/// Lets the line's frames in, at most `captured_bytes` of each.
pub(super) fn of_line(line: &LineConfig, captured_bytes: u32) -> Vec<sock_filter> {
    let mut steps = Vec::new();
    match line.group {
        IpAddr::V4(group) => {
            expect(&mut steps, LOAD_HALF, ETHERNET_TYPE, TYPE_IPV4);
            expect(&mut steps, LOAD_BYTE, V4_PROTOCOL, PROTOCOL_UDP);
            expect(&mut steps, LOAD_WORD, V4_DESTINATION, group.to_bits());
            if let Some(IpAddr::V4(source)) = line.source {
                expect(&mut steps, LOAD_WORD, V4_SOURCE, source.to_bits());
            }
            steps.push(Step::plain(LOAD_HALF, V4_FRAGMENT));
            // More fragments follow, or this is not the first.
            steps.push(Step::jump(JUMP_ANY_BIT, 0x3FFF, To::Accept, To::Next));
            steps.push(Step::plain(LOAD_X_HEADER_LENGTH, IP));
            let port = u32::from(line.port);
            expect(&mut steps, LOAD_HALF_AT_X, IP + UDP_PORT, port);
        }
        IpAddr::V6(group) => {
            expect(&mut steps, LOAD_HALF, ETHERNET_TYPE, TYPE_IPV6);
            expect_address(&mut steps, V6_DESTINATION, group.octets());
            if let Some(IpAddr::V6(source)) = line.source {
                expect_address(&mut steps, V6_SOURCE, source.octets());
            }
            steps.push(Step::plain(LOAD_BYTE, V6_NEXT_HEADER));
            let fragment = Step::jump(JUMP_EQUAL, NEXT_HEADER_FRAGMENT, To::Accept, To::Next);
            steps.push(fragment);
            let udp = Step::jump(JUMP_EQUAL, PROTOCOL_UDP, To::Next, To::Refuse);
            steps.push(udp);
            let port = u32::from(line.port);
            expect(&mut steps, LOAD_HALF, V6_UDP + UDP_PORT, port);
        }
    }
    assembled(&steps, captured_bytes)
}

/// Where a jump leads.
#[derive(Clone, Copy)]
enum To {
    Next,
    Accept,
    Refuse,
}

/// An instruction whose jumps are not yet numbers.
struct Step {
    code: u32,
    value: u32,
    if_true: To,
    if_false: To,
}

impl Step {
    fn plain(code: u32, value: u32) -> Self {
        Self::jump(code, value, To::Next, To::Next)
    }

    fn jump(code: u32, value: u32, if_true: To, if_false: To) -> Self {
        Self {
            code,
            value,
            if_true,
            if_false,
        }
    }
}

/// Loads what is at `at` and refuses the frame unless it is `value`.
fn expect(steps: &mut Vec<Step>, load: u32, at: u32, value: u32) {
    steps.push(Step::plain(load, at));
    steps.push(Step::jump(JUMP_EQUAL, value, To::Next, To::Refuse));
}

fn expect_address(steps: &mut Vec<Step>, at: u32, octets: [u8; 16]) {
    let (words, _) = octets.as_chunks::<4>();
    for (offset, word) in (0..).step_by(4).zip(words) {
        expect(steps, LOAD_WORD, at + offset, u32::from_be_bytes(*word));
    }
}

/// Behind the last step: accept, then refuse.
fn assembled(steps: &[Step], captured_bytes: u32) -> Vec<sock_filter> {
    let mut program = Vec::with_capacity(steps.len() + 2);
    for (index, step) in steps.iter().enumerate() {
        let accept = u8::try_from(steps.len() - index - 1).expect("a short program");
        let distance = |to| match to {
            To::Next => 0,
            To::Accept => accept,
            To::Refuse => accept + 1,
        };
        program.push(sock_filter {
            jt: distance(step.if_true),
            jf: distance(step.if_false),
            ..instruction(step.code, step.value)
        });
    }
    program.push(instruction(RETURN, captured_bytes));
    program.push(instruction(RETURN, 0));
    program
}

fn instruction(code: u32, k: u32) -> sock_filter {
    let (jt, jf) = (0, 0);
    let code = u16::try_from(code).expect("opcodes have 16 bits");
    sock_filter { code, jt, jf, k }
}

const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF_AT_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
/// X = 4 times the low half of a byte: the length of an IPv4 header.
const LOAD_X_HEADER_LENGTH: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

// Offsets from the start of the frame.
const ETHERNET_TYPE: u32 = 12;
const IP: u32 = 14;
const V4_FRAGMENT: u32 = IP + 6;
const V4_PROTOCOL: u32 = IP + 9;
const V4_SOURCE: u32 = IP + 12;
const V4_DESTINATION: u32 = IP + 16;
const V6_NEXT_HEADER: u32 = IP + 6;
const V6_SOURCE: u32 = IP + 8;
const V6_DESTINATION: u32 = IP + 24;
const V6_UDP: u32 = IP + 40;
/// Destination port, from the start of the UDP header.
const UDP_PORT: u32 = 2;

const TYPE_IPV4: u32 = 0x0800;
const TYPE_IPV6: u32 = 0x86DD;
const PROTOCOL_UDP: u32 = 17;
const NEXT_HEADER_FRAGMENT: u32 = 44;

#[cfg(test)]
mod tests;
