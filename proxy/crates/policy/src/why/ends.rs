//! Who is meant by the words of a question.
use super::question::Party;
use culvert_model::{
    identity::Identity,
    member::{Member, Tunnel},
    name::{ObjectName, WorkloadUid},
    service::Service,
    snapshot::{Bound, Known, Snapshot},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Who opens the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Known(Arc<Known>),
    /// Nobody runs as this service account; it is imagined that somebody did, in the mesh.
    Imagined(Arc<Known>),
    /// Nobody the mesh knows.
    Outside(IpAddr),
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("there is no {0}")]
    Unknown(Party),
    #[error("no workload of the mesh runs as {0}")]
    NobodyRunsAs(Party),
    #[error("{0} opens no connections: a source is a pod, a service account or an address")]
    SourceHost(Party),
    #[error("{0} has no address")]
    NoAddress(Party),
    #[error("write the port of {party}, as {party}:{example}")]
    Port { party: Party, example: String },
}

impl Source {
    pub(super) fn find(snapshot: &Snapshot, party: &Party) -> Result<Self, NoAnswer> {
        match party {
            Party::Pod(name) => named(snapshot, name)
                .map(Self::Known)
                .ok_or_else(|| NoAnswer::Unknown(party.clone())),
            Party::Account(name) => running_as(snapshot, name)
                .map(Self::Known)
                .or_else(|| imagined(snapshot, name).map(Self::Imagined))
                .ok_or_else(|| NoAnswer::NobodyRunsAs(party.clone())),
            Party::Ip(ip) => Ok(match snapshot.known_at(*ip) {
                Some(known) => Self::Known(Arc::clone(known)),
                None => Self::Outside(*ip),
            }),
            Party::Host(_) => Err(NoAnswer::SourceHost(party.clone())),
        }
    }

    pub fn known(&self) -> Option<&Arc<Known>> {
        match self {
            Self::Known(known) | Self::Imagined(known) => Some(known),
            Self::Outside(_) => None,
        }
    }

    /// The address it has of the family of `to`, else any, else none that means something.
    pub(super) fn ip(&self, to: IpAddr) -> IpAddr {
        let known = match self {
            Self::Known(known) | Self::Imagined(known) => known,
            Self::Outside(ip) => return *ip,
        };
        let ips = &known.member.addresses;
        let same = ips.iter().find(|ip| ip.is_ipv4() == to.is_ipv4());
        same.or(ips.first()).copied().unwrap_or(if to.is_ipv4() {
            IpAddr::from([0; 4])
        } else {
            IpAddr::from([0_u16; 8])
        })
    }

    fn namespace(&self) -> &str {
        self.known().map_or("", |known| &known.member.name.namespace)
    }
}

/// What is dialled: several addresses where a host name has several.
pub(super) fn destinations(
    snapshot: &Snapshot,
    source: &Source,
    party: &Party,
    port: Option<u16>,
) -> Result<Vec<SocketAddr>, NoAnswer> {
    let wants = |ports: &[String]| NoAnswer::Port {
        party: party.clone(),
        example: ports.first().cloned().unwrap_or_else(|| "80".to_owned()),
    };
    let member = match party {
        Party::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port.ok_or_else(|| wants(&[]))?)]),
        Party::Pod(name) => {
            named(snapshot, name).ok_or_else(|| NoAnswer::Unknown(party.clone()))?
        }
        Party::Account(name) => {
            running_as(snapshot, name).ok_or_else(|| NoAnswer::NobodyRunsAs(party.clone()))?
        }
        Party::Host(host) => {
            let bound = service(snapshot, host, source.namespace())
                .ok_or_else(|| NoAnswer::Unknown(party.clone()))?;
            let ports: Vec<_> =
                bound.service.ports.iter().map(|port| port.port.to_string()).collect();
            let port = match (port, &bound.service.ports[..]) {
                (Some(port), _) => port,
                (None, [only]) => only.port.get(),
                (None, _) => return Err(wants(&ports)),
            };
            let all = addresses(snapshot, source, bound, port);
            return if all.is_empty() { Err(NoAnswer::NoAddress(party.clone())) } else { Ok(all) };
        }
    };
    let port = port.ok_or_else(|| wants(&[]))?;
    let ips = &member.member.addresses;
    let ip = reachable(source, ips).ok_or_else(|| NoAnswer::NoAddress(party.clone()))?;
    Ok(vec![SocketAddr::new(ip, port)])
}

/// What a client's resolver would say: the service's address, or those of the workloads behind it.
fn addresses(snapshot: &Snapshot, source: &Source, bound: &Bound, port: u16) -> Vec<SocketAddr> {
    let own = &snapshot.mesh().network;
    let vips = bound.service.vips.iter().filter(|vip| vip.network == *own);
    let vips: Vec<IpAddr> = vips.map(|vip| vip.single().unwrap_or(vip.range.addr())).collect();
    if let Some(ip) = reachable(source, &vips) {
        return vec![SocketAddr::new(ip, port)];
    }
    let near = bound.endpoints.iter().filter(|endpoint| endpoint.known.member.network == *own);
    let ips = near.filter_map(|endpoint| reachable(source, &endpoint.known.member.addresses));
    ips.map(|ip| SocketAddr::new(ip, port)).collect()
}

/// An address of a family the source has, IPv4 first.
fn reachable(source: &Source, ips: &[IpAddr]) -> Option<IpAddr> {
    let own = source.known().map_or(&[][..], |known| &known.member.addresses);
    let has = |ip: &&IpAddr| match source {
        Source::Outside(own) => own.is_ipv4() == ip.is_ipv4(),
        Source::Known(_) | Source::Imagined(_) => {
            own.is_empty() || own.iter().any(|own| own.is_ipv4() == ip.is_ipv4())
        }
    };
    ips.iter().filter(has).min_by_key(|ip| !ip.is_ipv4()).copied()
}

/// The service of a host name: whole, or as clients in `namespace` may shorten it.
fn service<'s>(snapshot: &'s Snapshot, host: &str, namespace: &str) -> Option<&'s Arc<Bound>> {
    let rank = |service: &Service| (*service.host.namespace != *namespace, !service.canonical);
    let whole = snapshot.services_named(host);
    let whole = whole.filter(|bound| bound.service.is_visible_from(namespace));
    if let Some(found) = whole.min_by_key(|bound| rank(&bound.service)) {
        return Some(found);
    }
    let (name, of) = match host.split_once('.') {
        Some((name, rest)) => (name, rest.strip_suffix(".svc").unwrap_or(rest)),
        None => (host, namespace),
    };
    let named = snapshot.services().filter(|bound| {
        let service = &bound.service;
        // Only Kubernetes' own services have such short names.
        *service.name == *name
            && *service.host.namespace == *of
            && service.host.hostname.starts_with(&format!("{name}.{of}."))
            && service.is_visible_from(namespace)
    });
    named.min_by(|a, b| a.service.host.cmp(&b.service.host))
}

fn named(snapshot: &Snapshot, name: &ObjectName) -> Option<Arc<Known>> {
    first(snapshot, |member| member.name == *name)
}

fn running_as(snapshot: &Snapshot, account: &ObjectName) -> Option<Arc<Known>> {
    first(snapshot, |member| {
        *member.identity.namespace() == *account.namespace
            && *member.identity.service_account() == *account.name
    })
}

/// Of those that fit, the first by uid, pods before what only describes one.
fn first(snapshot: &Snapshot, fits: impl Fn(&Member) -> bool) -> Option<Arc<Known>> {
    let fit = snapshot.all_known().filter(|known| fits(&known.member));
    let first = fit.min_by_key(|known| {
        let uid = known.member.uid.as_str();
        (!uid.contains("//Pod/"), uid)
    });
    first.cloned()
}

/// A workload of the mesh that runs as `account`, in the trust domain the others are in.
fn imagined(snapshot: &Snapshot, account: &ObjectName) -> Option<Arc<Known>> {
    let domain = snapshot.all_known().map(|known| known.member.identity.trust_domain()).min()?;
    let identity = Identity::try_new(domain, &account.namespace, &account.name).ok()?;
    let uid = WorkloadUid::new(format!("sa/{account}"));
    let member = Member {
        tunnel: Tunnel::Hbone,
        network: Arc::clone(&snapshot.mesh().network),
        ..Member::new(uid, account.clone(), identity)
    };
    Some(Arc::new(Known::new(Arc::new(member), Arc::default())))
}
