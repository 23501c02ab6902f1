//! Manifests of the repository, and those of others where they are at hand.
use culvert_control::{compile, object::Objects, source::files};
use culvert_identity::ca::site::Site;
use rustls_pki_types::UnixTime;
use serde_json::json;
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Where other people's files are; not every checkout has them.
pub(crate) fn corpora() -> Option<PathBuf> {
    let named = env::var_os("CULVERT_CORPORA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/corpora");
    let found = named.unwrap_or(beside);
    if found.is_dir() {
        return Some(found);
    }
    assert!(env::var_os("CI").is_none(), "no corpora at {}", found.display());
    #[expect(clippy::print_stderr, reason = "whoever runs it has to know that nothing was tested")]
    {
        eprintln!("skipped: no corpora");
    }
    None
}

#[test]
fn the_demos_manifests_mean_what_the_demo_shows() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/demo");
    let members = |files: &[PathBuf]| {
        let objects = files::load(files).unwrap();
        let compiled = compile::mesh(&objects, &crate::story::settings()).unwrap();
        assert_eq!(compiled.notes, [], "{files:?}");
        let members = compiled.members.values();
        members.filter(|one| one.member.network_ips().next().is_some()).count()
    };
    assert_eq!(members(&[demo.join("shop.yaml"), demo.join("only-client.yaml")]), 5);
    // Its routes come one after another; the gateway's certificate is made when it opens.
    let made = tempfile::tempdir().unwrap();
    let secret = made.path().join("secret.yaml");
    fs::write(&secret, certificate()).unwrap();
    let mut steps = 0;
    for step in fs::read_dir(demo.join("books")).unwrap() {
        let step = step.unwrap().path();
        assert_eq!(members(&[demo.join("books.yaml"), step, secret.clone()]), 7);
        steps += 1;
    }
    assert_eq!(steps, 8);
}

/// What the demo's gateway shows strangers.
fn certificate() -> String {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let Site { certificate, key } = Site::make("books.example.com", HOUR, now).unwrap();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "books-example-com", "namespace": "books"},
        "stringData": {"tls.crt": certificate, "tls.key": key},
    });
    secret.to_string()
}

#[test]
fn other_peoples_manifests_are_read_without_a_problem() {
    let Some(corpora) = corpora() else { return };
    let bookinfo = files::load(&[corpora.join("bookinfo/platform/bookinfo.yaml")]).unwrap();
    assert_eq!((bookinfo.services.len(), bookinfo.skipped.len()), (4, 10));
    let mut folders = vec![corpora];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            // Cases, of which several have one name, and what is wrong on purpose: both have tests.
            let cases = ["ambient-authorization", "istio-api-validation", "example-manifests"];
            if cases.iter().any(|cases| name.ends_with(cases)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".yaml") && !name.contains("-invalid") {
                let objects = files::load(&[path]).unwrap_or_else(|problems| {
                    panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
                });
                let meant = compile::mesh(&objects, &crate::story::settings());
                assert!(meant.is_ok(), "{name} {meant:?}");
                files += 1;
            }
        }
    }
    assert!(files > 30, "{files}");
}

/// Istio's examples of what its API takes and does not take.
#[test]
fn what_istio_refuses_is_refused_and_the_rest_is_not() {
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("istio-api-validation");
    let mut seen = 0;
    for kind in [
        "authz",
        "destinationrule",
        "peerauth",
        "reqauth",
        "serviceentry",
        "telemetry",
        "workloadentry",
        "workloadgroup",
    ] {
        for (what, is_valid) in [("valid", true), ("invalid", false)] {
            let text = fs::read_to_string(folder.join(format!("{kind}-{what}.yaml"))).unwrap();
            let documents = text.split("\n---").map(|document| {
                let lines = document.lines().filter(|line| !line.starts_with("_err:"));
                lines.collect::<Vec<_>>().join("\n")
            });
            for document in documents.filter(|document| document.contains("\nkind:")) {
                let (objects, mut problems) = Objects::parse("case.yaml", document.as_bytes());
                if problems.is_empty() {
                    let compiled = compile::mesh(&objects, &crate::story::settings());
                    problems = compiled.err().unwrap_or_default();
                }
                assert_eq!(problems.is_empty(), is_valid, "{document}\n{problems:?}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 80, "{seen}");
}

/// Two of the eight have one error each, which is found where it is.
#[test]
fn the_errors_of_the_examples_are_found_and_the_others_are_taken() {
    let Some(corpora) = corpora() else { return };
    let mut told = Vec::new();
    let mut read = 0;
    for file in ["security.yaml", "traffic.yaml"] {
        let text = fs::read(corpora.join("example-manifests").join(file)).unwrap();
        let (objects, problems) = Objects::parse(file, &text);
        told.extend(problems.iter().map(culvert_control::problem::Problem::in_one_line));
        read += objects.peer_authentications.len()
            + objects.request_authentications.len()
            + objects.authorization_policies.len()
            + objects.istio_gateways.len()
            + objects.virtual_services.len()
            + objects.destination_rules.len()
            + objects.service_entries.len();
    }
    assert_eq!(read, 6);
    let [metadata, name, server] = &told[..] else { panic!("{told:#?}") };
    assert!(metadata.starts_with("security.yaml:13:1: `metadata` is missing"), "{metadata}");
    let fix = "write it below `metadata`, indented";
    assert_eq!(*name, format!("security.yaml:16:1: unknown field `name`; {fix}"));
    assert!(server.starts_with("traffic.yaml:11:4: a server for HTTPS needs tls"), "{server}");
}

/// What Bookinfo routes by is understood, object by object.
#[test]
fn every_route_of_bookinfo_is_read_whole() {
    let Some(corpora) = corpora() else { return };
    let objects = files::load(&[corpora.join("bookinfo/networking")]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    });
    assert!(objects.virtual_services.len() > 20, "{}", objects.virtual_services.len());
    assert!(objects.destination_rules.len() > 10, "{}", objects.destination_rules.len());
    for service in &objects.virtual_services {
        assert!(service.http.len() + service.tcp.len() + service.tls.len() > 0, "{service:?}");
    }
}
