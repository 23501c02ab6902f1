//! What happens in directories; and a layer of the runtime that is one.
use super::Discovery;
use culvert_model::http::{runtime::RuntimeLayer, value::Value};
use inotify::{EventStream, Inotify, WatchMask};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time;
use tokio_stream::StreamExt as _;

/// Events of one change come together.
const PAUSE: Duration = Duration::from_millis(20);

/// Deeper than any tree of keys.
const DEEPEST: usize = 32;

/// Files of some directories were written, renamed or removed.
pub(super) struct Changes(Option<EventStream<Vec<u8>>>);

impl Changes {
    /// Each directory is watched once.
    pub(super) fn of<'a>(directories: impl IntoIterator<Item = &'a Path>) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let mask = WatchMask::MOVED_TO
            | WatchMask::CLOSE_WRITE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVED_FROM;
        for directory in directories {
            inotify.watches().add(directory, mask)?;
        }
        inotify.into_event_stream(vec![0; 4096]).map(Some).map(Self)
    }

    /// Nothing ever happens.
    pub(super) const fn never() -> Self {
        Self(None)
    }

    /// Resolves when something has happened.
    pub(super) async fn next(&mut self) {
        let Some(events) = &mut self.0 else { return std::future::pending().await };
        match events.next().await {
            Some(_) => time::sleep(PAUSE).await,
            None => self.0 = None,
        }
    }
}

/// Follows a layer of the runtime: one file for each key, directories for its parts.
#[expect(clippy::infinite_loop, reason = "whoever spawned it ends it")]
pub(super) async fn follow(name: Arc<str>, root: PathBuf, discovery: Discovery) {
    // The root is a link that is replaced, as Envoy has it.
    let around = root.parent().map(Path::to_owned).unwrap_or_default();
    let mut changes =
        Changes::of([&*around, &*root]).unwrap_or_else(|_unreadable| Changes::never());
    loop {
        let mut fields = BTreeMap::new();
        if let Err(error) = read(&root, "", 0, &mut fields) {
            tracing::warn!(root = %root.display(), %error, "a layer of the runtime cannot be read");
        }
        let layer = RuntimeLayer::new(Arc::clone(&name), &Value::Struct(Arc::new(fields)));
        discovery.set_layer(&layer);
        changes.next().await;
        if let Ok(again) = Changes::of([&*around, &*root]) {
            changes = again;
        }
    }
}

fn read(
    directory: &Path,
    prefix: &str,
    depth: usize,
    into: &mut BTreeMap<Arc<str>, Value>,
) -> io::Result<()> {
    if depth > DEEPEST {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if file.starts_with('.') {
            continue;
        }
        let key = if prefix.is_empty() { file.to_owned() } else { format!("{prefix}.{file}") };
        if path.is_dir() {
            read(&path, &key, depth + 1, into)?;
        } else {
            let text = fs::read_to_string(&path)?;
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let text = lines.collect::<Vec<_>>().join("\n");
            into.insert(key.into(), value(text.trim_end()));
        }
    }
    Ok(())
}

fn value(text: &str) -> Value {
    match text.trim() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        number => number.parse().map_or_else(|_text| Value::String(text.into()), Value::Number),
    }
}
