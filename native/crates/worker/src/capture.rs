//! Captures of datagrams: pcap and pcapng read, pcapng written.
//!
//! | Module | Does |
//! |---|---|
//! | [`reader`] | a file, gzip or not, into frames and their datagrams |
//! | [`frame`] | a captured frame into its UDP datagram |
//! | [`messages`] | the MoldUDP64 packets of a capture into messages in order |
//! | [`pcapng`] | datagrams into a pcapng file, their headers built again |
//!
//! A capture is told by the first bytes of the file ([`is_capture`]), never by its name.

mod frame;
mod messages;
mod pcapng;
mod reader;

pub use frame::{Datagram, Skip};
pub use messages::{CapturedMessages, read_messages};
pub use pcapng::{CapturedPacket, Interface, PcapngWriter};
pub use reader::{CaptureError, Frame, Reader, Skips, is_capture};
