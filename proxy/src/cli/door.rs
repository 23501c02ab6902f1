//! Whom a command asks, and how: a socket of this machine, or a pod of ours in a cluster.
mod here;
mod http;
pub(crate) mod there;

use super::cluster::{Cluster, ClusterArgs, crew::Crew};
use crate::{
    config::{instance_name, sources::Variables},
    failure::{Exit, Failure},
};
use here::Here;
use serde::de::DeserializeOwned;
use std::{ffi::OsString, path::PathBuf, rc::Rc};
use there::There;

/// Which process is asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DoorArgs {
    #[command(flatten)]
    here: HereArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Which process of this machine is asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HereArgs {
    /// The instance on this machine [default: `CULVERT_INSTANCE`, else node, or control for what
    /// only a control plane knows].
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The admin socket of a node, instead of an instance; of a cluster, a node's name.
    #[arg(long, value_name = "SOCKET", conflicts_with = "instance")]
    node: Option<OsString>,
    /// The control plane: its admin socket, or without one its instance on this machine; of a
    /// cluster, one of its pods, or without one any of them.
    #[arg(long, value_name = "SOCKET", conflicts_with = "node", num_args = 0..=1)]
    control: Option<Option<OsString>>,
}

/// Who is meant when nobody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Node,
    Control,
}

/// The admin of a process.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    Here(Here),
    There(There),
}

impl DoorArgs {
    /// The cluster that is asked, where one is.
    ///
    /// # Errors
    ///
    /// When there is no way to its API server.
    pub(crate) fn cluster(&self) -> Result<Option<Rc<Cluster>>, Failure> {
        let asked = self.cluster.is_asked().then(|| Cluster::reach(&self.cluster));
        Ok(asked.transpose()?.map(Rc::new))
    }

    /// Whether one process is named.
    pub(crate) fn names_one(&self) -> bool {
        self.here.node.is_some() || self.here.control.is_some()
    }

    /// The one that is named, else the one that is meant by default.
    ///
    /// # Errors
    ///
    /// When what is said names nobody, or too many.
    pub(crate) fn door(&self, variables: &Variables, default: Whom) -> Result<Door, Failure> {
        match self.cluster()? {
            Some(cluster) => {
                let crew = Crew::of(&cluster)?;
                Ok(Door::There(self.there(&cluster, &crew, default)?))
            }
            None => self.here.door(variables, default),
        }
    }

    /// A pod of ours: the one that is named, else the only one that may be meant.
    ///
    /// # Errors
    ///
    /// When that is none, or one of many.
    pub(crate) fn there(
        &self,
        cluster: &Rc<Cluster>,
        crew: &Crew,
        default: Whom,
    ) -> Result<There, Failure> {
        let HereArgs { instance: _, node, control } = &self.here;
        let name = |name: &OsString| name.to_string_lossy().into_owned();
        let pod = match (node, control) {
            (Some(node), _) => crew.of_node(&name(node)),
            (None, Some(pod)) => crew.of_control(pod.as_ref().map(name).as_deref()),
            (None, None) if default == Whom::Control => crew.of_control(None),
            (None, None) => crew.only_node(),
        };
        Ok(There { cluster: Rc::clone(cluster), pod: pod?.to_owned() })
    }
}

impl HereArgs {
    /// # Errors
    ///
    /// When what is said cannot name an instance.
    pub(crate) fn door(&self, variables: &Variables, default: Whom) -> Result<Door, Failure> {
        let named = self.instance.as_deref();
        let here = match (&self.node, &self.control) {
            (Some(socket), _) | (None, Some(Some(socket))) => Here::at(PathBuf::from(socket)),
            (None, Some(None)) => Here::of_instance(&instance(named, variables, Whom::Control)?),
            (None, None) => Here::of_instance(&instance(named, variables, default)?),
        };
        Ok(Door::Here(here))
    }
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

impl Door {
    /// The door of an instance of this machine.
    pub(crate) fn of_instance(instance: &str) -> Self {
        Self::Here(Here::of_instance(instance))
    }

    /// Asks; the answer is the process's JSON, to be printed as it is.
    pub(crate) fn get(&self, path: &str) -> Result<String, Failure> {
        self.ask("GET", path)
    }

    /// An answer in the shape this version knows.
    pub(crate) fn read<T: DeserializeOwned>(&self, document: &str) -> Result<T, Failure> {
        serde_json::from_str(document).map_err(|error| self.not_understood(&error))
    }

    /// Asks for a change; the answer is the state after it.
    pub(crate) fn put(&self, path: &str) -> Result<String, Failure> {
        self.ask("PUT", path)
    }

    /// Asks for something that is made; the answer is that.
    pub(crate) fn post(&self, path: &str) -> Result<String, Failure> {
        self.ask("POST", path)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String, Failure> {
        let body = match self {
            Self::Here(here) => here.ask(method, path)?,
            Self::There(there) => there.ask(method, path)?,
        };
        Ok(String::from_utf8_lossy(&body).trim_end().to_owned())
    }

    fn not_understood(&self, error: &serde_json::Error) -> Failure {
        let of = match self {
            Self::Here(here) => here.socket.display().to_string(),
            Self::There(there) => format!("pod {}", there.pod),
        };
        Failure::new(
            Exit::Cannot,
            format_args!("the answer from {of} is not understood"),
            "compare `culvert version` with the running node's: they may be of two releases",
        )
        .because(error)
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
