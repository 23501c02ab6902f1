//! The application on two nodes, its manifests, and what its page shows.
use culvert_lab::PodManifest;
use e2e::{
    Mesh, NodeSetup, Running, Setup,
    bookinfo::{corpus, pages, words},
    eventually,
    programs::{of_machine, peer},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};

/// What pods have for a resolver; nobody is there, and the mesh answers.
const RESOLVER: &str = "10.96.0.10";

pub(in crate::l7) const ENROLLED: &str = "apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {culvert.dev/mesh: enabled}}
";

/// A version of a service: its pod and node.
struct Version {
    pod: &'static str,
    node: &'static str,
    service: &'static str,
    version: &'static str,
}

const fn version(
    (pod, node): (&'static str, &'static str),
    (service, version): (&'static str, &'static str),
) -> Version {
    Version { pod, node, service, version }
}

const VERSIONS: [Version; 10] = [
    version(("productpage", "a"), ("productpage", "v1")),
    version(("detailsv1", "b"), ("details", "v1")),
    version(("detailsv2", "a"), ("details", "v2")),
    version(("reviewsv1", "a"), ("reviews", "v1")),
    version(("reviewsv2", "b"), ("reviews", "v2")),
    version(("reviewsv3", "b"), ("reviews", "v3")),
    version(("ratingsv1", "b"), ("ratings", "v1")),
    version(("ratingsv2", "a"), ("ratings", "v2")),
    version(("ratingssql", "b"), ("ratings", "v2-mysql")),
    version(("ratingsvm", "a"), ("ratings", "v2-mysql-vm")),
];

/// The application, and a client of its page.
pub(super) struct Bookinfo {
    pub(super) mesh: Mesh,
    corpus: PathBuf,
    _services: Vec<Running>,
}

/// A pod of namespace `default` that asks the mesh for names.
pub(in crate::l7) fn in_default(pod: PodManifest) -> PodManifest {
    pod.namespace("default").annotation("culvert.dev/resolvers", RESOLVER)
}

/// Starts our helper in a pod with a resolver of its own, as a container has.
#[track_caller]
pub(in crate::l7) fn contained(mesh: &Mesh, pod: &str, words: &[&str]) -> Running {
    let conf = mesh.folder().join("resolv.conf");
    let search = "default.svc.cluster.local svc.cluster.local cluster.local";
    let text = format!("nameserver {RESOLVER}\nsearch {search}\noptions ndots:5\n");
    // Others may be reading it.
    if !conf.exists() {
        fs::write(&conf, text).unwrap();
    }
    let mut shell = of_machine("unshare", "util-linux");
    shell.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    shell.arg("mount --bind \"$0\" /etc/resolv.conf; exec \"$@\"").arg(conf);
    shell.arg(peer()).args(words);
    mesh.pod(pod).start(shell)
}

/// Writes what is applied, and waits until everybody runs it.
#[track_caller]
pub(in crate::l7) fn write(mesh: &Mesh, text: &str) {
    let generation = |status: &Value| status["configuration"]["generation"].as_u64();
    let before = generation(&mesh.plane().status());
    mesh.write("applied.yaml", text);
    eventually("nodes and engines that run it", || {
        let status = mesh.plane().status();
        let is_taken = |of: &Value| of["refused"].as_array().is_none_or(Vec::is_empty);
        assert!(is_taken(&status["configuration"]), "{status}");
        let now = generation(&status);
        // Where there is none, none is named.
        let all = |what: &str, is: &dyn Fn(&Value) -> bool| {
            status["control"][what].as_array().is_none_or(|all| all.iter().all(is))
        };
        let nodes = all("nodes", &|one| one["current"] == true);
        let engines = all("engines", &|one| {
            assert!(is_taken(one), "{one}");
            one["current"] == true && one["generation"].as_u64() >= now
        });
        (now > before && nodes && engines).then_some(())
    });
}

fn versions_on(setup: &mut NodeSetup, node: &str) {
    for Version { pod, service, version, .. } in VERSIONS.iter().filter(|one| one.node == node) {
        setup.pod_with(pod, move |pod| {
            let pod = in_default(pod).account(&format!("bookinfo-{service}"));
            pod.label("app", service).label("version", version).port(9080)
        });
    }
}

impl Bookinfo {
    /// All versions of all services, which are known by the manifest of the sample.
    #[track_caller]
    pub(super) fn start(test: &str) -> Option<Self> {
        Self::start_with(test, |_| {})
    }

    /// The same, with more nodes.
    #[track_caller]
    pub(super) fn start_with(test: &str, more: impl FnOnce(&mut Setup)) -> Option<Self> {
        let corpus = corpus("bookinfo")?;
        let mesh = Mesh::start(test, |m| {
            m.plane();
            versions_on(m.node("a").pod_with("client", in_default), "a");
            versions_on(m.node("b"), "b");
            more(m);
        });
        mesh.write("default.yaml", ENROLLED);
        for node in ["a", "b"] {
            mesh.node(node).await_tunnels(VERSIONS.len() + 1);
        }
        let serve = |one: &Version| {
            let name = format!("{}-{}", one.service, one.version);
            let service = contained(&mesh, one.pod, &words(&name, "[::]:9080"));
            assert!(service.said(0).get("listening").is_some(), "{name}");
            service
        };
        let services = VERSIONS.iter().map(serve).collect();
        let bookinfo = Self { mesh, corpus, _services: services };
        bookinfo.apply(&["platform/bookinfo.yaml"]);
        Some(bookinfo)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.corpus.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    /// The services and these manifests, and nothing else, in force for everybody.
    ///
    /// Of objects that are there twice the later one counts, as with `kubectl apply`.
    #[track_caller]
    pub(super) fn apply(&self, files: &[&str]) {
        self.apply_with(files, "");
    }

    /// The same with `more` on top.
    #[track_caller]
    pub(super) fn apply_with(&self, files: &[&str], more: &str) {
        let texts = ["platform/bookinfo.yaml"].iter().chain(files).map(|file| self.read(file));
        let mut objects = BTreeMap::new();
        for text in texts.chain([more.to_owned()]) {
            for object in text.split("\n---").filter(|object| object.contains("kind:")) {
                let line = |of: &str| object.lines().find(|line| line.starts_with(of));
                let named = (line("kind:").map(str::to_owned), line("  name:").map(str::to_owned));
                objects.insert(named, object.trim_start_matches('-').to_owned());
            }
        }
        let all: Vec<String> = objects.into_values().collect();
        write(&self.mesh, &all.join("\n---\n"));
    }

    /// Requests from a pod to a server by its name; who answered how.
    #[track_caller]
    pub(super) fn ask(
        &self,
        from: &str,
        (server, path): (&str, &str),
        times: u32,
        user: &str,
    ) -> Value {
        let (times, user) = (times.to_string(), format!("end-user: {user}"));
        contained(&self.mesh, from, &["ask", server, path, &times, &user]).last_words()
    }

    /// The page as `user` sees it some times: who told of details, reviews and ratings, or the
    /// status with which nobody did. Each in as many ways as there were.
    #[track_caller]
    pub(super) fn pages(&self, user: &str) -> Vec<[String; 3]> {
        let said = self.ask("client", ("productpage:9080", "/productpage"), 6, user);
        assert_eq!((&said["ok"], &said["statuses"]["200"]), (&true.into(), &6.into()), "{said}");
        pages(&said)
    }

    /// Waits until `user` sees this page, and then sees no other.
    #[track_caller]
    pub(super) fn shows(&self, user: &str, expect: [&str; 3]) {
        eventually(&format!("{expect:?} for {user}"), || {
            (self.pages(user) == [expect]).then_some(())
        });
        assert_eq!(self.pages(user), [expect], "{user}");
    }
}
