//! Where objects come from: files, or the Kubernetes API.

pub mod files;

mod walk;

mod stamp;

pub(crate) mod kept;

mod interest;

mod deaf;

pub(crate) mod watch;

pub(crate) mod kinds;

pub(crate) mod api;

pub(crate) mod documents;

mod settle;

use crate::object::Objects;
use api::Intake;
use culvert_kubernetes::{client::Client, mirror::Event};
use kept::Dirty;
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
    Files(Box<Watch>),
    Api(Intake),
}

/// A change.
#[derive(Debug)]
pub(crate) enum News {
    /// Of files, which are to be read again.
    Files(Dirty),
    Api(Vec<Event>),
}

/// Objects that changed.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) gone: Objects,
    pub(crate) new: Objects,
}

impl Follow {
    /// Waits until something changed and the change is over.
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) -> News {
        match self {
            Self::Files(watch) => News::Files(watch.changed().await),
            Self::Api(intake) => News::Api(intake.changed().await),
        }
    }
}
