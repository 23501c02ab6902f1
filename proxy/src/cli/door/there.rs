//! The admin of a pod of ours: it listens on the pod's loopback, where nobody reaches it but whom
//! the API server lets forward a port.
use super::{here::refused, http};
use crate::{
    cli::cluster::{Cluster, HOME},
    failure::{Exit, Failure},
};
use culvert_kubernetes::{ask::Refused, client::Client};
use hyper::{StatusCode, body::Bytes};
use std::{rc::Rc, time::Duration};
use tokio::time;

/// Where it listens unless `admin_address` says otherwise.
const PORT: u16 = 15_000;

/// A process answers at once or is stuck; the way there takes a moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pod of ours.
#[derive(Clone, Debug)]
pub(crate) struct There {
    pub(crate) cluster: Rc<Cluster>,
    pub(crate) pod: String,
}

/// Why a pod did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("nobody answers on port {PORT} of its loopback: {0}")]
    Nobody(String),
    #[error("it broke off")]
    Broken(#[source] http::Broken),
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("it answered {0}")]
    Answer(StatusCode, Bytes),
}

impl There {
    pub(super) fn ask(&self, method: &str, path: &str) -> Result<Bytes, Failure> {
        if method != "GET" {
            let Self { pod, .. } = self;
            let next = format!("kubectl -n {HOME} exec {pod} -- culvert …");
            let what = "from afar a process is looked at, and not changed";
            return Err(Failure::new(Exit::Usage, what, next));
        }
        let answer = self.cluster.does(get(self.cluster.client(), &self.pod, path));
        answer.map_err(|silence| self.failed(&silence))
    }

    fn failed(&self, silence: &Silence) -> Failure {
        match silence {
            Silence::Refused(refused) => self.cluster.failed(refused),
            Silence::Answer(status, body) => refused(*status, body),
            Silence::Nobody(_) | Silence::Broken(_) | Silence::Late => {
                let what = format_args!("pod {HOME}/{} does not answer", self.pod);
                let next = format!(
                    "see whether it runs, and its log: kubectl -n {HOME} logs {}",
                    self.pod
                );
                Failure::new(Exit::Cannot, what, next).because(silence)
            }
        }
    }
}

/// Asks the admin of a pod of ours.
///
/// # Errors
///
/// When there is no way there, nobody listens, or the answer is no.
pub(crate) async fn get(client: &Client, pod: &str, path: &str) -> Result<Bytes, Silence> {
    let asked = async {
        let (io, trouble) = client.forward(HOME, pod, PORT).await?;
        tokio::select! {
            answer = http::exchange(io, "GET", path) => answer.map_err(Silence::Broken),
            said = trouble => Err(Silence::Nobody(said)),
        }
    };
    let (status, body) = time::timeout(PATIENCE, asked).await.unwrap_or(Err(Silence::Late))?;
    if status.is_success() { Ok(body) } else { Err(Silence::Answer(status, body)) }
}
