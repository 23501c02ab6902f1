//! Pods that are handed over as they are made: by the CNI plugin, before a container starts in
//! them.
//!
//! Reading order: [`roster`] (who is to be in the mesh; pure), [`book`] (what was handed over),
//! [`door`] (where the plugin comes in), [`listing`] (what decides while no process is there),
//! [`entry`] (the plugin in the runtime's list).
pub(crate) mod book;
mod door;
mod entry;
mod listing;
pub(crate) mod roster;

use super::{Plan, feed::Feed};
use crate::{
    admin::listeners::{ListenError, Place, prepare_unix},
    config::cni::Cni,
};
use culvert_cni::{chain::Entry, install::Places, message::SOCKET};
use culvert_dataplane::Dataplane;
use culvert_runtime::drain::Worker;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// The door of a process that is not yet the one that is asked.
#[derive(Debug)]
pub(super) struct Ready {
    listener: UnixListener,
    place: Place,
}

/// Makes the socket, beside the one of a process that runs.
///
/// # Errors
///
/// When it cannot be made there.
pub(super) fn prepare(run_dir: &Path) -> Result<Ready, ListenError> {
    let path = run_dir.join(SOCKET);
    let (bound, place) = prepare_unix(&path)?;
    let listener = UnixListener::from_std(bound);
    let listener = listener.map_err(|source| ListenError::Socket { path, source })?;
    Ok(Ready { listener, place })
}

impl Ready {
    /// Answers from now on, until the worker finishes.
    ///
    /// # Errors
    ///
    /// When the socket cannot be moved into its place.
    pub(super) fn open(
        self,
        plan: &Plan,
        feed: &Feed,
        dataplane: &Dataplane,
        worker: &Worker,
    ) -> Result<(), ListenError> {
        let Self { listener, place } = self;
        // What the process before was handed until this moment.
        feed.book.read();
        place.take()?;
        let door = door::Door {
            roster: feed.source.roster(),
            book: feed.book.clone(),
            dataplane: dataplane.clone(),
            cluster: plan.config.cluster.as_str().into(),
            host_proc: plan.config.cni.host_proc.clone(),
        };
        worker.spawn(door.serve(listener, worker.clone()));
        let run_dir = plan.ground.instance.run_dir();
        let listed = listing::keep(
            &enrolled_file(&plan.config.cni, &plan.config.instance, &run_dir),
            feed.source.roster(),
            worker,
        );
        let installs = entry::Installs {
            places: places(&plan.config.cni),
            entry: entry_of(&plan.config.cni, &plan.config.instance, &run_dir),
            run_dir,
        };
        installs.keep(listed, worker);
        Ok(())
    }
}

/// The entry in the runtime's list.
fn entry_of(cni: &Cni, instance: &str, run_dir: &Path) -> Entry {
    Entry {
        instance: instance.to_owned(),
        socket: run_dir.join(SOCKET),
        enrolled: enrolled_file(cni, instance, run_dir),
    }
}

/// The list that decides while no process is there: beside the entry, so that it outlives a reboot
/// as the entry does.
fn enrolled_file(cni: &Cni, instance: &str, run_dir: &Path) -> PathBuf {
    match &cni.conf_dir {
        Some(conf_dir) => enrolled_in(conf_dir, instance),
        None => run_dir.join("cni.enrolled"),
    }
}

/// Where that list is in a folder of configurations; runtimes do not look at such a name.
pub(crate) fn enrolled_in(conf_dir: &Path, instance: &str) -> PathBuf {
    conf_dir.join(format!("culvert-{instance}.enrolled"))
}

fn places(cni: &Cni) -> Places {
    Places { bin_dir: cni.bin_dir.clone(), conf_dir: cni.conf_dir.clone() }
}
