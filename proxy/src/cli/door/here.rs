//! The admin socket of a process on this machine.
use super::http;
use crate::{
    admin::SOCKET,
    failure::{Exit, Failure},
    ground::run_dir,
};
use hyper::{StatusCode, body::Bytes};
use std::{
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time};

/// A node answers at once or is stuck; a person should not wait longer to learn which.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where their programs are pinned.
const PINS: &str = "/sys/fs/bpf/culvert";

/// A socket.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    pub(super) socket: PathBuf,
    /// Whose it is, when it was found by that.
    instance: Option<String>,
}

/// Where an instance of this machine listens.
fn socket_of(instance: &str) -> PathBuf {
    run_dir(instance).join(SOCKET)
}

/// Whether programs of an instance are in the kernel; whoever may not look sees none.
fn is_installed(instance: &str) -> bool {
    Path::new(PINS).join(instance).exists()
}

impl Here {
    pub(super) fn of_instance(instance: &str) -> Self {
        Self { socket: socket_of(instance), instance: Some(instance.to_owned()) }
    }

    pub(super) fn at(socket: PathBuf) -> Self {
        Self { socket, instance: None }
    }

    pub(super) fn ask(&self, method: &str, path: &str) -> Result<Bytes, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.unreachable(&error))?;
        let asked =
            runtime.block_on(async { time::timeout(PATIENCE, self.exchange(method, path)).await });
        let (status, body) = asked.unwrap_or_else(|_elapsed| {
            Err(Failure::new(
                Exit::Cannot,
                format_args!("{} did not answer within {PATIENCE:?}", self.socket.display()),
                "look at the node's log; a process that hangs is ended with SIGKILL, and its successor goes on where it was",
            ))
        })?;
        if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
    }

    async fn exchange(&self, method: &str, path: &str) -> Result<(StatusCode, Bytes), Failure> {
        let io = UnixStream::connect(&self.socket).await.map_err(|e| self.unreachable(&e))?;
        http::exchange(io, method, path).await.map_err(|error| {
            Failure::new(
                Exit::Cannot,
                format_args!("the node at {} ended the conversation", self.socket.display()),
                "look at the node's log; perhaps it was just stopped",
            )
            .because(&*error)
        })
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        use io::ErrorKind as Kind;
        let socket = self.socket.display();
        let kind = error.kind();
        let is_other = fs::metadata(&self.socket).is_ok_and(|found| !found.file_type().is_socket());
        if is_other {
            let next = "name a node's socket: /run/culvert/INSTANCE/admin.sock";
            return Failure::new(Exit::Usage, format_args!("{socket} is not a socket"), next);
        }
        let stopped = self.instance.as_deref().filter(|instance| is_installed(instance));
        if kind == Kind::ConnectionRefused || kind == Kind::NotFound && stopped.is_some() {
            let what = format_args!(
                "no node answers on {socket}: its process is gone, and its pods' new connections are refused"
            );
            Failure::new(Exit::Cannot, what, again(self.instance.as_deref()))
        } else if kind == Kind::NotFound {
            let what = format_args!("no node runs here: {socket} does not exist");
            Failure::new(Exit::Cannot, what, others())
        } else if kind == Kind::PermissionDenied {
            let next = "run this as root, or as the user the node runs as";
            Failure::new(Exit::Cannot, format_args!("not allowed to open {socket}"), next)
        } else {
            let next = "look whether the node runs, and at its log";
            let what = format_args!("cannot reach the node at {socket}");
            Failure::new(Exit::Cannot, what, next).because(error)
        }
    }
}

/// The process said no; its text is the cause.
pub(super) fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(body);
    if status == StatusCode::BAD_REQUEST {
        return Failure::new(Exit::Usage, said.trim(), "mend what is named and try again");
    }
    let next = match status {
        StatusCode::NOT_FOUND => "the running node is of another release: restart it with this one",
        _ => "look at the node's log",
    };
    Failure::new(Exit::Cannot, format_args!("the node answered {status}"), next).and(said.trim())
}

/// What to do when the process is gone and the programs are not.
fn again(instance: Option<&str>) -> String {
    let of = match instance {
        None | Some("node") => String::new(),
        Some(instance) => format!(" --instance {instance}"),
    };
    format!(
        "start it again with `culvert up{of} -f MANIFESTS`, or take everything away with `culvert uninstall{of}`"
    )
}

/// What to do when the instance is not there: the ones that are, or a start.
fn others() -> String {
    let mut found: Vec<String> = fs::read_dir(run_dir(""))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join(SOCKET).exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    found.sort_unstable();
    if found.is_empty() {
        "start one with `culvert up -f MANIFESTS`, name its socket with --node, or ask the cluster of your kubeconfig with --kubernetes".to_owned()
    } else {
        format!("name one of the instances that are here with --instance: {}", found.join(", "))
    }
}
