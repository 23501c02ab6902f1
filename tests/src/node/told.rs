//! What a node tells: its status, its pods, metrics and access log.
use super::{ADMIN, METRICS, Node};
use crate::{eventually, http};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};

impl Node {
    /// What the node says of itself.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.try_status().expect("a node that answers")
    }

    /// What the node says of a pod, if it knows one of that name.
    #[must_use]
    pub fn pod(&self, name: &str) -> Option<Value> {
        let status = self.try_status()?;
        let pods = status["pods"].as_array()?;
        pods.iter().find(|pod| pod["name"] == name).cloned()
    }

    /// Waits until a pod is in this state.
    #[track_caller]
    pub fn await_pod(&self, name: &str, state: &str) -> Value {
        let what = format!("pod {name} that is {state}");
        eventually(&what, || self.pod(name).filter(|pod| pod["state"] == state))
    }

    /// Waits until a pod is pending for a reason that contains `words`.
    #[track_caller]
    pub fn await_reason(&self, name: &str, words: &str) {
        let said = |pod: &Value| {
            let reason = pod["reason"].as_str().unwrap_or_default();
            pod["state"] == "pending" && reason.contains(words)
        };
        eventually(&format!("pod {name} that is pending because: {words}"), || {
            self.pod(name).filter(said).map(drop)
        });
    }

    /// Waits until the node knows no pod of this name.
    #[track_caller]
    pub fn await_no_pod(&self, name: &str) {
        eventually(&format!("end of pod {name}"), || {
            let status = self.try_status()?;
            let pods = status["pods"].as_array()?;
            pods.iter().all(|pod| pod["name"] != name).then_some(())
        });
    }

    /// One of the kernel's counters of a pod.
    #[track_caller]
    pub fn counter(&self, pod: &str, counter: &str) -> u64 {
        let status = self.pod(pod).unwrap_or_else(|| panic!("no pod {pod}: {}", self.status()));
        status["kernel"][counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {status}"))
    }

    /// Waits until one of the kernel's counters of a pod is this much higher.
    #[track_caller]
    pub fn await_more(&self, pod: &str, counter: &str, more: u64) {
        let before = self.counter(pod, counter);
        eventually(&format!("{more} more {counter} of {pod}"), || {
            (self.counter(pod, counter) >= before + more).then_some(())
        });
    }

    /// The sum of the metrics of this name whose labels contain all of `labels`, as in
    /// `reporter="source"`.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.metrics();
        let samples = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, its_labels) = series.split_once('{').unwrap_or((series, ""));
            (of == name && labels.iter().all(|label| its_labels.contains(label)))
                .then(|| value.parse::<f64>().ok())?
        });
        samples.sum()
    }

    /// The whole exposition.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let (status, text) = self.get(METRICS, "/metrics").expect("a node that is scraped");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Waits for an access line.
    #[track_caller]
    pub fn await_access(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.access.await_json(what, is)
    }

    /// Waits for the access line of a connection to `to` in this direction.
    #[track_caller]
    pub fn await_line(&self, direction: &str, to: SocketAddr) -> Value {
        self.await_line_after(0, direction, to)
    }

    /// The same among the lines after the first `seen` ones.
    #[track_caller]
    pub fn await_line_after(&self, seen: usize, direction: &str, to: SocketAddr) -> Value {
        let what = format!("of an {direction} connection to {to}");
        self.access.await_from(seen, &what, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["direction"] == direction && goes_to(&line, to)).then_some(line)
        })
    }

    /// Waits until as many connections to `to` in this direction ended well; fails if more did.
    #[track_caller]
    pub fn await_lines(&self, direction: &str, to: SocketAddr, count: u64) {
        let fits = |line: &&Value| {
            line["direction"] == direction && goes_to(line, to) && line["close"] == "done"
        };
        let ended = || u64::try_from(self.access.json().iter().filter(fits).count());
        eventually(&format!("{count} {direction} connections to {to}"), || {
            (ended().expect("a count") == count).then_some(())
        });
    }

    /// One of the documents of the admin door, as in `/certificates`.
    #[track_caller]
    pub fn document(&self, path: &str) -> Value {
        let (status, body) = self.get(ADMIN, path).expect("a node that answers");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("a document in JSON")
    }

    /// The same, if it answers.
    #[must_use]
    pub fn try_status(&self) -> Option<Value> {
        let (status, body) = self.get(ADMIN, "/status")?;
        (status == 200).then(|| serde_json::from_str(&body).ok())?
    }

    pub(super) fn get(&self, port: u16, path: &str) -> Option<(u16, String)> {
        self.ask(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), path)
    }

    /// Status and body of a request that the node makes, if it is answered.
    #[track_caller]
    pub fn ask(&self, at: SocketAddr, path: &str) -> Option<(u16, String)> {
        self.ns.run(|| http::get(at, path)).expect("a namespace to enter").ok()
    }
}

/// Whether an access line is of a connection to `to`, at the end of a tunnel or without.
fn goes_to(line: &Value, to: SocketAddr) -> bool {
    let end = line.get("dst.hbone_addr").unwrap_or(&line["dst.addr"]);
    *end == to.to_string()
}
