//! A cluster, seen from wherever somebody has a kubeconfig.
//!
//! Reading order: [`object`] (what is read of the API's objects), [`crew`] (which pods are ours, and
//! where; pure), [`ask`] (all of them at once).
pub(crate) mod ask;
pub(crate) mod crew;
pub(crate) mod object;

use crate::failure::{Exit, Failure};
use culvert_kubernetes::{
    ask::{Refused, Resource},
    client::{Client, Reach},
};
use object::Pod;
use serde::de::DeserializeOwned;
use std::{fmt, path::PathBuf};
use tokio::runtime::Runtime;

/// The namespace that our own pods are in.
pub(crate) const HOME: &str = "culvert-system";

/// Over the options that name a cluster.
const HEADING: &str = "A cluster, from anywhere";

/// Which cluster is asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Ask the mesh of a cluster through its API server; each of the next three says so, too.
    #[arg(long, conflicts_with = "instance", help_heading = HEADING)]
    kubernetes: bool,
    /// Where the API server is, and who to be there [default: `KUBECONFIG`, else ~/.kube/config].
    #[arg(long, value_name = "FILE", conflicts_with = "instance", help_heading = HEADING)]
    kubeconfig: Option<PathBuf>,
    /// Which context of the kubeconfig to use [default: the current one].
    #[arg(long, value_name = "NAME", conflicts_with = "instance", help_heading = HEADING)]
    context: Option<String>,
    /// The namespace of pods that are named without one [default: that of the context].
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "instance", help_heading = HEADING)]
    namespace: Option<String>,
}

/// The way to an API server, and time to wait for its answers.
pub(crate) struct Cluster {
    runtime: Runtime,
    client: Client,
    namespace: String,
}

impl ClusterArgs {
    pub(crate) fn is_asked(&self) -> bool {
        let Self { kubernetes, kubeconfig, context, namespace } = self;
        *kubernetes || kubeconfig.is_some() || context.is_some() || namespace.is_some()
    }

    fn whom(&self) -> Reach {
        match (&self.kubeconfig, &self.context) {
            (None, None) => Reach::Found,
            (file, context) => Reach::Kubeconfig { file: file.clone(), context: context.clone() },
        }
    }
}

impl Cluster {
    /// Makes the way ready; whether somebody is there shows when something is asked.
    ///
    /// # Errors
    ///
    /// When no kubeconfig says where the API server is.
    pub(crate) fn reach(args: &ClusterArgs) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            Failure::of(Exit::Cannot, &error, "look at the limits of this machine")
        })?;
        let client = runtime.block_on(Client::new(&args.whom())).map_err(|error| {
            let next = "name a kubeconfig with --kubeconfig FILE or KUBECONFIG, and one of its contexts with --context";
            Failure::of(Exit::Cannot, &error, next)
        })?;
        let namespace = args.namespace.clone().unwrap_or_else(|| client.namespace().to_owned());
        Ok(Self { runtime, client, namespace })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for something.
    pub(crate) fn does<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }

    /// One object; none is an answer.
    ///
    /// # Errors
    ///
    /// When the API server does not tell.
    pub(crate) fn any<T: DeserializeOwned>(&self, of: &Resource) -> Result<Option<T>, Failure> {
        match self.does(self.client.one(of)) {
            Ok(found) => Ok(Some(found)),
            Err(refused) if refused.fault.is_absent() => Ok(None),
            Err(refused) => Err(self.failed(&refused)),
        }
    }

    /// # Errors
    ///
    /// When the API server does not tell.
    pub(crate) fn all<T: DeserializeOwned>(&self, of: &Resource) -> Result<Vec<T>, Failure> {
        self.does(self.client.all(of)).map_err(|refused| self.failed(&refused))
    }

    /// Where a pod runs; `None`: it is not there, or has no node.
    ///
    /// # Errors
    ///
    /// When the API server does not tell.
    pub(crate) fn node_of(&self, namespace: &str, name: &str) -> Result<Option<String>, Failure> {
        let of = Resource::core("pods").within(namespace).named(name);
        let node = self.any::<Pod>(&of)?.map(|pod| pod.spec.node_name);
        Ok(node.filter(|node| !node.is_empty()))
    }

    /// A pod as a person names it: `NAMESPACE/NAME`, or a name in the namespace that is meant.
    pub(crate) fn pod<'n>(&'n self, name: &'n str) -> (&'n str, &'n str) {
        let name = name.strip_prefix("pod/").unwrap_or(name);
        name.split_once('/').unwrap_or((&self.namespace, name))
    }

    /// What the API server did not tell or do, and what to do about it.
    pub(crate) fn failed(&self, refused: &Refused) -> Failure {
        let server = self.client.server();
        let next = match (refused.lacks(), refused.fault.code()) {
            (Some(lacks), _) => format!("whoever the kubeconfig says you are needs {lacks}"),
            (None, Some(401)) => {
                "log in again: the kubeconfig's credentials are no good".to_owned()
            }
            (None, Some(404)) => format!(
                "see whether that exists, and whether {server} is the cluster that you mean"
            ),
            (None, Some(_)) => "try again; the API server's log has more".to_owned(),
            (None, None) => format!(
                "see whether {server} is the right API server, and reached from here: kubectl cluster-info"
            ),
        };
        Failure::of(Exit::Cannot, refused, next)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("client", &self.client).finish_non_exhaustive()
    }
}
