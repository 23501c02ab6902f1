//! Calls of the plugin, with and without somebody who answers.
use super::*;
use crate::message::{line, read};
use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixListener,
    path::PathBuf,
    thread::{self, JoinHandle},
};
use tempfile::TempDir;

/// A host: where the node listens, and the file that decides without one.
struct Host {
    dir: TempDir,
}

impl Host {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("cni.sock")
    }

    fn list(&self, text: &str) {
        fs::write(self.dir.path().join("enrolled"), text).unwrap();
    }

    /// Answers one question after the other.
    fn node(&self, answers: Vec<Answer>) -> JoinHandle<Vec<Question>> {
        let listener = UnixListener::bind(self.socket()).unwrap();
        thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut io, _) = listener.accept().unwrap();
                asked.push(read(&io).unwrap());
                io.write_all(&line(&answer)).unwrap();
            }
            asked
        })
    }

    fn conf(&self, version: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            r#"{{"cniVersion":"{version}","name":"net","type":"culvert-cni","socket":"{dir}/cni.sock","enrolled":"{dir}/enrolled","prevResult":{MADE}}}"#
        )
    }

    fn call(&self, command: &str, namespace: &str) -> Outcome {
        self.call_with(command, namespace, &self.conf("1.1.0"))
    }

    fn call_with(&self, command: &str, namespace: &str, conf: &str) -> Outcome {
        let args = format!("K8S_POD_NAMESPACE={namespace};K8S_POD_NAME=cart;K8S_POD_UID=7");
        let variable = |name: &str| {
            let value = match name {
                "CNI_COMMAND" => command,
                "CNI_CONTAINERID" => "c0ffee",
                "CNI_NETNS" => "/run/netns/x",
                "CNI_IFNAME" => "eth0",
                "CNI_ARGS" => &args,
                _ => return None,
            };
            Some(value.to_owned())
        };
        run(variable, conf.as_bytes())
    }
}

/// What the plugin before made, with blanks of its own.
const MADE: &str = r#"{ "cniVersion":"1.1.0",  "ips":[{"address":"10.0.0.2/24"}] }"#;

const ENROLLED: &str = r#"{"version":1,"namespaces":["shop"],"outside":["8"]}"#;

#[test]
fn a_pod_is_handed_over_and_what_was_made_passes_through() {
    let host = Host::new();
    let node = host.node(vec![Answer::Captured]);
    let added = host.call("ADD", "shop");
    assert_eq!(added, Outcome { said: MADE.to_owned(), succeeded: true });
    let [Question { version: 1, ask: Ask::Add(handed) }] = &node.join().unwrap()[..] else {
        panic!("something else was asked")
    };
    assert_eq!((handed.pod.to_string(), &*handed.pod.uid), ("shop/cart".to_owned(), "7"));
    assert_eq!(handed.addresses, [std::net::IpAddr::from([10, 0, 0, 2])]);
}

#[test]
fn a_pod_that_is_refused_fails_with_the_nodes_words() {
    let host = Host::new();
    let refused = Answer::Refused { reason: "no root".to_owned(), next: "look".to_owned() };
    let node = host.node(vec![refused]);
    let added = host.call("ADD", "shop");
    assert!(!added.succeeded);
    assert_eq!(
        added.said,
        r#"{"cniVersion":"1.1.0","code":11,"msg":"culvert: pod shop/cart is in the mesh, and not captured: no root","details":"look"}"#
    );
    node.join().unwrap();
}

#[test]
fn without_a_node_the_list_decides() {
    let host = Host::new();
    assert!(host.call("ADD", "shop").succeeded, "no list: nobody is in the mesh");
    host.list(ENROLLED);
    assert_eq!(host.call("ADD", "bank"), Outcome { said: MADE.to_owned(), succeeded: true });
    let added = host.call("ADD", "shop");
    assert!(!added.succeeded && added.said.contains(r#""code":11"#), "{}", added.said);
    assert!(added.said.contains("pod shop/cart is in the mesh, and the node proxy is away"));
    host.list(&ENROLLED.replace("\"8\"", "\"7\""));
    assert!(host.call("ADD", "shop").succeeded, "the pod is known to be left out");
}

#[test]
fn with_a_damaged_list_nobody_passes_without_a_node() {
    let host = Host::new();
    host.list("{\"version\":1,\"namespa");
    let added = host.call("ADD", "bank");
    assert!(!added.succeeded && added.said.contains("enrolled is damaged"), "{}", added.said);
    let status = host.call("STATUS", "bank");
    assert!(!status.succeeded && status.said.contains(r#""code":50"#), "{}", status.said);
    let node = host.node(vec![Answer::Outside, Answer::Done]);
    assert!(host.call("ADD", "bank").succeeded && host.call("STATUS", "bank").succeeded);
    node.join().unwrap();
}

#[test]
fn a_node_that_is_replaced_meanwhile_is_asked_again() {
    let host = Host::new();
    host.list(ENROLLED);
    let before = UnixListener::bind(host.socket()).unwrap();
    let socket = host.socket();
    let replaced = thread::spawn(move || {
        // Ends with the question in its hands; the next one listens beside first.
        let (io, _) = before.accept().unwrap();
        drop(read::<Question>(&io).unwrap());
        let beside = socket.with_extension("new");
        let after = UnixListener::bind(&beside).unwrap();
        drop((io, before));
        fs::rename(&beside, &socket).unwrap();
        let (mut io, _) = after.accept().unwrap();
        drop(read::<Question>(&io).unwrap());
        io.write_all(&line(&Answer::Captured)).unwrap();
    });
    assert!(host.call("ADD", "shop").succeeded);
    replaced.join().unwrap();
}

#[test]
fn what_leaves_is_told_and_never_fails() {
    let host = Host::new();
    host.list(ENROLLED);
    assert_eq!(host.call("DEL", "shop"), Outcome { said: String::new(), succeeded: true });
    let node = host.node(vec![Answer::Done, Answer::Done]);
    // Who says nothing of what is valid has nothing collected: the node is not asked.
    assert!(host.call_with("GC", "shop", &host.conf("1.1.0")).succeeded);
    assert!(host.call("DEL", "shop").succeeded);
    let conf = host.conf("1.1.0").replacen('{', r#"{"cni.dev/valid-attachments":[],"#, 1);
    assert!(host.call_with("GC", "shop", &conf).succeeded);
    let asked = node.join().unwrap();
    assert_eq!(asked[0].ask, Ask::Del { container: "c0ffee".to_owned() });
    assert_eq!(asked[1].ask, Ask::Gc { containers: [].into() });
}

#[test]
fn it_says_which_versions_it_speaks_and_keeps_to_them() {
    let host = Host::new();
    let said = host.call("VERSION", "shop").said;
    assert_eq!(
        said,
        r#"{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}"#
    );
    for (command, version) in [("STATUS", "1.0.0"), ("GC", "0.4.0"), ("CHECK", "0.3.1")] {
        let outcome = host.call_with(command, "shop", &host.conf(version));
        assert!(!outcome.succeeded && outcome.said.contains(r#""code":1"#), "{}", outcome.said);
    }
    let alone = host.conf("1.0.0").replace("prevResult", "result");
    let outcome = host.call_with("ADD", "shop", &alone);
    assert!(outcome.said.contains("there is no prevResult"), "{}", outcome.said);
}

#[test]
fn who_is_no_pod_is_left_alone() {
    let host = Host::new();
    host.list(ENROLLED);
    let variable = |name: &str| match name {
        "CNI_COMMAND" => Some("ADD".to_owned()),
        "CNI_ARGS" => None,
        _ => Some("/x".replace(if name == "CNI_NETNS" { "?" } else { "/" }, "")),
    };
    assert!(run(variable, host.conf("1.0.0").as_bytes()).succeeded);
}
