//! The sockets on which a node answers: opened, or handed over by the process before.
use crate::{
    config::{
        Doors,
        settings::{self, Setting},
    },
    takeover::Role,
};
use std::{
    fs::{self, Permissions},
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    path::{Path, PathBuf},
    process,
};
use tracing::warn;

/// Listening, not yet answering; kept to be handed to the process after.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(super) door: UnixListener,
    pub(super) admin: Option<TcpListener>,
    pub(super) metrics: Option<TcpListener>,
    pub(super) readiness: Option<TcpListener>,
    pub(crate) xds: Option<TcpListener>,
    pub(crate) xds_tls: Option<TcpListener>,
}

/// Listeners with what they are for, on their way between two processes.
pub(crate) type Handed = Vec<(Role, OwnedFd)>;

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("cannot listen on {address} ({})", setting.name)]
    Address {
        address: SocketAddr,
        setting: &'static Setting,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on {}", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot copy a listener's descriptor")]
    Copy(#[source] io::Error),
}

impl Listeners {
    /// Takes what was handed over where it still is what the settings say, and opens the rest.
    ///
    /// # Errors
    ///
    /// When an address belongs to somebody else.
    pub(crate) fn open(doors: &Doors, run_dir: &Path, handed: Handed) -> Result<Self, ListenError> {
        let Doors { admin, metrics, readiness, xds, xds_tls } = *doors;
        let mut handed = handed;
        let door_before = take(&mut handed, Role::Door);
        let mut tcp = |address: Option<SocketAddr>, role, setting| {
            let before = take(&mut handed, role).map(TcpListener::from);
            address.map(|address| listen(address, setting, before)).transpose()
        };
        let admin = tcp(admin, Role::Admin, &settings::ADMIN_ADDRESS)?;
        let metrics = tcp(metrics, Role::Metrics, &settings::METRICS_ADDRESS)?;
        let readiness = tcp(readiness, Role::Readiness, &settings::READINESS_ADDRESS)?;
        let xds = tcp(xds, Role::Xds, &settings::XDS_ADDRESS)?;
        let xds_tls = tcp(xds_tls, Role::XdsTls, &settings::XDS_TLS_ADDRESS)?;
        // Last, because it leaves a file behind when a later step fails.
        let door = match door_before {
            Some(fd) => nonblocking(UnixListener::from(fd)),
            None => bind_unix(&run_dir.join(super::SOCKET))?,
        };
        Ok(Self { door, admin, metrics, readiness, xds, xds_tls })
    }

    /// Copies for the process after this one.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub(crate) fn copies(&self) -> Result<Handed, ListenError> {
        let Self { door, admin, metrics, readiness, xds, xds_tls } = self;
        let door = door.try_clone().map(|copy| (Role::Door, OwnedFd::from(copy)));
        let tcp = [
            (Role::Admin, admin),
            (Role::Metrics, metrics),
            (Role::Readiness, readiness),
            (Role::Xds, xds),
            (Role::XdsTls, xds_tls),
        ];
        let tcp = tcp
            .into_iter()
            .filter_map(|(role, listener)| Some((role, listener.as_ref()?)))
            .map(|(role, listener)| Ok((role, OwnedFd::from(listener.try_clone()?))));
        std::iter::once(door).chain(tcp).collect::<io::Result<_>>().map_err(ListenError::Copy)
    }
}

/// Where a socket will be found; dropped before it is taken, nothing is there.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    beside: PathBuf,
}

impl Place {
    /// Has the socket found in place of whatever lies there.
    ///
    /// # Errors
    ///
    /// When it cannot be moved there.
    pub(crate) fn take(self) -> Result<(), ListenError> {
        let moved = fs::rename(&self.beside, &self.path);
        moved.map_err(|source| ListenError::Socket { path: self.path.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Moved already, as a rule.
        drop(fs::remove_file(&self.beside));
    }
}

/// A socket of this process alone, entered by its owner only, and the place it is for.
///
/// Made beside and moved there later, so that nobody finds a socket that does not answer.
///
/// # Errors
///
/// When it cannot be made there.
pub(crate) fn prepare_unix(path: &Path) -> Result<(UnixListener, Place), ListenError> {
    let error = |source| ListenError::Socket { path: path.to_owned(), source };
    let beside = path.with_extension(format!("{}", process::id()));
    drop(fs::remove_file(&beside));
    let listener = UnixListener::bind(&beside).map_err(error)?;
    let place = Place { path: path.to_owned(), beside };
    fs::set_permissions(&place.beside, Permissions::from_mode(0o600)).map_err(error)?;
    Ok((nonblocking(listener), place))
}

/// Takes these sockets of a run folder away.
pub(crate) fn remove_sockets(run_dir: &Path, names: &[&str]) {
    for name in names {
        if let Err(error) = fs::remove_file(run_dir.join(name)) {
            warn!(name, %error, "cannot remove a socket");
        }
    }
}

/// As [`prepare_unix`], in its place at once.
///
/// # Errors
///
/// When it cannot be made there.
pub(crate) fn bind_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let (listener, place) = prepare_unix(path)?;
    place.take()?;
    Ok(listener)
}

fn take(handed: &mut Handed, wanted: Role) -> Option<OwnedFd> {
    let at = handed.iter().position(|(role, _)| *role == wanted)?;
    Some(handed.swap_remove(at).1)
}

fn listen(
    address: SocketAddr,
    setting: &'static Setting,
    before: Option<TcpListener>,
) -> Result<TcpListener, ListenError> {
    let same = before.filter(|listener| listener.local_addr().is_ok_and(|at| at == address));
    let listener = match same {
        Some(listener) => Ok(listener),
        None => TcpListener::bind(address),
    };
    let listener = listener.and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| ListenError::Address { address, setting, source })
}

fn nonblocking(listener: UnixListener) -> UnixListener {
    // Fails only for a descriptor that is none.
    drop(listener.set_nonblocking(true));
    listener
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(metrics: Option<SocketAddr>) -> Doors {
        Doors { admin: None, metrics, readiness: None, xds: None, xds_tls: None }
    }

    #[test]
    fn a_handed_listener_is_used_where_the_address_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let handed =
            vec![(Role::Unknown, first.try_clone().unwrap().into()), (Role::Metrics, first.into())];
        let opened = Listeners::open(&doors(Some(address)), dir.path(), handed).unwrap();
        assert_eq!(opened.metrics.as_ref().unwrap().local_addr().unwrap(), address);
        let roles: Vec<_> = opened.copies().unwrap().into_iter().map(|(role, _)| role).collect();
        assert_eq!(roles, [Role::Door, Role::Metrics]);
    }

    #[test]
    fn an_address_of_somebody_else_is_named_with_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let error = Listeners::open(&doors(Some(address)), dir.path(), vec![]).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address} (metrics_address)"));
    }

    #[test]
    fn a_socket_left_behind_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        drop(bind_unix(&dir.path().join("admin.sock")).unwrap());
        let opened = Listeners::open(&doors(None), dir.path(), vec![]).unwrap();
        let mode = fs::metadata(dir.path().join("admin.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(opened);
    }
}
