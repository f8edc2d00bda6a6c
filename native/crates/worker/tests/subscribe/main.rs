//! `tickdeck-journal subscribe` against a provider in the test's own process.

mod copies;
mod following;
mod listening;
mod provider;
mod support;
