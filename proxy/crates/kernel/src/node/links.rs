//! Pinned links: made once, then given newer programs.
use crate::{
    node::NodeError,
    sys::{self, Attached, Hook, Target},
};
use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
};

/// Where a program is to be.
pub(crate) struct Place<'a> {
    pub(crate) program: &'static str,
    pub(crate) pin: &'a Path,
    pub(crate) target: Target<'a>,
    /// The same as `target`, as the kernel will tell it.
    pub(crate) attached: Attached,
    pub(crate) hook: Hook,
    /// For the way out of a pin that is attached elsewhere.
    pub(crate) instance: &'a str,
}

/// Puts a program in its place: behind the pinned link if there is one, atomically, else behind a
/// new link.
pub(crate) fn put(place: &Place<'_>, program: &OwnedFd) -> Result<(), NodeError> {
    let attach = |source| NodeError::Attach { program: place.program, source };
    if place.pin.try_exists().map_err(attach)? {
        let corrupt = |source| NodeError::CorruptPin {
            path: place.pin.to_owned(),
            instance: place.instance.to_owned(),
            source,
        };
        let link = sys::obj_get(place.pin).map_err(corrupt)?;
        match sys::link_attached(link.as_fd()).map_err(corrupt)? {
            found if found == place.attached => {
                return sys::link_update(link.as_fd(), program.as_fd()).map_err(attach);
            }
            // What it hung on is gone, and with it the link's effect.
            Attached::Cgroup(0) | Attached::Netns(0) | Attached::Interface(0) => {
                fs::remove_file(place.pin).map_err(attach)?;
            }
            Attached::Cgroup(_) | Attached::Netns(_) | Attached::Interface(_) | Attached::Other => {
                return Err(NodeError::AttachedElsewhere {
                    path: place.pin.to_owned(),
                    instance: place.instance.to_owned(),
                });
            }
        }
    }
    let link = sys::link_create(program.as_fd(), place.target, place.hook).map_err(attach)?;
    sys::obj_pin(link.as_fd(), place.pin).map_err(attach)
}

/// Detaches the link pinned at `pin`, at once and whoever else holds it, and removes the pin; a pin
/// that is not there is removed already.
pub(crate) fn remove(pin: &Path) -> io::Result<()> {
    match sys::obj_get(pin) {
        Ok(link) => {
            // Of what is no link, or hangs on nothing any more, only the pin matters.
            if sys::link_attached(link.as_fd()).is_ok()
                && let Err(error) = sys::link_detach(link.as_fd())
            {
                tracing::debug!(%error, pin = %pin.display(), fd = link.as_raw_fd(), "detach");
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    match fs::remove_file(pin) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
