//! Istio's sample application on both nodes: its manifests are applied as they stand, their images
//! are our helper's, and what its page shows tells who answered.
mod edge;
mod istio;
mod kubernetes;

use crate::{
    image::give_each,
    shop,
    town::{ENROL, NODES, Town, pod_on},
};
use culvert_cluster::{Crds, Namespace, eventually};
use e2e::{
    bookinfo::{are_near, corpus, pages, shares, words},
    programs::peer,
};
use serde_json::Value;
use std::{fs, path::PathBuf};

/// The application itself.
const PLATFORM: &str = "platform/bookinfo.yaml";

/// How many requests are shared out.
const REQUESTS: u32 = 500;

/// The application in a namespace, and a client of its page on each node.
struct Bookinfo<'t> {
    town: &'t Town,
    namespace: Namespace<'t>,
    corpus: PathBuf,
}

impl<'t> Bookinfo<'t> {
    /// Opens it, and waits until all of it is ready and in the mesh.
    #[track_caller]
    fn open(town: &'t Town) -> Option<Self> {
        let corpus = corpus("bookinfo")?;
        town.cluster.install(Crds::Gateway);
        let namespace = town.cluster.namespace("bookinfo");
        namespace.label(ENROL);
        let bookinfo = Self { town, namespace, corpus };
        bookinfo.give_images();
        bookinfo.apply(PLATFORM);
        let namespace = &bookinfo.namespace;
        namespace.apply(&shop::client());
        let ready = ["wait", "--for=condition=Available", "deployment", "--all", "--timeout=120s"];
        namespace.kubectl(&ready);
        namespace.kubectl(&["rollout", "status", "daemonset/client", "--timeout=60s"]);
        town.await_captured(namespace);
        Some(bookinfo)
    }

    /// Our helper, by the names that the manifest has for the images of services.
    fn give_images(&self) {
        let manifest = self.read(PLATFORM);
        let images = manifest.lines().filter_map(|line| line.trim().strip_prefix("image: "));
        let runs: Vec<_> = images.map(|image| (image, runs(image))).collect();
        assert!(!runs.is_empty(), "{manifest}");
        let images = runs.iter().map(|(image, words)| (*image, &**words));
        give_each(&self.town.cluster, &[peer()], images);
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.corpus.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    /// Applies a manifest as it stands.
    #[track_caller]
    fn apply(&self, file: &str) {
        self.namespace.apply(&self.read(file));
    }

    /// Requests from the client on a node to a server by its name: who answered how.
    #[track_caller]
    fn ask(&self, node: &str, (server, path): (&str, &str), times: u32, user: &str) -> Value {
        let client = pod_on(&self.namespace, "client", node);
        let (times, user) = (times.to_string(), format!("end-user: {user}"));
        let ask = ["exec", &client, "--", "peer", "ask", server, path, &times, &user];
        serde_json::from_str(&self.namespace.kubectl(&ask)).unwrap()
    }

    /// Waits until `user` sees this page on both nodes, and no other.
    #[track_caller]
    fn shows(&self, user: &str, expect: [&str; 3]) {
        for node in NODES {
            eventually(&format!("{expect:?} for {user} on {node}"), || {
                let said = self.ask(node, ("productpage:9080", "/productpage"), 4, user);
                (pages(&said) == [expect]).then_some(())
            });
        }
    }

    /// Waits until requests to reviews are shared out so, in percent for each version.
    #[track_caller]
    fn shares_out(&self, percent: [u32; 3]) {
        for node in NODES {
            eventually(&format!("shares of {percent:?} on {node}"), || {
                let said = self.ask(node, ("reviews:9080", "/health"), REQUESTS, "anybody");
                assert_eq!(said["statuses"]["200"], REQUESTS, "{said}");
                are_near(shares(&said), percent).then_some(())
            });
        }
    }

    /// Who a service is.
    fn identity(&self, account: &str) -> String {
        format!("spiffe://cluster.local/ns/{}/sa/{account}", self.namespace.name())
    }
}

/// What a container of an image is to run: `…/examples-bookinfo-reviews-v2:1.20.3`.
fn runs(image: &str) -> Vec<&str> {
    let version = image.split("examples-bookinfo-").nth(1).and_then(|name| name.split(':').next());
    let version = version.unwrap_or_else(|| panic!("no version of a service: {image}"));
    [&["/bin/peer"], &words(version, "0.0.0.0:9080")[..]].concat()
}
