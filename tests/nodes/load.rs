//! Requests, evenly spaced, while something happens.
use culvert_cluster::{Cluster, Namespace};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
};

/// A client in a pod that asks a service again and again, each time by a connection of its own.
#[derive(Debug)]
pub(crate) struct Load {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Load {
    /// Starts it; the first request is under way when this returns.
    #[track_caller]
    pub(crate) fn start(
        cluster: &Cluster,
        namespace: &Namespace<'_>,
        pod: &str,
        to: &str,
        rate: u32,
    ) -> Self {
        let rate = rate.to_string();
        let exec = ["--namespace", namespace.name(), "exec", "--stdin", pod, "--"];
        let words = [&exec[..], &["peer", "load", to, &rate]].concat();
        let mut command = cluster.kubectl_command(&words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut load = Self { child, lines };
        let said = load.next();
        assert_eq!(said["ok"], true, "{pod} asks {to}: {said}");
        load
    }

    /// Ends it; how many requests were answered. One that was not is a surprise.
    #[track_caller]
    pub(crate) fn finish(mut self) -> u64 {
        drop(self.child.stdin.take());
        let said = self.next();
        assert_eq!(said["failed"], 0, "{said}");
        self.child.wait().unwrap();
        said["done"].as_u64().unwrap()
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("a load that says something").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}
