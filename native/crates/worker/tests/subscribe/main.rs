//! `tickdeck-journal subscribe` against a provider in the test's own process.

mod copies;
mod following;
mod provider;
mod support;
