//! The worker's own log: JSON lines on standard error, which the daemon points at a file.

use tracing_subscriber::EnvFilter;

/// Starts logging; `TICKDECK_LOG` sets the filter (default `info`). A second call changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_env("TICKDECK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .finish();
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!("logging was already started");
    }
}
