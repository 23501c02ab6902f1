//! Where objects come from: files, or the Kubernetes API.

mod cache;

pub mod files;

mod walk;

mod deaf;

pub mod watch;

pub(crate) mod kinds;

pub(crate) mod api;

pub(crate) mod documents;

mod settle;

use api::Intake;
use culvert_kubernetes::{client::Client, mirror::Event};
use std::path::PathBuf;
use watch::Watch;

/// Where objects come from.
#[derive(Clone, Debug)]
pub enum Whence {
    /// Files and folders.
    Files(Vec<PathBuf>),
    Kubernetes(Client),
}

/// Notices changes.
#[derive(Debug)]
pub(crate) enum Follow {
    Files(Watch),
    Api(Intake),
}

/// A change.
#[derive(Debug)]
pub(crate) enum News {
    /// The files are to be read again.
    Files,
    Api(Vec<Event>),
}

impl Follow {
    /// Waits until something changed and the change is over.
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) -> News {
        match self {
            Self::Files(watch) => {
                watch.changed().await;
                News::Files
            }
            Self::Api(intake) => News::Api(intake.changed().await),
        }
    }
}
