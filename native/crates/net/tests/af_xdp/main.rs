//! The AF_XDP path on a veth pair between two network namespaces. Copy mode only: veth has no
//! zero-copy, which is one of the things tested.

mod allocation;
mod million;
mod path;
mod traffic;
mod wire;
