//! What is found in manifests that are wrong, and in such as are not.
use super::*;
use std::fs;

fn of(files: &[(&str, &[u8])]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut report = check(&[folder.path().to_owned()]);
    let folder = format!("{}/", folder.path().display());
    for finding in &mut report.findings {
        finding.file = finding.file.replace(&folder, "");
        finding.message = finding.message.replace(&folder, "");
    }
    report
}

fn told(text: &str) -> String {
    said(&of(&[("a.yaml", text.as_bytes())]))
}

fn said(report: &Report) -> String {
    report.findings.iter().map(|finding| finding.in_full() + "\n").collect()
}

#[expect(clippy::too_many_lines, reason = "a text and what is told of it")]
#[test]
fn each_finding_has_its_severity_its_code_its_line_and_its_fix() {
    let text = r#"
apiVersion: v1
kind: Service
metadata: {name: web, nmespace: shop}
spec:
  type: Cluster
  ports:
  - {port: 80, port: 81}
  - {name: b, port: 70000}
  - {name: c, port: "80"}
---
apiVersion: v1
kind: Pods
---
kind: Pod
---
apiVersion: v2
kind: Pod
---
apiVersion: example.org/v1
kind: Anvil
---
apiVersion: example.org/v1
kind: Anvil
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mush: enabled}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm}
"#;
    insta::assert_snapshot!(told(text), @r#"
    a.yaml:4:23: error[CUL102]: unknown field `nmespace`
     4 | metadata: {name: web, nmespace: shop}
       |                       ^
       = did you mean `namespace`?
    a.yaml:6:9: error[CUL106]: `Cluster` is not one of ClusterIP, NodePort, LoadBalancer, ExternalName
     6 |   type: Cluster
       |         ^
    a.yaml:8:16: error[CUL103]: `port` is set twice
     8 |   - {port: 80, port: 81}
       |                ^
       = keep one of the two
    a.yaml:9:21: error[CUL106]: want a number from 0 to 65535, not the number 70000
     9 |   - {name: b, port: 70000}
       |                     ^
    a.yaml:10:21: error[CUL104]: want a whole number, not text
     10 |   - {name: c, port: "80"}
        |                     ^
    a.yaml:13:7: warning[CUL202]: unknown kind `Pods`: skipped
     13 | kind: Pods
        |       ^
        = did you mean `Pod`?
    a.yaml:15:1: error[CUL101]: `apiVersion` is missing
     15 | kind: Pod
        | ^
    a.yaml:17:13: error[CUL201]: Pod has no version v2
     17 | apiVersion: v2
        |             ^
        = write apiVersion: v1
    a.yaml:21:7: info[CUL202]: example.org/v1 Anvil is skipped: unknown kind (2 objects)
     21 | kind: Anvil
        |       ^
    a.yaml:32:18: error[CUL301]: shop is there already (a.yaml:28)
     32 | metadata: {name: shop, labels: {culvert.dev/mush: enabled}}
        |                  ^
    a.yaml:34:1: error[CUL105]: `spec` is missing
     34 | apiVersion: networking.istio.io/v1
        | ^
    "#);
}

#[test]
fn every_key_that_is_set_twice_is_told() {
    let text = "{apiVersion: v1, kind: Pod, kind: Pod,\n metadata: {name: a, name: b},\n spec: {nodeName: a, nodeName: b, nodeName: c}}";
    let told: Vec<_> = of(&[("a.yaml", text.as_bytes())]).findings;
    let places: Vec<_> = told.iter().map(|one| (one.line, one.column, one.code)).collect();
    let twice = Code::DuplicateField;
    assert_eq!(places, [(1, 29, twice), (2, 22, twice), (3, 22, twice), (3, 35, twice)]);
}

#[test]
fn what_is_no_manifest_is_told_with_its_line() {
    for (bytes, code, line) in [
        (&b"kind: Pod\nx: \xff\n"[..], Code::NotUtf8, 2),
        (b"apiVersion: v1\nkind: Pod\nmetadata:\n\tname: a\n", Code::Syntax, 4),
        // Half written: a quote is open, a brace is open, a word ends early.
        (b"apiVersion: v1\nkind: Namespace\nmetadata: {name: \"sh", Code::Syntax, 3),
        (
            b"{\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n \"metadata\": {\"name\":",
            Code::Syntax,
            2,
        ),
        (b"apiVersion: v1\nkin", Code::Syntax, 2),
        (b"apiVersion: v1\nkind: Namespace\nmetadata:\n", Code::MissingField, 1),
        (b"apiVersion: v1\r\nkind: Namespace\r\nmetadata:\r\n  nam: a\r\n", Code::UnknownField, 4),
        (b"just text", Code::NotAnObject, 1),
        (
            b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            Code::TooMuch,
            1,
        ),
        (b"a: &a [*a]", Code::Syntax, 1),
        (b"", Code::Nothing, 1),
        (b"# nothing\n---\n---\n", Code::Nothing, 1),
    ] {
        let report = of(&[("a.yaml", bytes)]);
        let found: Vec<_> = report.findings.iter().map(|one| (one.code, one.line)).collect();
        let text = String::from_utf8_lossy(bytes);
        assert!(found.contains(&(code, line)), "{text:?}: {}", said(&report));
    }
}

#[test]
fn a_bomb_of_aliases_is_refused_in_bounds() {
    let mut text = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let below = vec![format!("*l{}", level - 1); 10].join(", ");
        text += &format!("l{level}: &l{level} [{below}]\n");
    }
    let report = of(&[("a.yaml", text.as_bytes())]);
    assert_eq!(report.findings.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::TooMuch]);
}

#[test]
fn the_columns_of_lines_that_end_as_on_windows_are_the_same() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {nodename: b}\n";
    assert_eq!(told(text), told(&text.replace('\n', "\r\n")));
}

#[test]
fn a_set_without_problems_has_no_findings() {
    let namespace = b"{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";
    let report = of(&[("a.yaml", namespace), ("empty.yaml", b""), ("note.txt", b"not read")]);
    assert_eq!(report, Report { findings: Vec::new(), objects: 1, files: 2 });
}

#[test]
fn what_is_named_and_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let there = folder.path().join("there.yaml");
    fs::write(&there, "{apiVersion: v1, kind: Pod}").unwrap();
    let report = check(&[gone, there]);
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::Unreadable, Code::MissingField]);
    assert!(report.is_partial());
}

/// A folder that is gone between two looks, as when a deployment is replaced under a reader.
#[test]
fn a_folder_that_disappears_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "{}").unwrap();
    let files = Files::open(&[folder.path().to_owned()]).unwrap();
    folder.close().unwrap();
    let Found { problems, files, .. } = files.read();
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!((codes, files), (vec![Code::Unreadable], 0));
}

/// Whatever is told of a Secret, its content is not.
#[test]
fn no_line_of_a_secret_is_shown() {
    for text in [
        r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "hunter2"}}"#,
        "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {a: hunter2}}",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  a: hunter2\n  a: hunter2\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: [hunter2]}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  a: \"hunter2\n",
    ] {
        let told = told(&format!("{text}\n---\n{text}"));
        assert!(told.contains("CUL"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn many_objects_of_a_kind_that_is_not_used_are_one_finding() {
    let text = "apiVersion: example.org/v1\nkind: Anvil\nmetadata: {name: a}\n---\n".repeat(1000);
    let report = of(&[("a.yaml", text.as_bytes())]);
    insta::assert_snapshot!(said(&report), @r"
    a.yaml:2:7: info[CUL202]: example.org/v1 Anvil is skipped: unknown kind (1000 objects)
     2 | kind: Anvil
       |       ^
    ");
    assert_eq!(report.count(Severity::Info), 1);
}

#[test]
fn what_is_named_and_not_there_is_an_error_only_beside_services() {
    let route = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: gate}]
  rules: [{backendRefs: [{name: web, port: 81}, {name: cart, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: culvert
  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}]
";
    let service = "---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}
";
    let told = |text: &str| -> Vec<(&'static str, String)> {
        let findings = of(&[("a.yaml", text.as_bytes())]).findings;
        let references = findings.into_iter().filter(|one| one.code == Code::Reference);
        references.map(|one| (one.severity.word(), one.message)).collect()
    };
    let info = |message: &str| ("info", message.to_owned());
    let error = |message: &str| ("error", message.to_owned());
    let (gateway, cart) = ("there is no Gateway default/gate", "there is no Service default/cart");
    let secret = info("there is no Secret default/cert");
    let web = "there is no Service default/web";
    assert_eq!(told(route), [info(gateway), info(web), info(cart), secret.clone()]);
    let web = "Service default/web has no port 81";
    assert_eq!(
        told(&format!("{route}{service}")),
        [error(gateway), error(web), error(cart), secret]
    );
}

#[test]
fn what_the_gateway_api_asks_for_and_nobody_does_is_told_at_its_place() {
    let text = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: culvert
  defaultScope: All
  allowedListeners: {namespaces: {from: Same}}
  tls: {backend: {clientCertificateRef: {name: own}}}
  listeners:
  - name: sni
    port: 443
    protocol: TLS
    tls:
      mode: Passthrough
      options: {example.com/curves: P-256}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  useDefaultGateways: All
  rules: [{backendRefs: [{name: web, port: 80, filters: [{type: URLRewrite, urlRewrite: {hostname: b.example.com}}]}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs, namespace: shop}
spec:
  gatewayClassName: somebody-else
  defaultScope: All
  listeners: [{name: http, port: 80, protocol: HTTP}]
";
    let report = of(&[("a.yaml", text.as_bytes())]);
    let warnings = report.findings.iter().filter(|one| one.severity == Severity::Warning);
    let told: Vec<_> = warnings
        .map(|one| format!("{}:{} {}", one.line, one.column, one.message))
        .map(|told| told.split(" is not done").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        told,
        [
            "6:17 defaultScope",
            "7:21 allowedListeners",
            "8:41 tls.backend.clientCertificateRef",
            "15:16 no option example.com/curves is known here: it does nothing",
            "21:23 useDefaultGateways",
        ]
    );
}

#[test]
fn ports_where_clients_may_speak_tls_themselves_are_noted() {
    let text = "apiVersion: v1
kind: Service
metadata: {name: vault, namespace: shop}
spec: {ports: [{name: https, port: 443}, {name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vault, namespace: shop}
spec: {host: vault, trafficPolicy: {tls: {mode: SIMPLE}}}
";
    let report = of(&[("a.yaml", text.as_bytes())]);
    let [note] = &report.findings[..] else { panic!("{:#?}", report.findings) };
    assert_eq!((note.severity, note.line), (Severity::Info, 1));
    assert!(note.message.contains("at port 443, where clients may speak it"), "{note:#?}");
}
