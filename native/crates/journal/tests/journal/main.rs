//! The journal through its public interface, on real files.

mod blocks;
mod compression;
mod corruption;
mod damage;
mod following;
mod index;
mod kill;
mod point_in_time;
mod policies;
mod rearranged;
mod recovery;
mod round_trip;
mod salvage;
mod support;
