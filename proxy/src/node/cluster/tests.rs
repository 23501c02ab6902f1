//! Pods that an API server and a runtime tell of, in either order.
use super::*;
use culvert_cni::message::Handed;
use culvert_control::compile::Ambient;
use culvert_runtime::{drain::Drain, publish::Generation};
use std::fs;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// An API server that lists what there is, and then tells of changes.
struct Api {
    dir: TempDir,
    /// All that ever changed; a watch begins with the first.
    events: watch::Sender<Vec<(&'static str, String)>>,
    drain: Drain,
}

impl Api {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let conf = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{{name: x, cluster: {{server: 'http://{server}'}}}}]\ncontexts: [{{name: x, context: {{cluster: x, user: x}}}}]\nusers: [{{name: x, user: {{}}}}]\n"
        );
        fs::write(dir.path().join("kubeconfig"), conf).unwrap();
        let (events, drain) = (watch::Sender::new(Vec::new()), Drain::default());
        let (worker, told) = (drain.worker(), events.clone());
        drain.worker().spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                worker.spawn(answer(io, told.subscribe()));
            }
        });
        Self { dir, events, drain }
    }

    fn tell(&self, plural: &'static str, object: &str) {
        let event = format!("{{\"type\":\"MODIFIED\",\"object\":{object}}}\n");
        self.events.send_modify(|events| events.push((plural, event)));
    }

    async fn follow(&self) -> (Views, Book) {
        let book = Book::open(self.dir.path());
        let reach =
            Reach::Kubeconfig { file: Some(self.dir.path().join("kubeconfig")), context: None };
        let settings = Settings {
            node_name: "n1".into(),
            cluster: "c".into(),
            trust_domain: "td".into(),
            ambient: Ambient::Ours,
            l7: false,
        };
        let worker = self.drain.worker();
        let views = start((&reach, Path::new("/nowhere")), settings, book.clone(), &worker).await;
        (views.unwrap(), book)
    }
}

/// One connection: lists, and watches until the end.
async fn answer(io: TcpStream, mut told: watch::Receiver<Vec<(&'static str, String)>>) {
    let mut io = BufReader::new(io);
    loop {
        let mut asked = String::new();
        let mut line = String::from("…");
        while !line.trim().is_empty() {
            line.clear();
            if io.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if asked.is_empty() {
                asked.clone_from(&line);
            }
        }
        let plural = if asked.contains("/pods") { "pods" } else { "namespaces" };
        assert_eq!(plural == "pods", asked.contains("spec.nodeName"), "{asked}");
        if asked.contains("watch") {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
            io.write_all(head.as_bytes()).await.unwrap();
            let mut said = 0;
            loop {
                let events = told.borrow_and_update().clone();
                let own = events.iter().skip(said).filter(|(of, _)| *of == plural);
                let lines: String = own.map(|(_, event)| event.as_str()).collect();
                io.write_all(lines.as_bytes()).await.unwrap();
                said = events.len();
                if told.changed().await.is_err() {
                    return;
                }
            }
        }
        let items = if plural == "pods" { String::new() } else { namespace(1, "ambient") };
        let body = format!(r#"{{"metadata":{{"resourceVersion":"1"}},"items":[{items}]}}"#);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        io.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

fn namespace(version: u32, mode: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"shop","resourceVersion":"{version}","labels":{{"istio.io/dataplane-mode":"{mode}"}}}}}}"#
    )
}

fn pod(version: u32, status: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"cart","namespace":"shop","uid":"7","resourceVersion":"{version}"}},"spec":{{"nodeName":"n1","unheardOf":1}},"status":{{"phase":"Pending"{status}}}}}"#
    )
}

async fn until<T: Clone>(view: &mut View<T>, is: impl Fn(&T) -> bool) -> T {
    let mut now = view.pin();
    while now.generation == Generation::FIRST || !is(&now.value) {
        now = view.newer_than(now.generation).await.unwrap();
    }
    now.value.clone()
}

#[tokio::test]
async fn a_pod_is_held_as_soon_as_both_have_told_of_it_and_until_its_namespace_lets_it_go() {
    let api = Api::start().await;
    let (Views { mut local, roster, mut marks, .. }, book) = api.follow().await;
    until(&mut local, |pods| pods.pods.is_empty()).await;
    assert!(roster.pin().value.enrolled().namespaces.contains("shop"));
    let netns = api.dir.path().join("netns");
    fs::write(&netns, "").unwrap();
    let handed = Handed {
        container: "c0ffee".to_owned(),
        netns: netns.clone(),
        interface: "eth0".to_owned(),
        pod: PodRef { namespace: "shop".to_owned(), name: "cart".to_owned(), uid: "7".to_owned() },
        addresses: vec![[10, 0, 0, 2].into()],
    };
    book.put(&handed).await.unwrap();
    api.tell("pods", &pod(2, ""));
    let held = until(&mut local, |pods| pods.pods.len() == 1).await;
    let held = held.pods.values().next().unwrap();
    assert_eq!((&held.netns, held.workload.uid.as_str()), (&netns, "c//Pod/shop/cart"));
    // Its label is taken away, and put back.
    api.tell("namespaces", &namespace(3, "none"));
    until(&mut local, |pods| pods.pods.is_empty()).await;
    api.tell("namespaces", &namespace(4, "ambient"));
    api.tell("pods", &pod(5, r#","podIP":"10.0.0.2","podIPs":[{"ip":"10.0.0.2"}]"#));
    until(&mut local, |pods| pods.pods.len() == 1).await;
    // Somebody annotates it, which changes nothing else.
    let annotated = pod(6, r#","podIP":"10.0.0.2","podIPs":[{"ip":"10.0.0.2"}]"#);
    let annotation = r#""metadata":{"annotations":{"ambient.istio.io/redirection":"enabled"},"#;
    api.tell("pods", &annotated.replace(r#""metadata":{"#, annotation));
    let marked = until(&mut marks, |marks| marks.values().any(|pod| pod.is)).await;
    assert_eq!(marked.values().next().unwrap().outside, None);
    // The sandbox goes before the object does.
    fs::remove_file(&netns).unwrap();
    book.remove("c0ffee").await;
    until(&mut local, |pods| pods.pods.is_empty()).await;
    api.drain.drain(Duration::from_secs(5)).await;
}
