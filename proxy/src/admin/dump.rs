//! `GET /config_dump`: what a node knows, in the shape that tools for Istio's ztunnel read.
use super::{decimal::decimal, when::rfc3339};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use culvert_dataplane::{ConnStatus, Dataplane, PodPhase};
use culvert_identity::{
    armor,
    store::{Identities, Status},
};
use culvert_model::{
    l7::L7Ports,
    locality::{BalanceMode, HealthPolicy},
    member::{AppTunnelProtocol, Health, Member, OwnerKind, Tunnel},
    network::{Gateway, Target},
    service::Families,
    snapshot::{Bound, Snapshot},
};
use serde_json::{Map, Value, json};
use std::slice;

mod rules;

/// Everything.
pub(super) fn dump(snapshot: &Snapshot, identities: &Identities, dataplane: &Dataplane) -> Value {
    let mut known: Vec<_> = snapshot.all_known().collect();
    known.sort_unstable_by(|a, b| a.member.uid.cmp(&b.member.uid));
    let mut services: Vec<_> = snapshot.services().collect();
    services.sort_unstable_by(|a, b| a.service.host.cmp(&b.service.host));
    json!({
        "workloads": known.iter().map(|known| workload(&known.member)).collect::<Value>(),
        "services": services.iter().map(|bound| service(bound)).collect::<Value>(),
        "policies": rules::policies(known.iter().map(|known| &*known.authz)),
        "stagedServices": {},
        "certificates": certificates(identities),
        "workloadState": state(snapshot, dataplane),
        "version": { "version": env!("CARGO_PKG_VERSION"), "buildStatus": "culvert" },
    })
}

fn workload(member: &Member) -> Value {
    let mut fields = json!({
        "uid": member.uid.as_str(),
        "workloadIps": member.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "protocol": match member.tunnel { Tunnel::Hbone => "HBONE", Tunnel::None => "TCP" },
        "name": &*member.name.name,
        "namespace": &*member.name.namespace,
        "serviceAccount": member.identity.service_account(),
        "trustDomain": member.identity.trust_domain(),
        "workloadName": if member.owner.is_empty() { &*member.name.name } else { &*member.owner },
        "workloadType": match member.owner_kind {
            OwnerKind::Deployment => "deployment",
            OwnerKind::CronJob => "cronjob",
            OwnerKind::Pod => "pod",
            OwnerKind::Job => "job",
        },
        "canonicalName": &*member.canonical_name,
        "canonicalRevision": &*member.canonical_revision,
        "clusterId": &*member.cluster,
        "locality": {
            "region": &*member.locality.region,
            "zone": &*member.locality.zone,
            "subzone": &*member.locality.subzone,
        },
        "node": &*member.node,
        "network": &*member.network,
        "status": match member.health {
            Health::Healthy => "Healthy",
            Health::Unhealthy => "Unhealthy",
        },
        "hostname": &*member.hostname,
        "nativeTunnel": member.native_tunnel,
        "capacity": member.capacity,
        "authorizationPolicies": texts(member.policies.iter()),
        "services": texts(member.services.iter().map(|(name, _)| name)),
    });
    set(&mut fields, "waypoint", member.waypoint.as_deref().map(gateway));
    set(&mut fields, "networkGateway", member.network_gateway.as_deref().map(gateway));
    let tunnel = member.app_tunnel.map(|tunnel| {
        let protocol = match tunnel.protocol {
            AppTunnelProtocol::None => "NONE",
            AppTunnelProtocol::Proxy => "PROXY",
        };
        json!({ "protocol": protocol, "port": tunnel.port })
    });
    set(&mut fields, "applicationTunnel", tunnel);
    set(&mut fields, "l7", l7(&member.l7));
    fields
}

fn service(Bound { service, endpoints, .. }: &Bound) -> Value {
    let ports: Map<_, _> = (service.ports.iter())
        .map(|port| (port.port.to_string(), port.target.map_or(0, |port| port.get()).into()))
        .collect();
    let endpoints: Map<_, _> = (endpoints.iter())
        .map(|endpoint| {
            let ports: Map<_, _> = (endpoint.ports.iter())
                .filter_map(|port| Some((port.port.to_string(), port.target?.get().into())))
                .collect();
            let uid = endpoint.known.member.uid.as_str();
            let fields = json!({
                "workloadUid": uid, "service": service.host.to_string(), "port": ports,
            });
            (uid.to_owned(), fields)
        })
        .collect();
    let mut fields = json!({
        "name": &*service.name,
        "namespace": &*service.host.namespace,
        "hostname": &*service.host.hostname,
        "vips": texts(service.vips.iter().map(|vip| match vip.single() {
            Some(ip) => format!("{}/{ip}", vip.network),
            None => vip.to_string(),
        })),
        "ports": ports,
        "endpoints": endpoints,
        "subjectAltNames": texts(service.accepted.iter()),
        "canonical": service.canonical,
    });
    set(&mut fields, "waypoint", service.waypoint.as_ref().map(gateway));
    set(&mut fields, "l7", l7(&service.l7));
    let families = match service.families {
        Families::Automatic => None,
        Families::V4 => Some("IPv4"),
        Families::V6 => Some("IPv6"),
        Families::Dual => Some("Dual"),
    };
    set(&mut fields, "ipFamilies", families.map(Value::from));
    let balance = &service.balance;
    let mode = match balance.mode {
        BalanceMode::Anywhere => None,
        BalanceMode::Strict => Some("Strict"),
        BalanceMode::Failover => Some("Failover"),
        BalanceMode::Passthrough => Some("Passthrough"),
    };
    let balancer = mode.map(|mode| {
        let scopes = balance.preference.iter().map(|scope| format!("{scope:?}"));
        let health = match balance.health {
            HealthPolicy::OnlyHealthy => "OnlyHealthy",
            HealthPolicy::AllowAll => "AllowAll",
        };
        json!({ "mode": mode, "routingPreferences": texts(scopes), "healthPolicy": health })
    });
    set(&mut fields, "loadBalancer", balancer);
    fields
}

/// What must pass L7, if something must.
fn l7(ports: &L7Ports) -> Option<Value> {
    (!ports.is_empty()).then(|| ports.iter().map(|port| port.get()).collect())
}

fn gateway(gateway: &Gateway) -> Value {
    let destination = match &gateway.target {
        Target::Service(name) => name.to_string(),
        Target::Ip(at) => at.to_string(),
    };
    json!({ "destination": destination, "hboneMtlsPort": gateway.hbone_port })
}

fn certificates(identities: &Identities) -> Value {
    let roots = identities.trust().pin();
    let roots = roots.value.roots().iter();
    let roots: Vec<_> = roots
        .map(|root| json!({ "pem": armoured(&armor::write(slice::from_ref(root))) }))
        .collect();
    let one = |Status { identity, certificate, failure }: &Status| {
        let state = match (certificate, failure) {
            (Some(_), _) => "Available".to_owned(),
            (None, Some(failure)) => format!("Unavailable: {failure}"),
            (None, None) => "Initializing".to_owned(),
        };
        let chain: Vec<_> = (certificate.iter())
            .flat_map(|certificate| {
                let validity = certificate.validity();
                let leaf = certificate.chain().first().map(|leaf| {
                    json!({
                        "pem": armoured(&armor::write(slice::from_ref(leaf))),
                        "serialNumber": decimal(certificate.serial()),
                        "validFrom": rfc3339(validity.not_before.as_secs()),
                        "expirationTime": rfc3339(validity.not_after.as_secs()),
                    })
                });
                leaf.into_iter().chain(certificate.chain().iter().skip(1).map(|one| {
                    json!({ "pem": armoured(&armor::write(slice::from_ref(one))), "serialNumber": "0" })
                }))
            })
            .collect();
        json!({
            "identity": identity.to_string(),
            "state": state,
            "certChain": chain,
            "rootCerts": roots,
        })
    };
    identities.status().iter().map(one).collect()
}

/// Each pod of this node, and its connections.
fn state(snapshot: &Snapshot, dataplane: &Dataplane) -> Value {
    let connections = dataplane.connections();
    let of = |uid: &str, direction: &str| -> Value {
        let own = connections.iter().filter(|c| c.pod == uid && c.direction == direction);
        own.map(connection).collect()
    };
    let pods = dataplane.pods();
    let entries = pods.iter().map(|pod| {
        let known = snapshot.known(&culvert_model::name::WorkloadUid::new(&*pod.uid));
        let identity = known.map(|known| &known.member.identity);
        let state = match pod.state {
            PodPhase::Captured => "Up",
            PodPhase::Pending { .. } => "Pending",
            PodPhase::Leaving => "Draining",
        };
        let fields = json!({
            "state": state,
            "connections": {
                "inbound": of(&pod.uid, "inbound"),
                "outbound": of(&pod.uid, "outbound"),
            },
            "info": {
                "name": pod.name,
                "namespace": pod.namespace,
                "trustDomain": identity.map(|identity| identity.trust_domain()),
                "serviceAccount": identity.map(|identity| identity.service_account()),
            },
        });
        (pod.uid.clone(), fields)
    });
    Value::Object(entries.collect())
}

fn connection(status: &ConnStatus) -> Value {
    let meant = status.service.clone().unwrap_or_else(|| status.destination.to_string());
    let next = status.hop.unwrap_or(status.destination).to_string();
    let (original, actual) = match status.direction {
        "inbound" => (status.service.clone().unwrap_or_default(), status.destination.to_string()),
        _ => (meant, next),
    };
    json!({
        "src": status.source.to_string(),
        "originalDst": original,
        "actualDst": actual,
        "protocol": if status.path == "tunnel" { "HBONE" } else { "TCP" },
    })
}

/// A PEM text in base64, as the dump has it.
fn armoured(pem: &str) -> String {
    STANDARD.encode(pem)
}

fn set(fields: &mut Value, name: &str, value: Option<Value>) {
    if let (Value::Object(fields), Some(value)) = (fields, value) {
        fields.insert(name.to_owned(), value);
    }
}

fn texts(all: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    all.into_iter().map(|one| one.to_string()).collect()
}
