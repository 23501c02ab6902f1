//! The process log: everything that is said on standard error, and how much of it.
//!
//! Access lines are not part of it; they go to standard output, see [`access`](crate::access).
use parking_lot::Mutex;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::Directive,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    reload,
    util::{SubscriberInitExt as _, TryInitError},
};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a log cannot be had as asked for.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "{part:?} is not a log directive; want a level (off, error, warn, info, debug or trace) \
         or one for a target: target=level"
    )]
    Directive { part: String },
    #[error("the process has a log already")]
    Taken(#[source] TryInitError),
    #[error("the log is gone")]
    Gone(#[source] reload::Error),
    #[error("the file cannot be opened")]
    File(#[source] io::Error),
}

/// A file that the log is written to; clones are one and the same.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: Arc<Path>,
    file: Arc<Mutex<File>>,
}

/// Changes how much is logged; clones are one and the same.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    current: Arc<Mutex<String>>,
}

/// Starts the process's log, on standard error.
///
/// `directives` are as [`EnvFilter`] has them: `info,culvert_dataplane=debug`.
///
/// # Errors
///
/// When the directives cannot be understood, or there is a log already.
pub fn init(format: LogFormat, directives: &str) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = subscriber(format, directives, io::stderr)?;
    subscriber.try_init().map_err(LogError::Taken)?;
    Ok(handle)
}

/// Starts the process's log for people, in a file or, without one, on standard error.
///
/// # Errors
///
/// As [`init`], or when the file cannot be opened.
pub fn init_to(
    path: Option<&Path>,
    directives: &str,
) -> Result<(LogHandle, Option<LogFile>), LogError> {
    let Some(path) = path else { return Ok((init(LogFormat::Text, directives)?, None)) };
    let file = LogFile::open(path).map_err(LogError::File)?;
    let writer = file.clone();
    let (subscriber, handle) = subscriber(LogFormat::Text, directives, move || writer.clone())?;
    subscriber.try_init().map_err(LogError::Taken)?;
    Ok((handle, Some(file)))
}

/// Whether `directives` can be understood.
///
/// # Errors
///
/// When they cannot; the error says which part.
pub fn check(directives: &str) -> Result<(), LogError> {
    parse(directives).map(drop)
}

impl LogHandle {
    /// Replaces what is logged.
    ///
    /// # Errors
    ///
    /// When the directives cannot be understood; then nothing changes.
    pub fn set(&self, directives: &str) -> Result<(), LogError> {
        let filter = parse(directives)?;
        // Held over both, so that what is shown is what is in force.
        let mut current = self.current.lock();
        self.filter.reload(filter).map_err(LogError::Gone)?;
        directives.clone_into(&mut current);
        Ok(())
    }

    /// The directives in force, as they were given.
    pub fn current(&self) -> String {
        self.current.lock().clone()
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), file: Arc::new(Mutex::new(append_to(path)?)) })
    }

    /// Opens the file anew, for whoever has moved it away.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the old one is kept.
    pub fn reopen(&self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        *self.file.lock() = file;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.lock().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn subscriber(
    format: LogFormat,
    directives: &str,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Result<(impl Subscriber + Send + Sync, LogHandle), LogError> {
    let (filter, handle) = reload::Layer::new(parse(directives)?);
    let lines = fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let current = Arc::new(Mutex::new(directives.to_owned()));
    let handle = LogHandle { filter: handle, current };
    Ok((tracing_subscriber::registry().with(filter).with(lines), handle))
}

/// Stricter than [`EnvFilter`], for which a misspelt level is the name of a target.
fn parse(directives: &str) -> Result<EnvFilter, LogError> {
    let parts: Vec<_> = directives.split(',').map(str::trim).collect();
    if let Some(&part) = parts.iter().find(|part| !is_directive(part)) {
        return Err(LogError::Directive { part: part.to_owned() });
    }
    Ok(EnvFilter::new(parts.join(",")))
}

fn is_directive(part: &str) -> bool {
    let names_something = part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok();
    // An empty one is the level `error` to both parsers.
    !part.is_empty() && names_something && part.parse::<Directive>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain;
    use tracing::{debug, info, subscriber::with_default};

    #[derive(Clone, Debug, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start(format: LogFormat, directives: &str) -> (impl Subscriber, LogHandle, Captured) {
        let captured = Captured::default();
        let writer = captured.clone();
        let (subscriber, handle) = subscriber(format, directives, move || writer.clone()).unwrap();
        (subscriber, handle, captured)
    }

    #[test]
    fn says_what_the_directives_ask_for_and_can_change_its_mind() {
        let (subscriber, handle, captured) = start(LogFormat::Text, "info");
        with_default(subscriber, || {
            info!(port = 80, "listening");
            debug!("not said");
            handle.set("warn,culvert_telemetry=debug").unwrap();
            debug!("now said");
        });
        let text = captured.text();
        assert!(text.contains("INFO culvert_telemetry::log::tests: listening port=80"), "{text}");
        assert!(text.contains("now said") && !text.contains("not said"), "{text}");
        assert_eq!(handle.current(), "warn,culvert_telemetry=debug");
    }

    #[test]
    fn writes_json_with_the_span() {
        let (subscriber, _handle, captured) = start(LogFormat::Json, "info");
        with_default(subscriber, || {
            let _conn = tracing::info_span!("conn", id = 7).entered();
            info!(port = 80, "listening");
        });
        let line: serde_json::Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "listening");
        assert_eq!(line["port"], 80);
        assert_eq!(line["span"]["id"], 7);
    }

    #[test]
    fn refuses_what_it_does_not_understand_and_stays_as_it_was() {
        let (_subscriber, handle, _) = start(LogFormat::Text, "info");
        let refused = |directives| {
            let error = handle.set(directives).unwrap_err();
            assert_eq!(handle.current(), "info");
            Chain(&error).to_string()
        };
        let want = "is not a log directive; want a level (off, error, warn, info, debug or trace) \
                    or one for a target: target=level";
        assert_eq!(refused("debgu"), format!("\"debgu\" {want}"));
        assert_eq!(refused(""), format!("\"\" {want}"));
        assert_eq!(refused("info,culvert_dataplane"), format!("\"culvert_dataplane\" {want}"));
        assert_eq!(refused("info,a=loud"), format!("\"a=loud\" {want}"));
    }

    #[test]
    fn understands_the_spans_of_connections() {
        assert!(parse("warn,[conn{id=7}]=trace, culvert_dataplane=debug").is_ok());
    }
}
