//! What an engine is told: by aggregated discovery, as a client of its own.
use super::{Home, keys::Here};
use culvert_model::http::source::GrpcTarget;
use culvert_xds::envoy::{
    bootstrap::{self, Bootstrap},
    discover::{Discovery, Reach, Way},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

/// What the server is called in the bootstrap.
const SERVER: &str = "l7";

/// The one server that there is.
#[derive(Clone, Debug)]
pub(crate) struct Server(pub(crate) Way);

impl Reach for Server {
    fn reach(&self, target: &GrpcTarget) -> Result<Way, String> {
        match target {
            GrpcTarget::Cluster(name) if **name == *SERVER => Ok(self.0.clone()),
            GrpcTarget::Cluster(name) | GrpcTarget::Uri(name) => {
                Err(format!("{name}: an engine of a node follows its own server alone (ads)"))
            }
        }
    }
}

/// What the engine of a namespace begins with.
///
/// # Errors
///
/// A sentence for people.
pub(super) fn prepare(
    home: &Home,
    way: &Way,
    namespace: &str,
) -> Result<(Arc<Bootstrap>, Discovery), String> {
    let said = said(home, own_ip(way), namespace).to_string();
    let bootstrap = bootstrap::read("L7", &said).map_err(|bad| bad.to_string())?;
    let here = Here { credentials: home.credentials.clone() };
    let discovery = Discovery::try_new(&bootstrap, Arc::new(here)).map_err(|bad| {
        let bad: Vec<_> = bad.iter().map(ToString::to_string).collect();
        bad.join("; ")
    })?;
    Ok((Arc::new(bootstrap), discovery))
}

/// As a sidecar of Istio presents itself; there is one for all pods of the namespace here.
fn said(home: &Home, ip: IpAddr, namespace: &str) -> Value {
    let Home { node, cluster, .. } = home;
    let own = json!({
        "id": format!("sidecar~{ip}~{node}.{namespace}~{namespace}.svc.cluster.local"),
        "cluster": format!("{node}.{namespace}"),
        "metadata": {
            "NAMESPACE": namespace,
            "NODE_NAME": &**node,
            "CLUSTER_ID": &**cluster,
            "INSTANCE_IPS": ip.to_string(),
        },
    });
    following(&own, &json!({"ads": {}, "resource_api_version": "V3"}))
}

/// A bootstrap of `node` that follows the one server; `ads` says how listeners and clusters come.
pub(crate) fn following(node: &Value, ads: &Value) -> Value {
    json!({
        "node": node,
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": SERVER}}],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
    })
}

/// The address that the server sees, where it can be known without asking anybody.
pub(crate) fn own_ip(way: &Way) -> IpAddr {
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let Ok(server) = way.authority.parse::<SocketAddr>() else { return here };
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    // Nothing is sent.
    let chosen = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(server)?;
        socket.local_addr()
    });
    chosen.map_or(here, |chosen| chosen.ip())
}

#[cfg(test)]
mod tests {
    use super::{super::Most, *};
    use culvert_xds::transport::upstream::plain;

    #[test]
    fn an_engine_presents_itself_as_one_of_its_namespace_and_node() {
        let most = Most { connections: 1, requests: 1 };
        let home = Home { node: "n1".into(), cluster: "c".into(), credentials: None, most };
        let address = "127.0.0.1:15010";
        let way = Way { connect: plain(address), authority: address.into(), bearer: None };
        let (bootstrap, _) = prepare(&home, &way, "shop").unwrap();
        let node = &bootstrap.node;
        assert_eq!(node.id, "sidecar~127.0.0.1~n1.shop~shop.svc.cluster.local");
        let metadata = format!("{:?}", node.metadata);
        assert!(metadata.contains("NAMESPACE") && metadata.contains("shop"), "{metadata}");
        let server = Server(way);
        assert!(server.reach(&GrpcTarget::Cluster("l7".into())).is_ok());
        assert!(server.reach(&GrpcTarget::Cluster("other".into())).is_err());
    }
}
