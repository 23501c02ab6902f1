//! Who is told of L7, and how far each one is.
use culvert_xds::transport::followers::Follower;
use serde::Serialize;

/// An engine of a node, a gateway, or an Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EngineStatus {
    /// As it calls itself.
    pub id: String,
    /// What it is told of: a namespace on a node, or a gateway.
    pub scope: String,
    /// Empty: it is not known.
    pub node: String,
    pub address: Option<String>,
    /// What its certificate proved; `None`: it showed a token, or is on this machine.
    pub identity: Option<String>,
    /// It proved to be of there; else it only listens.
    pub proven: bool,
    /// `delta`, or `state of the world`.
    pub protocol: String,
    pub connected_for_seconds: u64,
    /// It has answered all that there is for it.
    pub current: bool,
    /// Of the manifests that it runs, as far as it has answered.
    pub generation: u64,
    /// Changes that it has not answered.
    pub behind: u64,
    /// Responses that it has not answered.
    pub unanswered: usize,
    /// What it said when it last refused something of a type, and has not accepted since.
    pub nacks: Vec<String>,
}

/// Everybody, in the order of what they are told; `generation` is that of all that is told.
pub(crate) fn list(followers: Vec<Follower>, generation: u64) -> Vec<EngineStatus> {
    let mut all: Vec<_> = followers.into_iter().map(|one| status(one, generation)).collect();
    all.sort_by(|a, b| (&a.scope, &a.id, &a.address).cmp(&(&b.scope, &b.id, &b.address)));
    all
}

fn status(follower: Follower, generation: u64) -> EngineStatus {
    let Follower { whose, peer, protocol, since, progress } = follower;
    let nacks = progress.refused.iter().map(|(kind, why)| format!("{}: {why}", kind.as_str()));
    EngineStatus {
        id: whose.id.to_string(),
        scope: whose.scope.to_string(),
        node: whose.node.to_string(),
        address: peer.addr.map(|addr| addr.to_string()),
        identity: peer.identity.as_ref().map(ToString::to_string),
        proven: whose.proven,
        protocol: protocol.to_owned(),
        connected_for_seconds: since.elapsed().as_secs(),
        current: progress.is_current,
        // What later generations did not change is of them, too.
        generation: if progress.is_current { generation } else { progress.generation },
        behind: progress.behind,
        unanswered: progress.unanswered,
        nacks: nacks.collect(),
    }
}
