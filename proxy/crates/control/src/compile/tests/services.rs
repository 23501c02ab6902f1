//! Services and their endpoints.
use super::shown::shown;

const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {nodeName: a, serviceAccountName: web, containers: [{ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.1.0.1, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app: web}}
spec: {nodeName: b, containers: [{ports: [{name: http, containerPort: 9090}, {name: dns, containerPort: 53, protocol: UDP}]}]}
status: {podIP: 10.1.0.2, conditions: [{type: Ready, status: 'False'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: bank, labels: {app: web}}
status: {podIP: 10.1.0.3}
---
";

#[test]
fn a_service_is_served_by_the_pods_it_chooses() {
    let text = format!(
        "{WEB}
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{app: web}}
  clusterIP: 10.0.0.1
  clusterIPs: [10.0.0.1, 'fd00::1']
  ipFamilies: [IPv4, IPv6]
  ports:
  - {{name: http, port: 80, targetPort: http}}
  - {{name: grpc-api, port: 81, targetPort: 8081}}
  - {{name: tls, port: 443}}
  - {{name: dns, port: 53, protocol: UDP}}
  - {{name: missing, port: 82, targetPort: nowhere}}
"
    );
    insta::assert_snapshot!(shown(&text), @r"
    shop/web.shop.svc.cluster.local at [/10.0.0.1 /fd00::1] 80->? Http1 81->8081 Grpc 443->443 Tls 82->? Dual canonical
      Kubernetes//Pod/bank/other at [10.1.0.3]
      Kubernetes//Pod/shop/web-1 at [10.1.0.1] as web | shop/web.shop.svc.cluster.local 80->8080 81->8081 443->443
      Kubernetes//Pod/shop/web-2 at [10.1.0.2] unhealthy | shop/web.shop.svc.cluster.local 80->9090 81->8081 443->443
    ");
}

#[test]
fn headless_external_and_unassigned_addresses() {
    let text = "
{apiVersion: v1, kind: Service, metadata: {name: headless, namespace: shop}, spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: a.example}}
---
{apiVersion: v1, kind: Service, metadata: {name: unassigned, namespace: shop}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {app: db}}, status: {podIP: 10.1.0.9}}
";
    insta::assert_snapshot!(shown(text), @r"
    shop/headless.shop.svc.cluster.local at [] 5432->5432 canonical
    shop/unassigned.shop.svc.cluster.local at [/240.240.192.132 /2001:2::c084] 80->80 canonical
      Kubernetes//Pod/shop/db-0 at [10.1.0.9] | shop/headless.shop.svc.cluster.local 5432->5432
    ");
}

#[test]
fn where_endpoints_are_preferred() {
    let service = |name: &str, annotations: &str, spec: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop, \
             annotations: {{{annotations}}}}}, spec: {{clusterIP: None, {spec}}}}}\n---\n"
        )
    };
    let key = "networking.istio.io/traffic-distribution";
    let text = [
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop, annotations: \
         {networking.istio.io/traffic-distribution: PreferSameNode}}}\n---\n",
        &service("inherits", "", ""),
        &service("field", &format!("{key}: Any"), "trafficDistribution: PreferClose"),
        &service("any", &format!("{key}: Any"), ""),
        &service("zone", &format!("{key}: PreferSameZone"), "publishNotReadyAddresses: true"),
        &service("local", "", "internalTrafficPolicy: Local"),
        &service("slip", &format!("{key}: Near"), ""),
        &service("private", "networking.istio.io/exportTo: .", ""),
        &service("hidden", "networking.istio.io/exportTo: '~'", ""),
        &service("few", "networking.istio.io/exportTo: 'bank,.'", ""),
    ]
    .concat();
    insta::assert_snapshot!(shown(&text), @r"
    shop/any.shop.svc.cluster.local at [] canonical
    shop/few.shop.svc.cluster.local at [] Failover [Network, Region, Zone, Subzone, Node] private canonical
    shop/field.shop.svc.cluster.local at [] Failover [Network, Region, Zone] canonical
    shop/inherits.shop.svc.cluster.local at [] Failover [Network, Region, Zone, Subzone, Node] canonical
    shop/local.shop.svc.cluster.local at [] Strict [Node] canonical
    shop/private.shop.svc.cluster.local at [] Failover [Network, Region, Zone, Subzone, Node] private canonical
    shop/slip.shop.svc.cluster.local at [] Failover [Network, Region, Zone, Subzone, Node] canonical
    shop/zone.shop.svc.cluster.local at [] Failover [Network, Region, Zone] unhealthy too canonical
    shop.yaml:13:129: annotation networking.istio.io/traffic-distribution is `Near`: ignored; write Any, PreferSameZone or PreferSameNode
    shop.yaml:19:50: exportTo names other namespaces: its own is the only one that sees it; write `*` for every namespace
    ");
}

#[test]
fn slices_list_the_endpoints_of_a_service_without_selector() {
    let text = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.0.0.7, ports: [{name: pg, port: 5432}, {name: admin, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 6432, protocol: TCP}, {name: other, port: 1}]
endpoints:
- {addresses: [192.168.0.1], conditions: {ready: true}, nodeName: a}
- {addresses: [192.168.0.2], conditions: {ready: false}, zone: z2}
- {addresses: [10.1.0.5], targetRef: {kind: Pod, name: inside, namespace: shop}}
- {addresses: [10.1.0.6], targetRef: {kind: Pod, name: gone, namespace: shop}}
---
{apiVersion: v1, kind: Node, metadata: {name: a, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1, topology.istio.io/subzone: s1}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: inside, namespace: shop}, spec: {nodeName: a}, status: {podIP: 10.1.0.5}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: strangers, namespace: shop}, addressType: IPv4, endpoints: [{addresses: [1.1.1.1]}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: names, namespace: shop, labels: {kubernetes.io/service-name: db}}, addressType: FQDN, endpoints: [{addresses: [a.example]}]}
";
    insta::assert_snapshot!(shown(text), @r"
    shop/db.shop.svc.cluster.local at [/10.0.0.7] 5432->5432 80->80 canonical
      Kubernetes//Pod/shop/inside at [10.1.0.5] at r1/z1/s1 | shop/db.shop.svc.cluster.local 5432->6432
      Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-1/192.168.0.1 at [192.168.0.1] shared at r1/z1/s1 | shop/db.shop.svc.cluster.local 5432->6432
      Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-1/192.168.0.2 at [192.168.0.2] shared unhealthy at /z2/ | shop/db.shop.svc.cluster.local 5432->6432
    ");
}

#[test]
fn entries_of_every_resolution() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: passthrough, namespace: shop}
spec: {hosts: [wiki.example, '*.wiki.example'], addresses: [10.9.0.0/16, 1.1.1.1], ports: [{name: tls, number: 443, protocol: TLS}], resolution: NONE}
---
apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata: {name: static, namespace: shop, labels: {app: vm}}
spec:
  hosts: [db.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{name: pg, number: 5432, targetPort: 6432, protocol: TCP}, {name: http, number: 80, protocol: HTTP}]
  subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/vm', plain]
  endpoints:
  - {address: 192.168.1.1, weight: 3, locality: r/z/s, serviceAccount: vm, ports: {pg: 7432}}
  - {address: 192.168.1.2, network: far, labels: {app: ignored}}
  - {address: 192.168.1.1}
  - {address: 'unix:///run/db'}
---
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {name: dns, namespace: shop}
spec: {hosts: [api.example, api2.example], ports: [{name: https, number: 443, protocol: HTTPS}], resolution: DNS, exportTo: [.]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns-elsewhere, namespace: shop}
spec: {hosts: [api3.example], ports: [{name: https, number: 443}], resolution: DNS_ROUND_ROBIN, endpoints: [{address: real.example, ports: {https: 8443}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: shop}
spec: {hosts: ['*.wild.example'], ports: [{name: https, number: 443}], resolution: DYNAMIC_DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: given, namespace: shop}
spec: {hosts: [given.example, other.example], ports: [{name: http, number: 80}], resolution: STATIC}
status: {addresses: [{value: 240.240.0.9, host: given.example}]}
";
    insta::assert_snapshot!(shown(text), @r"
    shop/*.wiki.example at [/10.9.0.0/16 /1.1.1.1] 443->443 Tls Passthrough [] unhealthy too canonical
    shop/*.wild.example at [] 443->443 canonical
    shop/api.example at [/240.240.58.121 /2001:2::3a79] 443->443 Tls private
    shop/api2.example at [/240.240.36.110 /2001:2::246e] 443->443 Tls private
    shop/api3.example at [/240.240.8.193 /2001:2::8c1] 443->443 canonical
    shop/db.example at [/240.240.73.220 /2001:2::49dc] 5432->6432 Tcp 80->80 Http1 accepts [spiffe://cluster.local/ns/shop/sa/vm] canonical
    shop/given.example at [/240.240.0.9] 80->80 canonical
    shop/other.example at [/240.240.147.40 /2001:2::9328] 80->80 canonical
    shop/wiki.example at [/10.9.0.0/16 /1.1.1.1] 443->443 Tls Passthrough [] unhealthy too canonical
      Kubernetes/networking.istio.io/ServiceEntry/shop/dns-elsewhere/real.example at [real.example] | shop/api3.example 443->8443
      Kubernetes/networking.istio.io/ServiceEntry/shop/dns/api.example at [api.example] | shop/api.example 443->443
      Kubernetes/networking.istio.io/ServiceEntry/shop/dns/api2.example at [api2.example] | shop/api2.example 443->443
      Kubernetes/networking.istio.io/ServiceEntry/shop/static/192.168.1.1 at [192.168.1.1] as vm weighs 3 at r/z/s | shop/db.example 5432->7432 80->80
      Kubernetes/networking.istio.io/ServiceEntry/shop/static/192.168.1.2 at [192.168.1.2] in far | shop/db.example 5432->6432 80->80
    shop.yaml:19:15: the endpoint 192.168.1.1 is there already: ignored
    shop.yaml:20:15: a socket in the file system is no endpoint: ignored
    shop.yaml:34:18: resolution DYNAMIC_DNS is not done yet: its hosts have no endpoints
    shop.yaml:39:18: resolution STATIC, and no endpoints
    ");
}

#[test]
fn entries_choose_pods_and_workloads_that_are_written_down() {
    let text = format!("{WEB}
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: mixed, namespace: shop}}
spec:
  hosts: [mixed.example]
  addresses: [10.8.0.1]
  resolution: STATIC
  ports: [{{name: http, number: 80, targetPort: 8000}}]
  workloadSelector: {{labels: {{app: web}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{clusterIP: 10.0.0.1, selector: {{app: web}}, ports: [{{port: 80, targetPort: http}}]}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-1, namespace: shop, labels: {{app: other}}}}
spec: {{address: 192.168.0.5, labels: {{app: web}}, ports: {{http: 8888}}, network: vms, weight: 5, serviceAccount: vm, locality: r/z}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-2, namespace: shop, labels: {{app: web, networking.istio.io/tunnel: http}}}}
spec: {{address: vm.example}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-3, namespace: shop}}
spec: {{network: far}}
");
    insta::assert_snapshot!(shown(&text), @r"
    shop/mixed.example at [/10.8.0.1] 80->8000 canonical
    shop/web.shop.svc.cluster.local at [/10.0.0.1] 80->? canonical
      Kubernetes//Pod/bank/other at [10.1.0.3]
      Kubernetes//Pod/shop/web-1 at [10.1.0.1] as web | shop/mixed.example 80->8000 | shop/web.shop.svc.cluster.local 80->8080
      Kubernetes//Pod/shop/web-2 at [10.1.0.2] unhealthy | shop/mixed.example 80->8000 | shop/web.shop.svc.cluster.local 80->9090
      Kubernetes/networking.istio.io/WorkloadEntry/shop/vm-1 at [192.168.0.5] as vm in vms weighs 5 at r/z/ | shop/mixed.example 80->8888 | shop/web.shop.svc.cluster.local 80->8888
      Kubernetes/networking.istio.io/WorkloadEntry/shop/vm-2 at [vm.example] hbone | shop/mixed.example 80->8000 | shop/web.shop.svc.cluster.local
    shop.yaml:48:7: an endpoint that only names its network is not used yet
    ");
}

#[test]
fn a_host_is_that_of_one_object_in_a_namespace_and_canonical_once() {
    let entry = |namespace: &str, name: &str, host: &str, created: &str, more: &str| {
        format!(
            "{{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {{name: {name}, \
             namespace: {namespace}{created}}}, spec: {{hosts: [{host}], addresses: [10.7.0.1]{more}}}}}\n---\n"
        )
    };
    let age = |year: &str| format!(", creationTimestamp: '{year}-01-01T00:00:00Z'");
    let text = [
        "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.0.0.1}}\n---\n",
        &entry("shop", "shadow", "web.shop.svc.cluster.local", "", ""),
        &entry("bank", "elsewhere", "web.shop.svc.cluster.local", "", ""),
        &entry("a", "young", "x.example", &age("2024"), ""),
        &entry("b", "old", "x.example", &age("2020"), ""),
        &entry("c", "private", "x.example", &age("2010"), ", exportTo: ['.']"),
        &entry("b", "later", "x.example", &age("2022"), ""),
    ]
    .concat();
    insta::assert_snapshot!(shown(&text), @r"
    a/x.example at [/10.7.0.1] Passthrough [] unhealthy too
    b/x.example at [/10.7.0.1] Passthrough [] unhealthy too canonical
    bank/web.shop.svc.cluster.local at [/10.7.0.1] Passthrough [] unhealthy too
    c/x.example at [/10.7.0.1] Passthrough [] unhealthy too private
    shop/web.shop.svc.cluster.local at [/10.0.0.1] canonical
    shop.yaml:3:1: the host web.shop.svc.cluster.local is that of shop.yaml:1 already: ignored here
    shop.yaml:13:1: the host x.example is that of shop.yaml:9 already: ignored here
    ");
}

#[test]
fn networks_are_named_by_the_root_namespace() {
    let text = "
{apiVersion: v1, kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: net-1}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, annotations: {ambient.istio.io/redirection: enabled}}, status: {podIP: 10.1.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: shop}, spec: {hostNetwork: true}, status: {podIP: 10.2.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: leaving, namespace: shop, deletionTimestamp: '2024-01-01T00:00:00Z'}, status: {podIP: 10.1.0.2}}
";
    insta::assert_snapshot!(shown(text), @r"
    shop/web.shop.svc.cluster.local at [net-1/10.0.0.1] canonical
      Kubernetes//Pod/shop/host at [10.2.0.1] in net-1 shared
      Kubernetes//Pod/shop/leaving at [10.1.0.2] in net-1 unhealthy
      Kubernetes//Pod/shop/web at [10.1.0.1] in net-1 recorded
    ");
}

#[test]
fn a_label_has_ports_of_http_pass_l7() {
    let service = |labels: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: shop, labels: {{{labels}}}}}, \
             spec: {{clusterIP: 10.0.0.1, selector: {{app: web}}, ports: [{{name: http, port: 80, \
             targetPort: http}}, {{name: tcp, port: 90}}, {{port: 91}}]}}}}\n"
        )
    };
    let namespace = |labels: &str| {
        format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: shop, labels: {{{labels}}}}}}}\n---\n"
        )
    };
    let ports = |text: &str, told: bool| {
        let settings = super::Settings { l7: told, ..super::settings() };
        let mesh = crate::compile::mesh(&super::objects(text), &settings).unwrap();
        let outbound = mesh.services.values().flat_map(|one| one.service.l7.iter());
        let outbound: Vec<_> = outbound.map(std::num::NonZeroU16::get).collect();
        let inbound = mesh.members.values().flat_map(|one| one.member.l7.iter());
        let mut inbound: Vec<_> = inbound.map(std::num::NonZeroU16::get).collect();
        inbound.sort_unstable();
        (outbound, inbound, mesh.notes.len())
    };
    let (on, off) = ("culvert.dev/l7: enabled", "culvert.dev/l7: disabled");
    let of = |around: &str, own: &str| format!("{WEB}{}{}", namespace(around), service(own));
    let both = (vec![80], vec![8080, 9090], 0);
    let none = |notes| (vec![], vec![], notes);
    assert_eq!(ports(&of("", on), true), both);
    assert_eq!(ports(&of(on, ""), true), both);
    assert_eq!(ports(&of(on, off), true), none(0));
    assert_eq!(ports(&of("", ""), true), none(0));
    assert_eq!(ports(&of("", on), false), none(1), "nobody serves it, which is said");
    assert_eq!(ports(&of("", "culvert.dev/l7: yes-please"), true), none(1));
}
