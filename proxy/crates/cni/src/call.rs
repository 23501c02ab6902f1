//! What a runtime asks: the command and its parameters, as the environment says them. Pure.
use crate::failure::{Code, Failure};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// The longest name of anything here; those of Kubernetes have 253 characters at most.
const LONGEST: usize = 1024;

/// One call of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A sandbox was made, and no container is in it yet.
    Add(Sandbox),
    /// Is it as it was made?
    Check(Sandbox),
    /// It is gone, or about to be.
    Del {
        container: String,
    },
    /// Whatever is not listed is gone.
    Gc,
    /// Can sandboxes be added?
    Status,
    Version,
}

/// A sandbox with a network namespace of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// What the runtime calls it.
    pub container: String,
    pub netns: PathBuf,
    pub interface: String,
    /// `None`: no pod of Kubernetes.
    pub pod: Option<PodRef>,
}

/// A pod, as the kubelet names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodRef {
    pub namespace: String,
    pub name: String,
    /// Of the API object; empty where the runtime does not say it.
    #[serde(default)]
    pub uid: String,
}

impl Call {
    /// Reads the environment through `variable`.
    ///
    /// # Errors
    ///
    /// When something is missing, or is not what it should be.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let command = required(&variable, "CNI_COMMAND")?;
        match command.as_str() {
            "ADD" => Ok(Self::Add(Sandbox::read(&variable)?)),
            "CHECK" => Ok(Self::Check(Sandbox::read(&variable)?)),
            "DEL" => Ok(Self::Del { container: container(&variable)? }),
            "GC" => Ok(Self::Gc),
            "STATUS" => Ok(Self::Status),
            "VERSION" => Ok(Self::Version),
            other => Err(invalid(format!("CNI_COMMAND is {other:?}, which is no command"))),
        }
    }

    /// The first version of the specification that has the command, as its minor number.
    #[must_use]
    pub const fn since(&self) -> (u32, u32) {
        match self {
            Self::Add(_) | Self::Del { .. } | Self::Version => (0, 3),
            Self::Check(_) => (0, 4),
            Self::Gc | Self::Status => (1, 1),
        }
    }
}

impl Sandbox {
    fn read(variable: &impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let netns = PathBuf::from(required(variable, "CNI_NETNS")?);
        if !netns.is_absolute() {
            let netns = netns.display();
            return Err(invalid(format!("CNI_NETNS is {netns}, and no absolute path")));
        }
        let interface = required(variable, "CNI_IFNAME")?;
        let pod = match variable("CNI_ARGS") {
            Some(args) => PodRef::read(&args)?,
            None => None,
        };
        Ok(Self { container: container(variable)?, netns, interface, pod })
    }
}

impl PodRef {
    /// Finds the pod in `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`. `None` when there is none.
    ///
    /// # Errors
    ///
    /// When it is half said, or this is no such list.
    pub fn read(args: &str) -> Result<Option<Self>, Failure> {
        let (mut namespace, mut name, mut uid) = (None, None, None);
        for pair in args.split(';').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(invalid(format!("CNI_ARGS has {pair:?}, which is no KEY=VALUE")));
            };
            let place = match key {
                "K8S_POD_NAMESPACE" => &mut namespace,
                "K8S_POD_NAME" => &mut name,
                "K8S_POD_UID" => &mut uid,
                // Of other plugins, or of no use here (K8S_POD_INFRA_CONTAINER_ID is CNI_CONTAINERID).
                _ => continue,
            };
            if value.len() > LONGEST || value.contains(['/', '\0', '\n']) {
                return Err(invalid(format!("CNI_ARGS has a {key} that names nothing")));
            }
            if place.replace(value).is_some_and(|before: &str| before != value) {
                return Err(invalid(format!("CNI_ARGS has two {key}")));
            }
        }
        let uid = uid.unwrap_or_default().to_owned();
        match (namespace.filter(|said| !said.is_empty()), name.filter(|said| !said.is_empty())) {
            (Some(namespace), Some(name)) => {
                Ok(Some(Self { namespace: namespace.to_owned(), name: name.to_owned(), uid }))
            }
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(invalid(
                "CNI_ARGS has only one of K8S_POD_NAMESPACE and K8S_POD_NAME".to_owned(),
            )),
        }
    }
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn container(variable: &impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let container = required(variable, "CNI_CONTAINERID")?;
    if is_container(&container) {
        return Ok(container);
    }
    Err(invalid(format!(
        "CNI_CONTAINERID is {container:?}: letters, digits, '.', '_' and '-' only"
    )))
}

/// Whether `text` is what the specification allows for a container: it becomes a file's name.
#[must_use]
pub fn is_container(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=200).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
}

fn required(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Result<String, Failure> {
    match variable(name) {
        Some(value) if !value.is_empty() && value.len() <= 4 * LONGEST => Ok(value),
        Some(value) if !value.is_empty() => Err(invalid(format!("{name} is too long"))),
        Some(_) | None => Err(invalid(format!("{name} is not set"))),
    }
}

fn invalid(what: String) -> Failure {
    let next = "the container runtime sets it; a person runs cnitool, or `culvert status`";
    Failure::new(Code::InvalidEnvironment, what, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(more: &[(&str, &str)]) -> Result<Call, Failure> {
        let usual = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "c0ffee"),
            ("CNI_NETNS", "/run/netns/x"),
            ("CNI_IFNAME", "eth0"),
        ];
        Call::read(|name| {
            let said = more.iter().chain(&usual).find(|(said, _)| *said == name);
            said.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_pod_is_read_as_the_kubelet_says_it() {
        let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart-0;\
                    K8S_POD_INFRA_CONTAINER_ID=c0ffee;K8S_POD_UID=7-7";
        let Ok(Call::Add(Sandbox { pod: Some(pod), .. })) = call(&[("CNI_ARGS", args)]) else {
            panic!("no pod")
        };
        assert_eq!((pod.to_string().as_str(), pod.uid.as_str()), ("shop/cart-0", "7-7"));
        let Ok(Call::Add(Sandbox { pod: None, .. })) = call(&[]) else { panic!("a pod") };
    }

    #[test]
    fn what_is_missing_or_strange_is_named() {
        for (variable, value) in [
            ("CNI_COMMAND", "JUMP"),
            ("CNI_COMMAND", ""),
            ("CNI_CONTAINERID", "../x"),
            ("CNI_CONTAINERID", ".x"),
            ("CNI_NETNS", "run/netns/x"),
            ("CNI_IFNAME", ""),
            ("CNI_ARGS", "K8S_POD_NAME"),
            ("CNI_ARGS", "K8S_POD_NAME=a"),
            ("CNI_ARGS", "K8S_POD_NAMESPACE=a;K8S_POD_NAMESPACE=b;K8S_POD_NAME=c"),
            ("CNI_ARGS", "K8S_POD_NAMESPACE=a/b;K8S_POD_NAME=c"),
        ] {
            let failure = call(&[(variable, value)]).expect_err(value);
            assert_eq!(failure.code, Code::InvalidEnvironment);
            assert!(failure.message.contains(variable), "{failure}");
        }
    }

    #[test]
    fn del_needs_no_namespace() {
        let deleted = call(&[("CNI_COMMAND", "DEL"), ("CNI_NETNS", ""), ("CNI_IFNAME", "")]);
        assert_eq!(deleted, Ok(Call::Del { container: "c0ffee".to_owned() }));
    }

    proptest! {
        #[test]
        fn what_is_written_as_arguments_is_read(
            namespace in "[a-z0-9-]{1,63}", name in "[a-z0-9.-]{1,253}", uid in "[0-9a-f-]{0,36}",
        ) {
            let args = format!("IgnoreUnknown=1;K8S_POD_NAME={name};K8S_POD_UID={uid};K8S_POD_NAMESPACE={namespace}");
            prop_assert_eq!(PodRef::read(&args), Ok(Some(PodRef { namespace, name, uid })));
        }

        #[test]
        fn any_arguments_are_read_without_a_panic(args in any::<String>()) {
            drop(PodRef::read(&args));
        }
    }
}
