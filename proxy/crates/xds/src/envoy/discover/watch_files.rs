//! A file that holds a response of discovery.
use super::Source;
use crate::envoy::{
    assemble::Update,
    kind::Kind,
    stream::{Protocol, Response, Stream, Wanted},
};
use culvert_model::http::source::WatchedFile;
use culvert_proto::{Message as _, api::envoy::service::discovery::v3::DiscoveryResponse, json};
use std::{collections::BTreeMap, fs, path::Path};

/// Reads the file whenever something happens in its directory.
pub(super) async fn follow(mut source: Source, file: WatchedFile) {
    let path = Path::new(&*file.path);
    let own = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let own = own.unwrap_or(Path::new("."));
    let directory = file.directory.as_deref().map_or(own, Path::new);
    let mut changes = match super::disk::Changes::of([own, directory]) {
        Ok(changes) => changes,
        Err(error) => {
            let what = format!("{} cannot be watched: {error}", directory.display());
            source.shared.failed(&source.asked, &what);
            // Without it, only what is there now counts.
            super::disk::Changes::never()
        }
    };
    let protocol = Protocol::StateOfTheWorld;
    let mut stream = Stream::new(protocol, source.asked.clone(), source.node.clone(), false);
    let mut last: Option<Vec<u8>> = None;
    loop {
        let wants = source.wants.borrow_and_update().clone();
        for (kind, wanted) in wants {
            let sent = stream.want(kind, wanted, |_| BTreeMap::new());
            debug_assert!(sent.is_none(), "nothing is connected");
        }
        match fs::read(path) {
            Ok(bytes) => {
                if last.as_ref() != Some(&bytes) {
                    take(&source, &mut stream, path, &bytes);
                    last = Some(bytes);
                }
            }
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                source.shared.failed(&source.asked, &what);
            }
        }
        tokio::select! {
            changed = source.wants.changed() => {
                if changed.is_err() {
                    return;
                }
                last = None;
            }
            () = changes.next() => {}
        }
    }
}

fn take(source: &Source, stream: &mut Stream, path: &Path, bytes: &[u8]) {
    let mut response = match read(path, bytes) {
        Ok(response) => response,
        Err(what) => {
            return source.shared.failed(&source.asked, &format!("{}: {what}", path.display()));
        }
    };
    if response.type_url.is_empty() {
        let first = response.resources.first();
        response.type_url = first.map(|any| any.type_url.clone()).unwrap_or_default();
    }
    if response.type_url.is_empty() {
        return empty(source);
    }
    source.shared.connected(&source.asked);
    let Some(received) = stream.receive(Response::StateOfTheWorld(response)) else { return };
    let errors = source.shared.apply(received.update, received.receipt.version());
    for (name, wrong) in received.receipt.malformed.iter().chain(&errors) {
        source.shared.failed(&source.asked, &format!("{}: {name}: {wrong}", path.display()));
    }
    let _answer = stream.answer(received.receipt, &errors);
}

/// A file with nothing in it: nothing is there of what is wanted whole.
fn empty(source: &Source) {
    source.shared.connected(&source.asked);
    for (kind, wanted) in source.wants.borrow().iter() {
        if *wanted == Wanted::All {
            let update = Update {
                kind: *kind,
                from: source.asked.clone(),
                set: Vec::new(),
                removed: Vec::new(),
                is_whole: matches!(kind, Kind::Listener | Kind::Cluster),
            };
            source.shared.apply(update, "");
        }
    }
}

/// A response of discovery as a file has it: YAML and JSON, or protobuf by the name's end.
///
/// # Errors
///
/// When it is none.
pub fn read(path: &Path, bytes: &[u8]) -> Result<DiscoveryResponse, String> {
    if path.extension().is_some_and(|extension| extension == "pb") {
        return DiscoveryResponse::decode(bytes).map_err(|error| error.to_string());
    }
    let text = std::str::from_utf8(bytes).map_err(|_binary| "is not text".to_owned())?;
    let value = json::yaml::read(text).map_err(|error| error.to_string())?;
    json::read(&value).map_err(|problems| problems.to_string())
}
