//! CME MDP 3.0: properties over any bytes, the exchange's schemas, and real captures.

mod properties;
mod real_data;
mod schema;
mod single_packets;
mod views;
