//! Any value of the model that travels.
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Origin, Rule, Scope,
        set::{Account, Condition, StringMatch},
    },
    identity::Identity,
    l7::L7Ports,
    locality::{Balance, BalanceMode, HealthPolicy, Locality, Nearness},
    member::{AppTunnel, AppTunnelProtocol, Health, Member, NetworkMode, OwnerKind, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    network::{Gateway, NetworkIp, NetworkRange, Target},
    service::{AppProtocol, Families, Port, Service, Visibility},
};
use ipnet::IpNet;
use proptest::{collection, option, prelude::*};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU16,
    sync::Arc,
};

fn text() -> impl Strategy<Value = Arc<str>> {
    "[a-z0-9-]{0,6}".prop_map(Into::into)
}

fn word() -> impl Strategy<Value = Arc<str>> {
    "[a-z0-9.-]{1,6}".prop_map(Into::into)
}

fn list<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Box<[T]>> {
    collection::vec(of, 0..3).prop_map(Into::into)
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u8>().prop_map(|last| Ipv4Addr::new(10, 0, 0, last).into()),
        any::<u16>().prop_map(|last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).into()),
    ]
}

fn net() -> impl Strategy<Value = IpNet> {
    let v4 =
        (any::<u32>(), 0..=32_u8).prop_map(|(ip, len)| IpNet::new(Ipv4Addr::from(ip).into(), len));
    let v6 = (any::<u128>(), 0..=128_u8)
        .prop_map(|(ip, len)| IpNet::new(Ipv6Addr::from(ip | 1 << 127).into(), len));
    prop_oneof![v4, v6].prop_map(Result::unwrap)
}

fn port_number() -> impl Strategy<Value = NonZeroU16> {
    (1..=u16::MAX).prop_map(|port| NonZeroU16::new(port).unwrap())
}

fn l7() -> impl Strategy<Value = L7Ports> {
    let ports = collection::vec(port_number(), 0..3);
    let clients = collection::vec("[a-c]", 0..3);
    let policies = collection::vec(("[a-c]", "[a-c]"), 0..3);
    (ports, clients, policies).prop_map(|(ports, clients, policies)| {
        let ports: L7Ports = ports.into_iter().collect();
        let policies =
            policies.into_iter().map(|(namespace, name)| ObjectName::new(namespace, name));
        ports.only_for(clients.into_iter().map(Arc::from)).deciding(policies)
    })
}

fn port() -> impl Strategy<Value = Port> {
    let protocol = prop_oneof![
        Just(AppProtocol::Unknown),
        Just(AppProtocol::Http1),
        Just(AppProtocol::Http2),
        Just(AppProtocol::Grpc),
        Just(AppProtocol::Tcp),
        Just(AppProtocol::Tls),
    ];
    (port_number(), option::of(port_number()), protocol).prop_map(|(port, target, protocol)| Port {
        port,
        target,
        protocol,
    })
}

fn identity() -> impl Strategy<Value = Identity> {
    (word(), word(), word()).prop_map(|(td, ns, sa)| Identity::try_new(&td, &ns, &sa).unwrap())
}

fn object() -> impl Strategy<Value = ObjectName> {
    (word(), word()).prop_map(|(namespace, name)| ObjectName { namespace, name })
}

fn host() -> impl Strategy<Value = ServiceName> {
    (word(), word()).prop_map(|(namespace, hostname)| ServiceName { namespace, hostname })
}

fn gateway() -> impl Strategy<Value = Gateway> {
    let target = prop_oneof![
        host().prop_map(Target::Service),
        (text(), ip()).prop_map(|(network, ip)| Target::Ip(NetworkIp { network, ip })),
    ];
    (target, port_number()).prop_map(|(target, hbone_port)| Gateway { target, hbone_port })
}

pub(crate) fn service() -> impl Strategy<Value = Service> {
    let nearness = prop_oneof![
        Just(Nearness::Region),
        Just(Nearness::Zone),
        Just(Nearness::Subzone),
        Just(Nearness::Node),
        Just(Nearness::Cluster),
        Just(Nearness::Network),
    ];
    let mode = prop_oneof![
        Just(BalanceMode::Anywhere),
        Just(BalanceMode::Strict),
        Just(BalanceMode::Failover),
        Just(BalanceMode::Passthrough),
    ];
    let health = prop_oneof![Just(HealthPolicy::OnlyHealthy), Just(HealthPolicy::AllowAll)];
    let balance = (list(nearness), mode, health).prop_map(|(preference, mode, health)| Balance {
        preference,
        mode,
        health,
    });
    let families = prop_oneof![
        Just(Families::Automatic),
        Just(Families::V4),
        Just(Families::V6),
        Just(Families::Dual),
    ];
    let visibility = prop_oneof![Just(Visibility::Public), Just(Visibility::Namespace)];
    let vip = (text(), net()).prop_map(|(network, range)| NetworkRange::new(network, range));
    (
        (host(), text(), list(vip), list(port()), list(identity())),
        (option::of(gateway()), list((gateway(), any::<u32>())), balance),
        (families, any::<bool>(), any::<bool>(), visibility, l7()),
    )
        .prop_map(|(named, ways, rest)| {
            let (host, name, vips, ports, accepted) = named;
            let (waypoint, weighted_waypoints, balance) = ways;
            let (families, canonical, ingress_use_waypoint, visibility, l7) = rest;
            Service {
                host,
                name,
                vips,
                ports,
                accepted,
                waypoint,
                weighted_waypoints,
                balance,
                families,
                canonical,
                ingress_use_waypoint,
                visibility,
                l7,
            }
        })
}

pub(crate) fn member() -> impl Strategy<Value = Member> {
    let owner_kind = prop_oneof![
        Just(OwnerKind::Deployment),
        Just(OwnerKind::CronJob),
        Just(OwnerKind::Pod),
        Just(OwnerKind::Job),
    ];
    let protocol = prop_oneof![Just(AppTunnelProtocol::None), Just(AppTunnelProtocol::Proxy)];
    let app_tunnel = (protocol, option::of(port_number()))
        .prop_map(|(protocol, port)| AppTunnel { protocol, port });
    let locality = (text(), text(), text()).prop_map(|(region, zone, subzone)| Locality {
        region,
        zone,
        subzone,
    });
    let network_mode = prop_oneof![Just(NetworkMode::Own), Just(NetworkMode::Host)];
    let tunnel = prop_oneof![Just(Tunnel::None), Just(Tunnel::Hbone)];
    let health = prop_oneof![Just(Health::Healthy), Just(Health::Unhealthy)];
    (
        (word(), text(), identity(), list(ip()), text(), text(), network_mode),
        (tunnel, any::<bool>(), option::of(gateway()), option::of(gateway())),
        (option::of(app_tunnel), text(), word(), locality, text(), text(), text(), owner_kind),
        collection::btree_map(host(), list(port()), 0..3),
        (list(object()), health, any::<u32>(), l7()),
    )
        .prop_map(|(named, ways, facts, services, rest)| {
            let (uid, name, identity, addresses, hostname, network, network_mode) = named;
            let (tunnel, native_tunnel, waypoint, network_gateway) = ways;
            let (app_tunnel, node, cluster, locality, ..) = facts.clone();
            let (.., canonical_name, canonical_revision, owner, owner_kind) = facts;
            let (policies, health, capacity, l7) = rest;
            Member {
                uid: WorkloadUid::new(uid),
                name: ObjectName::new(identity.namespace(), name),
                identity,
                addresses,
                hostname,
                network,
                network_mode,
                tunnel,
                native_tunnel,
                waypoint: waypoint.map(Arc::new),
                network_gateway: network_gateway.map(Arc::new),
                app_tunnel,
                node,
                cluster,
                locality: locality.into(),
                canonical_name,
                canonical_revision,
                owner,
                owner_kind,
                services: services.into_iter().collect(),
                l7,
                policies: policies.into(),
                health,
                capacity,
            }
        })
}

fn condition<T: std::fmt::Debug, S: FromIterator<T> + std::fmt::Debug>(
    of: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Condition<S>> {
    (collection::vec(of.clone(), 0..3), collection::vec(of, 0..2)).prop_map(|(is, is_not)| {
        Condition { is: is.into_iter().collect(), is_not: is_not.into_iter().collect() }
    })
}

fn one_match() -> impl Strategy<Value = Match> {
    let string = || {
        prop_oneof![
            text().prop_map(StringMatch::Exact),
            text().prop_map(StringMatch::Prefix),
            text().prop_map(StringMatch::Suffix),
            Just(StringMatch::Presence),
        ]
        .boxed()
    };
    let account = (word(), word())
        .prop_map(|(namespace, service_account)| Account { namespace, service_account })
        .boxed();
    (
        condition(string()),
        condition(account),
        condition(string()),
        condition(net().boxed()),
        condition(net().boxed()),
        condition(any::<u16>()),
    )
        .prop_map(|(namespaces, service_accounts, principals, from, to, destination_ports)| {
            Match {
                namespaces,
                service_accounts,
                principals,
                source_ips: from,
                destination_ips: to,
                destination_ports,
            }
        })
}

pub(crate) fn authorization() -> impl Strategy<Value = Authorization> {
    let clause = list(one_match()).prop_map(|matches| Clause { matches });
    let rule = list(clause).prop_map(|clauses| Rule { clauses });
    let scope = prop_oneof![Just(Scope::Global), Just(Scope::Namespace), Just(Scope::Selector)];
    let action = prop_oneof![Just(Action::Allow), Just(Action::Deny)];
    let origin = option::of((word(), collection::vec(any::<u32>(), 0..3)));
    (object(), scope, action, any::<bool>(), list(rule), origin).prop_map(
        |(name, scope, action, dry_run, rules, origin)| Authorization {
            name,
            scope,
            action,
            dry_run,
            rules,
            origin: origin.map(|(at, rules)| Origin { at, rules: rules.into() }),
        },
    )
}
