//! The list that decides while no process is there, kept as it is known.
use super::roster::Roster;
use culvert_cni::enrolled::Enrolled;
use culvert_runtime::{
    drain::Worker,
    publish::{Generation, View},
};
use std::{path::Path, path::PathBuf, time::Duration};
use tokio::{sync::watch, time};
use tracing::warn;

/// How often to try again what cannot be written.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the list to `path` whenever it changes, until the worker finishes; tells when it was
/// written first. Before anything is known, what is there stays.
pub(super) fn keep(path: &Path, roster: View<Roster>, worker: &Worker) -> watch::Receiver<bool> {
    let (written, told) = watch::channel(false);
    let (path, own) = (path.to_owned(), worker.clone());
    worker.spawn(async move {
        tokio::select! {
            () = own.finishing() => {}
            () = follow(path, roster, written) => {}
        }
    });
    told
}

async fn follow(path: PathBuf, mut roster: View<Roster>, written: watch::Sender<bool>) {
    let mut seen = Generation::FIRST;
    let mut last: Option<Enrolled> = None;
    let mut troubled = false;
    loop {
        let Some(newer) = roster.newer_than(seen).await else { return };
        let enrolled = newer.value.enrolled();
        if last.as_ref() == Some(&enrolled) {
            seen = newer.generation;
            continue;
        }
        let (place, text) = (path.clone(), enrolled.clone());
        let done = tokio::task::spawn_blocking(move || text.write(&place)).await;
        match done.map_err(std::io::Error::other).flatten() {
            Ok(()) => {
                (seen, last, troubled) = (newer.generation, Some(enrolled), false);
                written.send_replace(true);
            }
            Err(error) => {
                if !troubled {
                    let path = path.display();
                    warn!(%path, %error, "the list of enrolled namespaces is out of date: without this process, the CNI plugin decides by the one before");
                }
                troubled = true;
                time::sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_runtime::{drain::Drain, publish};

    #[tokio::test]
    async fn the_list_follows_what_is_known_and_not_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enrolled");
        let before = Enrolled { namespaces: ["old".to_owned()].into(), ..Enrolled::default() };
        before.write(&path).unwrap();
        let (mut roster, view) = publish::channel(Roster::default());
        let drain = Drain::default();
        let mut written = keep(&path, view, &drain.worker());
        assert_eq!(Enrolled::read(&path).unwrap(), Some(before));
        roster.publish(Roster { namespaces: [("shop".into(), true)].into(), ..Roster::default() });
        written.wait_for(|written| *written).await.unwrap();
        let now = Enrolled::read(&path).unwrap().unwrap();
        assert_eq!(now.namespaces, ["shop".to_owned()].into());
        drain.drain(Duration::from_secs(5)).await;
    }
}
