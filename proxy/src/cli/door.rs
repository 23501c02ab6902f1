//! The client's side of an admin socket.
use crate::{
    admin::SOCKET,
    config::{instance_name, sources::Variables},
    failure::{Exit, Failure},
    ground::run_dir,
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{
    convert::Infallible,
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time};

/// A node answers at once or is stuck; a person should not wait longer to learn which.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than any node's answer: 100,000 connections at 600 bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Where their programs are pinned.
const PINS: &str = "/sys/fs/bpf/culvert";

/// Which process is asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DoorArgs {
    /// The instance on this machine [default: `CULVERT_INSTANCE`, else node, or control for what
    /// only a control plane knows].
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The admin socket of a node, instead of an instance.
    #[arg(long, value_name = "SOCKET", conflicts_with = "instance")]
    node: Option<PathBuf>,
    /// The control plane: its admin socket, or without one its instance on this machine.
    #[arg(long, value_name = "SOCKET", conflicts_with = "node", num_args = 0..=1)]
    control: Option<Option<PathBuf>>,
}

/// Who is meant when nobody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Node,
    Control,
}

/// A node's admin socket.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    socket: PathBuf,
    /// Whose it is, when it was found by that.
    instance: Option<String>,
}

impl DoorArgs {
    /// # Errors
    ///
    /// When what is said cannot name an instance.
    pub(crate) fn door(&self, variables: &Variables, default: Whom) -> Result<Door, Failure> {
        let named = self.instance.as_deref();
        match (&self.node, &self.control) {
            (Some(socket), _) | (None, Some(Some(socket))) => {
                Ok(Door { socket: socket.clone(), instance: None })
            }
            (None, Some(None)) => {
                Ok(Door::of_instance(&instance(named, variables, Whom::Control)?))
            }
            (None, None) => Ok(Door::of_instance(&instance(named, variables, default)?)),
        }
    }
}

/// Where an instance of this machine listens.
fn socket_of(instance: &str) -> PathBuf {
    run_dir(instance).join(SOCKET)
}

/// The instance that a command means: the flag, else the variable, else the role's own name.
///
/// # Errors
///
/// When that cannot be a name: it would be a path elsewhere.
pub(crate) fn instance(
    flag: Option<&str>,
    variables: &Variables,
    default: Whom,
) -> Result<String, Failure> {
    let variable = variables.get("CULVERT_INSTANCE").filter(|name| !name.is_empty());
    let (name, origin) = match (flag, variable) {
        (Some(flag), _) => (flag.into(), "--instance"),
        (None, Some(variable)) => (variable.to_string_lossy(), "CULVERT_INSTANCE"),
        (None, None) => {
            return Ok(match default {
                Whom::Node => "node".to_owned(),
                Whom::Control => "control".to_owned(),
            });
        }
    };
    instance_name(&name).map_err(|wrong| {
        let next = "name an instance as it was started; /run/culvert has a folder for each";
        Failure::new(Exit::Usage, format_args!("{origin}: {wrong}"), next)
    })
}

/// Whether programs of an instance are in the kernel; whoever may not look sees none.
fn is_installed(instance: &str) -> bool {
    Path::new(PINS).join(instance).exists()
}

impl Door {
    /// The door of an instance of this machine.
    pub(crate) fn of_instance(instance: &str) -> Self {
        Self { socket: socket_of(instance), instance: Some(instance.to_owned()) }
    }

    /// Asks; the answer is the node's JSON, to be printed as it is.
    pub(crate) fn get(&self, path: &str) -> Result<String, Failure> {
        let body = self.ask("GET", path)?;
        Ok(String::from_utf8_lossy(&body).trim_end().to_owned())
    }

    /// An answer in the shape this version knows.
    pub(crate) fn read<T: DeserializeOwned>(&self, document: &str) -> Result<T, Failure> {
        serde_json::from_str(document).map_err(|error| self.not_understood(&error))
    }

    /// Asks for a change; the answer is the state after it.
    pub(crate) fn put(&self, path: &str) -> Result<String, Failure> {
        let body = self.ask("PUT", path)?;
        Ok(String::from_utf8_lossy(&body).trim_end().to_owned())
    }

    /// Asks for something that is made; the answer is that.
    pub(crate) fn post(&self, path: &str) -> Result<String, Failure> {
        let body = self.ask("POST", path)?;
        Ok(String::from_utf8_lossy(&body).trim_end().to_owned())
    }

    fn ask(&self, method: &str, path: &str) -> Result<Bytes, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.unreachable(&error))?;
        let asked =
            runtime.block_on(async { time::timeout(PATIENCE, self.exchange(method, path)).await });
        asked.unwrap_or_else(|_elapsed| {
            Err(Failure::new(
                Exit::Cannot,
                format_args!("{} did not answer within {PATIENCE:?}", self.socket.display()),
                "look at the node's log; a process that hangs is ended with SIGKILL, and its successor goes on where it was",
            ))
        })
    }

    async fn exchange(&self, method: &str, path: &str) -> Result<Bytes, Failure> {
        let broken = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(
                Exit::Cannot,
                format_args!("the node at {} ended the conversation", self.socket.display()),
                "look at the node's log; perhaps it was just stopped",
            )
            .because(error)
        };
        let io = UnixStream::connect(&self.socket).await.map_err(|e| self.unreachable(&e))?;
        let (mut sender, conn) =
            http1::handshake(TokioIo::new(io)).await.map_err(|e| broken(&e))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "culvert")
            .body(Empty::<Bytes>::new())
            .map_err(|e| broken(&e))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST_ANSWER);
            let body = body.collect().await.map_err(|e| broken(&*e))?.to_bytes();
            if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
        };
        // The connection's own future only moves bytes; its error is the answer's error, too.
        let drive = async {
            drop(conn.await);
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            answer = answer => answer,
            never = drive => match never {},
        }
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

    fn not_understood(&self, error: &serde_json::Error) -> Failure {
        Failure::new(
            Exit::Cannot,
            format_args!("the answer from {} is not understood", self.socket.display()),
            "compare `culvert version` with the running node's: they may be of two releases",
        )
        .because(error)
    }
}

/// The node said no; its text is the cause.
fn refused(status: StatusCode, body: &[u8]) -> Failure {
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
        "start one with `culvert up -f MANIFESTS`, or name its socket with --node".to_owned()
    } else {
        format!("name one of the instances that are here with --instance: {}", found.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_variable_beats_the_default() {
        let variables = [("CULVERT_INSTANCE".to_owned(), "b".into())].into();
        assert_eq!(instance(Some("a"), &variables, Whom::Node).unwrap(), "a");
        assert_eq!(instance(None, &variables, Whom::Node).unwrap(), "b");
        assert_eq!(instance(None, &Variables::new(), Whom::Node).unwrap(), "node");
        let empty = [("CULVERT_INSTANCE".to_owned(), "".into())].into();
        assert_eq!(instance(None, &empty, Whom::Node).unwrap(), "node");
        assert_eq!(instance(None, &empty, Whom::Control).unwrap(), "control");
    }

    #[test]
    fn what_would_lead_elsewhere_is_no_instance() {
        for name in ["..", "a/b", "", "Node"] {
            let failure = instance(Some(name), &Variables::new(), Whom::Node).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{failure}");
        }
        let variables = [("CULVERT_INSTANCE".to_owned(), "../x".into())].into();
        let failure = instance(None, &variables, Whom::Node).unwrap_err().to_string();
        assert!(failure.starts_with("culvert: CULVERT_INSTANCE: \"../x\""), "{failure}");
    }
}
