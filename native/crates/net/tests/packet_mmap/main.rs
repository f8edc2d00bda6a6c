//! The packet ring on a veth pair between two network namespaces.

mod allocation;
mod million;
mod path;
mod ring;
