//! Services, entries and policies as they are written.
use super::{read, told};

/// Kubernetes reads a colon before a bracket as part of the word.
#[test]
fn addresses_that_end_in_colons_are_addresses_in_a_list_too() {
    let objects = read(
        "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: a}, \
         spec: {hosts: [a.example], addresses: [fd00::, 'fd01::', fd02::/16]}}",
    );
    let addresses = &objects.service_entries[0].addresses;
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["fd00::/128", "fd01::/128", "fd02::/16"]);
}

#[expect(clippy::too_many_lines, reason = "a text and what is told of it")]
#[test]
fn what_is_wrong_with_services_and_entries_is_told_at_once() {
    let text = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: none
  selectors: {app: web}
  trafficDistribution: Near
  ports:
  - {name: http, port: 80, targetPort: 0}
  - {name: http, port: 80, targetPort: Http}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: ['*', 'a..b']
  resolution: STATIC
  addresses: [10.0.0.0/40]
  endpoints:
  - {address: a.example, ports: {'@': 80}, wieght: 1}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: ['*', 'a..b']
  resolution: STATIC
  workloadSelector: {labels: {app: 'a*'}}
  endpoints: [{address: a.example}]
---
apiVersion: networking.istio.io/v1alpha1
kind: WorkloadEntry
metadata: {name: vm}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: all}
spec: {mtls: {mode: strict}, portLevelMtls: {http: {mode: STRICT}}}
"#;
    insta::assert_snapshot!(told(text), @r"
    shop.yaml:6:14: `none` is not an IP address
     6 |   clusterIP: none
       |              ^
    shop.yaml:7:3: unknown field `selectors`
     7 |   selectors: {app: web}
       |   ^
       = did you mean `selector`?
    shop.yaml:8:24: `Near` is not one of Any, PreferClose, PreferSameZone, PreferSameNode
     8 |   trafficDistribution: Near
       |                        ^
    shop.yaml:10:40: 0 is not a port
     10 |   - {name: http, port: 80, targetPort: 0}
        |                                        ^
    shop.yaml:11:40: `Http` is no name of a port
     11 |   - {name: http, port: 80, targetPort: Http}
        |                                        ^
    shop.yaml:19:15: `10.0.0.0/40` is neither an IP address nor a range
     19 |   addresses: [10.0.0.0/40]
        |               ^
    shop.yaml:21:44: unknown field `wieght`
     21 |   - {address: a.example, ports: {'@': 80}, wieght: 1}
        |                                            ^
        = did you mean `weight`?
    shop.yaml:27:11: `*` stands for every host: name some
     27 |   hosts: ['*', 'a..b']
        |           ^
    shop.yaml:27:16: `a..b` is no host name
     27 |   hosts: ['*', 'a..b']
        |                ^
    shop.yaml:29:36: a selector knows no wildcards
     29 |   workloadSelector: {labels: {app: 'a*'}}
        |                                    ^
    shop.yaml:30:14: only one of workloadSelector and endpoints can be set
     30 |   endpoints: [{address: a.example}]
        |              ^
    shop.yaml:30:25: `a.example` is no IP address
     30 |   endpoints: [{address: a.example}]
        |                         ^
        = write an IP address, or resolution: DNS
    shop.yaml:32:13: WorkloadEntry has no version networking.istio.io/v1alpha1
     32 | apiVersion: networking.istio.io/v1alpha1
        |             ^
        = write apiVersion: networking.istio.io/v1
    shop.yaml:39:21: `strict` is not one of UNSET, DISABLE, PERMISSIVE, STRICT
     39 | spec: {mtls: {mode: strict}, portLevelMtls: {http: {mode: STRICT}}}
        |                     ^
    ");
}
