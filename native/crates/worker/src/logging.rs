//! The worker's own log: JSON lines on standard error, which the daemon points at a file.

use std::env;

use tracing_subscriber::EnvFilter;

/// Starts logging; `TICKDECK_LOG` sets the filter (default `info`). A filter that cannot be read
/// is told in the log's first line. A second call changes nothing.
pub fn start() {
    let wanted = env::var_os("TICKDECK_LOG").map(|text| text.to_string_lossy().into_owned());
    let (filter, problem) = filter_of(wanted.as_deref());
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
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
}

/// The filter of a text, and what is wrong with the text.
fn filter_of(wanted: Option<&str>) -> (EnvFilter, Option<String>) {
    let default = || EnvFilter::new("info");
    match wanted.map(|text| (text, EnvFilter::try_new(text))) {
        None => (default(), None),
        Some((_, Ok(filter))) => (filter, None),
        Some((text, Err(error))) => {
            let problem = format!("TICKDECK_LOG {text:?}: {error}; logging at info");
            (default(), Some(problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter that cannot be read falls back to the default and says so.
    #[test]
    fn a_bad_filter_is_told() {
        assert_eq!(filter_of(None).1, None);
        let (filter, problem) = filter_of(Some("warn,tickdeck_worker=debug"));
        assert_eq!(
            (filter.max_level_hint(), problem),
            (Some(tracing::Level::DEBUG.into()), None)
        );
        let (filter, problem) = filter_of(Some("info,a=loud"));
        assert_eq!(filter.max_level_hint(), Some(tracing::Level::INFO.into()));
        assert!(problem.expect("a problem").contains("a=loud"));
    }
}
