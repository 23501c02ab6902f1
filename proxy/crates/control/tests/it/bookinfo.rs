//! What each of Bookinfo's manifests of networking comes to, beside its services.
use crate::corpora::corpora;
use culvert_control::{
    compile::{
        http::plan::{
            Plan, Rules,
            forward::{Forward, Share},
            gateway::{Serves, VirtualHost},
            matching::{HttpMatch, Wanted},
            rule::{Action, HttpRule},
            stream::StreamShare,
            traffic::Traffic,
        },
        incremental::Compiler,
    },
    object::Objects,
    source::files,
};
use culvert_model::l7::L7Ports;
use std::{fmt::Write as _, fs, path::Path};

/// What a folder's files come to, one by one, with what `beside` has.
fn shown(folder: &Path, beside: &[&Path]) -> String {
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut out = String::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Who has rules of its own means them instead.
        let is_rule =
            |path: &Path| fs::read_to_string(path).unwrap().contains("kind: DestinationRule");
        let others = beside.iter().filter(|other| !is_rule(other) || !is_rule(&path));
        let all: Vec<_> = others.map(|other| other.to_path_buf()).chain([path.clone()]).collect();
        writeln!(out, "# {name}").unwrap();
        out += &meaning(&files::load(&all).unwrap(), &name);
    }
    out
}

/// What objects come to, and what is told of those of one file.
fn meaning(objects: &Objects, file: &str) -> String {
    let mut compiler = Compiler::new(crate::story::settings());
    compiler.apply(objects).unwrap();
    let mut out = plan(compiler.scene().plan());
    for (name, offered) in &compiler.mesh().services {
        out += &passing(&name.hostname, &offered.service.l7);
    }
    for wanted in compiler.mesh().members.values() {
        out += &passing(&wanted.member.name.to_string(), &wanted.member.l7);
    }
    for note in compiler.mesh().notes.iter().filter(|note| note.file.ends_with(file)) {
        writeln!(out, "line {}: {}", note.line, note.message).unwrap();
    }
    out.replace(".default.svc.cluster.local", "")
}

fn passing(what: &str, l7: &L7Ports) -> String {
    if l7.is_empty() {
        return String::new();
    }
    let ports: Vec<_> = l7.iter().map(|port| port.to_string()).collect();
    format!("{what} passes L7 on {}\n", ports.join(" "))
}

fn plan(plan: &Plan) -> String {
    let mut out = String::new();
    for (name, service) in &plan.services {
        for routing in &service.routes {
            writeln!(out, "{}{}", name.hostname, rules(&routing.rules)).unwrap();
        }
        // Those of everybody: a client's own namespace says the same here.
        for traffic in service.traffic.iter().filter(|one| one.clients.namespaces.is_none()) {
            writeln!(out, "{}: {}", name.hostname, self::traffic(traffic)).unwrap();
        }
    }
    let by_name = plan.gateways.iter().map(|(name, gateway)| (name, &**gateway));
    let chosen = plan.chosen.iter().map(|(name, chosen)| (name, &chosen.plan));
    for (name, gateway) in by_name.chain(chosen) {
        for server in &gateway.servers {
            let hosts = |hosts: &[VirtualHost]| {
                let one = |host: &VirtualHost| {
                    format!("\n  {}{}", host.domains.join(" "), http(&host.rules, "    "))
                };
                hosts.iter().map(one).collect::<String>()
            };
            let serves = match &server.serves {
                Serves::Http { hosts: all, to_https } => {
                    format!("http{}{}", if *to_https { " to https" } else { "" }, hosts(all))
                }
                Serves::Https { hosts: all, tls } => {
                    format!("https {:?}{}", tls.client, hosts(all))
                }
                other @ (Serves::TlsTerminated { .. }
                | Serves::TlsPassed(_)
                | Serves::TlsByCluster(_)
                | Serves::Tcp(_)
                | Serves::Nothing) => format!("{other:?}"),
            };
            writeln!(out, "gateway {name} {} {serves}", server.port).unwrap();
        }
    }
    out
}

fn rules(rules: &Rules) -> String {
    match rules {
        Rules::Http(rules) => http(rules, "  "),
        Rules::Tls(rules) => {
            let one = |rule: &_| {
                let culvert_control::compile::http::plan::stream::TlsRule { hosts, to, .. } = rule;
                format!("\n  tls {} -> {}", hosts.join(" "), streams(to))
            };
            rules.iter().map(one).collect()
        }
        Rules::Tcp(rules) => {
            rules.iter().map(|rule| format!("\n  tcp -> {}", streams(&rule.to))).collect()
        }
    }
}

fn http(rules: &[HttpRule], indent: &str) -> String {
    let one = |rule: &HttpRule| {
        let matches: Vec<_> = rule.matches.iter().map(matching).collect();
        let index = rule.at.index.map_or(String::new(), |index| index.to_string());
        let fault = rule.fault.as_ref().map_or(String::new(), |fault| format!(" {fault:?}"));
        let action = match &rule.action {
            Action::Forward(to) => forward(to),
            other @ (Action::Redirect(_) | Action::Direct(_)) => format!("{other:?}"),
        };
        format!("\n{indent}{}[{index}] {} -> {action}{fault}", rule.at.object, matches.join(" or "))
    };
    rules.iter().map(one).collect()
}

fn matching(one: &HttpMatch) -> String {
    let mut all = vec![format!("{:?}", one.path)];
    all.extend(one.headers.iter().map(|header| match &header.wanted {
        Wanted::Text(text) => format!("{} {text:?}", header.name),
        Wanted::Present => format!("{} there", header.name),
    }));
    all.join(" ")
}

fn forward(to: &Forward) -> String {
    let shares = to.to.iter().map(|one| format!("{} {}", one.weight, share(&one.to)));
    let mut all = shares.collect::<Vec<_>>().join(", ");
    if let Some(timeout) = to.timeout {
        write!(all, " within {timeout:?}").unwrap();
    }
    if let Some(retry) = &to.retry {
        write!(all, " again {}", retry.attempts).unwrap();
    }
    all
}

fn streams(to: &[StreamShare]) -> String {
    let all: Vec<_> = to.iter().map(|one| format!("{} {}", one.weight, share(&one.to))).collect();
    all.join(", ")
}

fn share(share: &Share) -> String {
    match share {
        Share::Nowhere => "nowhere".to_owned(),
        Share::To(to) => {
            let port = to.port.map_or(String::new(), |port| format!(":{port}"));
            let subset = to.subset.as_deref().map_or(String::new(), |name| format!("/{name}"));
            format!("{}{port}{subset}", to.service.hostname)
        }
    }
}

fn traffic(traffic: &Traffic) -> String {
    let subset = |(name, subset): (&std::sync::Arc<str>, &_)| {
        let culvert_control::compile::http::plan::traffic::Subset { labels, .. } = subset;
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{name} ({})", labels.join(" "))
    };
    let subsets: Vec<_> = traffic.subsets.iter().map(subset).collect();
    let policy = &traffic.policy;
    let asks = match policy.asks() {
        true => format!(" {:?} {:?} {:?}", policy.balancer, policy.outlier, policy.tls),
        false => String::new(),
    };
    format!("subsets {}{asks}", subsets.join(", "))
}

#[test]
fn manifests_of_istio_mean_what_they_say() {
    let Some(corpora) = corpora() else { return };
    let bookinfo = corpora.join("bookinfo");
    let (services, subsets) = (
        bookinfo.join("platform/bookinfo.yaml"),
        bookinfo.join("networking/destination-rule-all.yaml"),
    );
    insta::assert_snapshot!(shown(&bookinfo.join("networking"), &[&services, &subsets]));
}

#[test]
fn manifests_of_the_gateway_api_mean_what_they_say() {
    let Some(corpora) = corpora() else { return };
    let platform = corpora.join("bookinfo/platform");
    let (services, versions) =
        (platform.join("bookinfo.yaml"), platform.join("bookinfo-versions.yaml"));
    insta::assert_snapshot!(shown(&corpora.join("bookinfo/gateway-api"), &[&services, &versions]));
}

/// With what is wrong with them mended, and what they name beside them.
#[test]
fn the_examples_mean_what_they_say() {
    let Some(corpora) = corpora() else { return };
    let read =
        |file: &str| fs::read_to_string(corpora.join("example-manifests").join(file)).unwrap();
    let security = read("security.yaml").replace("\nname: demo", "\n name: demo");
    let tls = "   tls: {mode: SIMPLE, credentialName: demo}\n   hosts:\n   - demo.example.com";
    let traffic = read("traffic.yaml").replace("   hosts:\n   - demo.example.com", tls);
    let demo = "---
{apiVersion: v1, kind: Service, metadata: {name: demo-svc}, spec: {clusterIP: 10.96.0.1, selector: {app: demo-app}, ports: [{name: http, port: 8080}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: demo, labels: {app: demo-app}}, status: {podIP: 10.1.0.1, phase: Running}}
";
    let (objects, problems) =
        Objects::parse("examples.yaml", format!("{security}{traffic}{demo}").as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    insta::assert_snapshot!(meaning(&objects, "examples.yaml"));
}
