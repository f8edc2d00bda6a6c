//! Packet and message views over bytes: MoldUDP64 and ITCH 5.0.
#![forbid(unsafe_code)]
