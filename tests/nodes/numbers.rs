//! How long it takes: from a label to the capture of what runs, and what a new pod waits for.
//!
//! Nothing is asserted of times: they are printed, and `docs/performance.md` has some.
use crate::{
    image::IMAGE,
    town::{ENROL, NODES, Town},
};
use culvert_cluster::Namespace;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
    time::{Duration, SystemTime},
};

const PODS: usize = 50;

/// Notes each call of the plugin, and what it took in nanoseconds.
const STOPWATCH: &str = r#"cd /opt/cni/bin && mkdir own && mv culvert-cni own && cat >culvert-cni <<'END' && chmod 755 culvert-cni
#!/bin/sh
begun=$(date +%s%N)
/opt/cni/bin/own/culvert-cni
code=$?
echo $CNI_COMMAND $(($(date +%s%N) - begun)) >>/run/cni-times
exit $code
END
"#;

/// On both nodes, until it is dropped.
struct Stopwatch<'c>(&'c Town);

impl<'c> Stopwatch<'c> {
    fn new(town: &'c Town) -> Self {
        NODES.iter().for_each(|node| drop(town.cluster.on(node, &["sh", "-c", STOPWATCH])));
        Self(town)
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        let undo = "cd /opt/cni/bin && mv own/culvert-cni . && rmdir own; rm -f /run/cni-times";
        for node in NODES {
            drop(self.0.cluster.try_on(node, &["sh", "-c", undo]));
        }
    }
}

/// What `kubectl get --watch` says.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn new(town: &Town, words: &[&str]) -> Self {
        let mut command = town.cluster.kubectl_command(&[&["get", "--watch"], words].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a line in which something is found, and says when it came.
    fn find<T>(&mut self, mut find: impl FnMut(&str) -> Option<T>) -> (T, SystemTime) {
        let mut found = |line: String| Some((find(&line)?, SystemTime::now()));
        self.lines.by_ref().map_while(Result::ok).find_map(&mut found).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Pods on both nodes that do nothing.
fn idle(count: usize) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: idle}}, spec: {{replicas: {count}, \
         selector: {{matchLabels: {{app: idle}}}}, template: {{metadata: {{labels: {{app: idle}}}}, spec: \
         {{terminationGracePeriodSeconds: 0, containers: [{{name: c, image: {IMAGE}, command: [sleep, '100000']}}]}}}}}}}}"
    )
}

#[test]
#[expect(clippy::print_stdout, reason = "it is what the test is for")]
fn from_a_label_to_captured_pods_and_what_a_new_pod_waits_for() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("numbers");
    namespace.apply(&idle(PODS));
    namespace.kubectl(&["rollout", "status", "deployment/idle", "--timeout=200s"]);
    let (captured, annotated) = labelled(&town, &namespace);
    println!("label to capture, {PODS} pods: {}", spread(captured));
    println!("label to annotation, {PODS} pods: {}", spread(annotated));

    let _stopwatch = Stopwatch::new(&town);
    namespace.kubectl(&["scale", "deployment/idle", "--replicas=0"]);
    let others = ["in", "out"].map(|name| town.cluster.namespace(name));
    others[0].label(ENROL);
    for (namespace, what) in others.iter().zip(["of the mesh", "outside of it"]) {
        for node in NODES {
            town.cluster.on(node, &["rm", "-f", "/run/cni-times"]);
        }
        for count in 1..=10 {
            // One after the other on each node: what one pod waits for, not what many do.
            namespace.apply(&idle(2 * count));
            namespace.kubectl(&["rollout", "status", "deployment/idle", "--timeout=60s"]);
        }
        let times = NODES.map(|node| town.cluster.on(node, &["cat", "/run/cni-times"]));
        let added = times.iter().flat_map(|text| text.lines()).filter_map(|line| {
            Some(Duration::from_nanos(line.strip_prefix("ADD ")?.parse().ok()?))
        });
        println!("call of the plugin for a new pod {what}: {}", spread(added.collect()));
        namespace.kubectl(&["delete", "deployment", "idle", "--wait"]);
    }
}

/// Labels a namespace; for each pod, how long its capture took, and until its annotation was seen.
fn labelled(town: &Town, namespace: &Namespace<'_>) -> (Vec<Duration>, Vec<Duration>) {
    let columns = "--output=custom-columns=N:.metadata.name,X:.metadata.labels.culvert\\.dev/mesh";
    let mut labels = Watch::new(town, &["namespace", namespace.name(), columns, "--no-headers"]);
    let columns = "--output=custom-columns=N:.metadata.name,X:.metadata.annotations.ambient\\.istio\\.io/redirection";
    let words = ["--namespace", namespace.name(), "pods", columns, "--no-headers"];
    let mut pods = Watch::new(town, &words);
    // Both are under way once they have said what there is.
    labels.find(|_| Some(()));
    for _ in 0..PODS {
        pods.find(|_| Some(()));
    }
    namespace.label(ENROL);
    let (_, begun) = labels.find(|line| line.contains("enabled").then_some(()));
    let mut annotated = BTreeMap::new();
    while annotated.len() < PODS {
        let (name, at) = pods.find(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            (words.next() == Some("enabled")).then_some(name)
        });
        annotated.entry(name).or_insert_with(|| at.duration_since(begun).unwrap_or_default());
    }
    let mark = format!("/{}/idle-", namespace.name());
    let said = NODES.iter().flat_map(|&node| town.proxy(node).said());
    let captured = said.filter(|line| {
        line["message"] == "captured" && line["pod"].as_str().is_some_and(|pod| pod.contains(&mark))
    });
    let since = |line: serde_json::Value| {
        let at = line["timestamp"].as_str()?.parse::<Stamp>().ok()?;
        Some(at.0.duration_since(begun).unwrap_or_default())
    };
    let captured: Vec<_> = captured.filter_map(since).collect();
    assert_eq!(captured.len(), PODS);
    (captured, annotated.into_values().collect())
}

/// A time of today, as the log has it: `2026-11-21T18:21:42.704413Z`.
struct Stamp(SystemTime);

impl std::str::FromStr for Stamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (_, clock) = text.trim_end_matches('Z').split_once('T').ok_or(())?;
        let parts: Vec<f64> = clock.split(':').filter_map(|part| part.parse().ok()).collect();
        let [hours, minutes, seconds] = parts[..] else { return Err(()) };
        let day = Duration::from_hours(24).as_secs();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(drop)?.as_secs();
        let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(now - now % day);
        Ok(Self(midnight + Duration::from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds)))
    }
}

/// The middle of some times, and their worst but for one in a hundred.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).saturating_sub(1)];
    format!("{} times, p50 {:.1?}, p99 {:.1?}", times.len(), at(50), at(99))
}
