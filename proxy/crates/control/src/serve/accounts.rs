//! A service account's token as the proof of which node somebody is, or which gateway.
//!
//! The API server says whose it is and which pod it was made for; that pod's node is the caller's. A
//! gateway is whoever has an account of its name, beside it.
use crate::ca::hosted::Agents;
use culvert_kubernetes::token::{Account, Claims, Proof, Refusal, Reviewer};
use culvert_model::name::ObjectName;
use culvert_runtime::{dice::dice, publish::View};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::time;
use tonic::Code;

/// For whom tokens are meant that are shown here.
pub(crate) const AUDIENCE: &str = "culvert";

/// Whoever came in by a token is looked at again after this, and up to twice as long; and after this
/// when nothing was said of it.
const LOOK: Duration = Duration::from_secs(5 * 60);
const AGAIN: Duration = Duration::from_secs(10);

/// Asks whose a token is.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) reviewer: Reviewer,
    /// The account of nodes' own pods.
    pub(crate) node: Account,
    /// Gateways that there are.
    pub(crate) gateways: View<Arc<Names>>,
    /// Pods that nodes' own processes run in.
    pub(crate) agents: View<Arc<Agents>>,
    pub(crate) dead: Dead,
}

/// Of objects.
pub(crate) type Names = BTreeSet<ObjectName>;

/// Pods that were there and are gone, by their uids: for a while their tokens are good for whoever
/// looked at them before.
#[derive(Debug, Default)]
pub(crate) struct Dead(Mutex<HashMap<String, Instant>>);

/// What a good token proves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) holder: Holder,
    /// The pod that it was made for.
    pod: ObjectName,
    pod_uid: String,
    /// Seconds since 1970.
    pub(crate) expires: u64,
}

/// Who somebody is by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Node(String),
    Gateway(ObjectName),
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccountError {
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error("it is not known on which node the pod {0} is")]
    Nowhere(ObjectName),
    #[error("the token's pod {0} is gone")]
    Gone(ObjectName),
    #[error("the token's pod is {now}, not {before}")]
    Moved { before: Holder, now: Holder },
}

impl AccountError {
    /// What the caller is answered with.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Refusal(Refusal::Unknown(_) | Refusal::Busy) | Self::Nowhere(_) => {
                Code::Unavailable
            }
            Self::Refusal(Refusal::Flood) => Code::ResourceExhausted,
            Self::Refusal(_) | Self::Gone(_) | Self::Moved { .. } => Code::Unauthenticated,
        }
    }

    /// Nothing is said of the token: it may be good.
    fn is_passing(&self) -> bool {
        self.code() != Code::Unauthenticated
    }
}

impl Accounts {
    /// Whether `token` is meant to be such a token, be it good or not.
    pub(crate) fn is_ours(token: &str) -> bool {
        Claims::read(token).is_some()
    }

    /// The node or gateway that whoever shows `token` is.
    pub(crate) async fn prove(
        &self,
        token: &str,
        from: Option<SocketAddr>,
    ) -> Result<Proven, AccountError> {
        let gateway = self.gateway(token);
        let account = gateway.as_ref().map(|gateway| Account {
            namespace: gateway.namespace.to_string(),
            name: gateway.name.to_string(),
        });
        let want = account.as_ref().unwrap_or(&self.node);
        let Proof { subject, expires } =
            self.reviewer.review(token, want, from.map(|from| from.ip())).await?;
        let pod = ObjectName::new(&*want.namespace, subject.pod);
        let holder = match (gateway, subject.node) {
            (Some(gateway), _) => Holder::Gateway(gateway),
            (None, Some(node)) => Holder::Node(node),
            (None, None) => {
                let node = self.agents.pin().value.get(&pod).map(|node| node.to_string());
                Holder::Node(node.ok_or_else(|| AccountError::Nowhere(pod.clone()))?)
            }
        };
        let pod_uid = subject.pod_uid;
        match self.dead.is_known(&pod_uid, Instant::now()) {
            true => Err(AccountError::Gone(pod)),
            false => Ok(Proven { holder, pod, pod_uid, expires }),
        }
    }

    /// The gateway whose account a token says that it is of, where there is one.
    fn gateway(&self, token: &str) -> Option<ObjectName> {
        let account = Claims::read(token)?.account()?;
        // Whatever a gateway is called: nodes are nodes.
        let Account { namespace, name } = (account != self.node).then_some(account)?;
        let name = ObjectName::new(namespace, name);
        self.gateways.pin().value.contains(&name).then_some(name)
    }

    /// Resolves when `token` does not prove any more that whoever shows it is who it was.
    ///
    /// While the API server does not answer, everything stays as it was, to the token's end.
    pub(crate) async fn lapsed(&self, token: &str, proven: Proven) -> AccountError {
        let Proven { holder, pod, pod_uid, expires } = proven;
        let mut wait = LOOK.mul_f64(1.0 + fraction(dice()));
        loop {
            // It is good to the end of its last second.
            let left = Duration::from_secs(expires.saturating_sub(unix_now()).saturating_add(1));
            tokio::select! {
                () = time::sleep(wait.min(left)) => {}
                () = self.gone(&pod) => {
                    self.dead.note(pod_uid, Instant::now());
                    return AccountError::Gone(pod);
                }
            }
            wait = LOOK;
            match self.prove(token, None).await {
                Ok(now) if now.holder == holder => {}
                Ok(Proven { holder: now, .. }) => {
                    return AccountError::Moved { before: holder, now };
                }
                Err(error) if error.is_passing() => wait = AGAIN,
                Err(error) => return error,
            }
        }
    }

    /// Resolves when `pod`, which may not be heard of yet, is heard of no more.
    async fn gone(&self, pod: &ObjectName) {
        let mut agents = self.agents.clone();
        let mut now = agents.pin();
        let mut was_there = false;
        loop {
            match now.value.get(pod) {
                Some(_) => was_there = true,
                None if was_there => return,
                None => {}
            }
            match agents.newer_than(now.generation).await {
                Some(newer) => now = newer,
                None => return std::future::pending().await,
            }
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "of node {node}"),
            Self::Gateway(gateway) => write!(f, "of gateway {gateway}"),
        }
    }
}

impl Dead {
    fn note(&self, uid: String, now: Instant) {
        let mut dead = self.0.lock();
        dead.retain(|_, since| now.saturating_duration_since(*since) < LOOK);
        dead.insert(uid, now);
    }

    fn is_known(&self, uid: &str, now: Instant) -> bool {
        let since = self.0.lock().get(uid).copied();
        since.is_some_and(|since| now.saturating_duration_since(since) < LOOK)
    }
}

/// At least 0, less than 1.
fn fraction(dice: u64) -> f64 {
    f64::from(u32::try_from(dice >> 32).unwrap_or(0)) / 4_294_967_296.0
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
