//! Recovery of a CME MDP 3.0 channel: a reader that loses packets comes back to the books of one
//! that lost none.

mod collector;
mod comes_back;
mod model;
mod replayer;
