//! Precedence, and problems as a person reads them.
use super::{
    raw::{Layer, Origin, Piece, parse_file},
    *,
};
use std::path::Path;

fn machine() -> Machine {
    Machine { hostname: "worker-1".to_owned(), cores: 8, state: "/state".into(), role: Role::Up }
}

fn sources(file: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Sources {
    let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), v.into())).collect();
    let flags = flags
        .iter()
        .map(|(name, text)| {
            let origin = Origin::Flag(name.replace('_', "-"));
            (*name, vec![Piece { text: (*text).to_owned(), origin }])
        })
        .collect::<Layer>();
    let mut sources = Sources::read(None, &variables, flags).unwrap();
    sources.file = parse_file(&Path::new("node.yaml").into(), file, &mut sources.problems);
    sources
}

fn from(name: &str, sources: Sources) -> String {
    let (_, report) = Config::check(sources, &machine()).unwrap();
    let entry = report.0.iter().find(|entry| entry.name == name).unwrap();
    format!("{} from {}", entry.text(), entry.from)
}

fn problems(sources: Sources) -> String {
    let problems = Config::check(sources, &machine()).unwrap_err();
    problems.0.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn flags_beat_variables_beat_the_file_beats_the_default() {
    let (file, variable, flag) = ("workers: 1", [("CULVERT_WORKERS", "2")], [("workers", "3")]);
    assert_eq!(from("workers", sources("", &[], &[])), "8 from default: available cores");
    assert_eq!(from("workers", sources(file, &[], &[])), "1 from node.yaml:1:10");
    assert_eq!(from("workers", sources(file, &variable, &[])), "2 from CULVERT_WORKERS");
    assert_eq!(from("workers", sources(file, &variable, &flag)), "3 from --workers");
}

#[test]
fn every_default_is_valid() {
    let (config, report) = Config::check(sources("", &[], &[]), &machine()).unwrap();
    assert_eq!(
        report.0.len(),
        settings::ALL.iter().filter(|setting| setting.is_for(Role::Up)).count()
    );
    assert_eq!((config.node_name.as_str(), config.workers.get()), ("worker-1", 8));
    assert_eq!(config.limits.idle_timeout, None);
    assert_eq!(config.doors.admin, Some("127.0.0.1:15000".parse().unwrap()));
}

#[test]
fn a_list_replaces_the_list_of_a_lower_source() {
    let file = "exclude: [10.0.0.0/8, 192.168.0.0/16]";
    let variables = [("CULVERT_EXCLUDE", "10.1.2.3:80,443 fd00::/64")];
    let (config, _) = Config::check(sources(file, &variables, &[]), &machine()).unwrap();
    let networks: Vec<_> =
        config.capture.exclude.iter().map(|exclusion| exclusion.network.to_string()).collect();
    assert_eq!(networks, ["10.1.2.3/32", "fd00::/64"]);
}

#[test]
fn two_doors_on_one_address_are_a_problem() {
    let file = "metrics_address: 127.0.0.1:15000\nreadiness_address: '[::]:15000'\n";
    insta::assert_snapshot!(problems(sources(file, &[], &[("admin_address", "off")])), @"node.yaml:2:20: readiness_address: [::]:15000 is taken by metrics_address, 127.0.0.1:15000");
    let flags = [("metrics_address", "0.0.0.0:15021")];
    insta::assert_snapshot!(problems(sources("", &[], &flags)), @"--metrics-address: 0.0.0.0:15021 is taken by readiness_address, 0.0.0.0:15021");
    let apart = sources(
        "",
        &[],
        &[("admin_address", "127.0.0.2:15000"), ("metrics_address", "127.0.0.1:15000")],
    );
    assert!(Config::check(apart, &machine()).is_ok());
}

#[test]
fn gateways_are_named_as_objects_are() {
    let file = "gateways:\n  - shop/edge\n  - edge\n";
    insta::assert_snapshot!(problems(sources(file, &[], &[])), @r#"node.yaml:3:5: gateways: "edge" is no gateway: want NAMESPACE/NAME"#);
    let (config, _) =
        Config::check(sources("", &[], &[("gateways", "shop/edge")]), &machine()).unwrap();
    assert_eq!(config.gateways.names[0].to_string(), "shop/edge");
}

#[test]
fn all_problems_are_said_at_once_each_with_its_place() {
    let file = "\
workers: 0
admin_adress: 127.0.0.1:1
admin_address: 0.0.0.0:15000
exclude:
  - 10.0.0.0/8
  - 10.0.0.0/40:80
connect_timeout: 10
access_log: xml
";
    let variables = [("CULVERT_STRICT", "yes"), ("CULVERT_DRAIN_DEADLIN", "5s")];
    insta::assert_snapshot!(problems(sources(file, &variables, &[("instance", "Node_1")])), @r#"
    node.yaml:1:10: workers: 0 is not from 1 to 1024
    node.yaml:2:1: unknown field "admin_adress"; did you mean admin_address?
    node.yaml:3:16: admin_address: 0.0.0.0:15000 is not a loopback address; admin asks nobody who they are
    node.yaml:6:5: exclude: "10.0.0.0/40:80" is not an address or network with ports, such as 10.0.0.0/8 or 10.1.2.3:5432,6379
    node.yaml:7:18: connect_timeout: "10" is not a whole number with a unit, such as 250ms, 10s or 5m
    node.yaml:8:13: access_log: "xml" is none of json, text, off
    CULVERT_DRAIN_DEADLIN: unknown setting; did you mean CULVERT_DRAIN_DEADLINE?
    CULVERT_STRICT: "yes" is neither true nor false
    --instance: "Node_1" is not 1 to 40 lower-case letters, digits and dashes
    "#);
}
