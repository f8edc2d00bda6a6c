//! A network of two hosts for tests and benchmarks: network namespaces, a veth pair, and frames
//! built byte by byte. Nothing here is part of the plant.
//!
//! - [`Testbed`]: namespaces `tx` and `rx`, the veth pair `tx0`-`rx0` between them, gone on drop.
//!   [`or_skip`] says why a test cannot have one.
//! - [`promised`]: how long a test waits for what is promised within a time.
//! - [`FrameBuilder`]: Ethernet frames of UDP datagrams, fragments, and frames that are wrong on
//!   purpose. Pure.
//!
//! Needs root and iproute2. With `TICKDECK_TEST_PRIVILEGED=require` in the environment (CI) a
//! testbed that cannot be had is a failure instead of a skip.
#![forbid(unsafe_code)]

mod checksum;
mod error;
mod frame;
mod namespace;
mod promise;
mod testbed;

pub use error::{TestbedError, Unavailable};
pub use frame::{FrameBuilder, Malformation, multicast_mac};
pub use promise::promised;
pub use testbed::{
    RX_ADDRESS, RX_ADDRESS_V6, RX_INTERFACE, TX_ADDRESS, TX_ADDRESS_V6, TX_INTERFACE, Testbed,
    or_skip, skip,
};
