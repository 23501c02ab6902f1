//! Lists and watches as an API server does them, over TCP.
use culvert_kubernetes::client::{Client, Reach};
use culvert_runtime::drain::{Drain, Worker};
use http_body_util::{
    BodyExt as _, Full,
    channel::{Channel, Sender},
    combinators::BoxBody,
};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};

pub(crate) const PODS: &str = "/api/v1/pods";
pub(crate) const POLICIES: &str = "/apis/security.istio.io/v1/authorizationpolicies";
pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

type Reply = Response<BoxBody<Bytes, std::io::Error>>;

/// An API server; it ends with the test.
pub(crate) struct Api {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) drain: Drain,
    address: SocketAddr,
    door: Option<Drain>,
    kubeconfig: NamedTempFile,
}

/// What it knows, and how it behaves.
#[derive(Default)]
pub(crate) struct World {
    version: u64,
    collections: HashMap<String, Collection>,
    /// What happened before cannot be asked for.
    pub(crate) forgotten: u64,
    /// Answers to a path, whatever was asked.
    pub(crate) refuses: HashMap<String, u16>,
    /// Everything that was asked.
    pub(crate) asked: Vec<String>,
    watchers: Vec<Watcher>,
    /// Happens after the next part of a list.
    pub(crate) after_page: Option<fn(&mut Self)>,
}

#[derive(Default)]
struct Collection {
    objects: BTreeMap<String, Value>,
    happened: Vec<(u64, &'static str, Value)>,
}

struct Watcher {
    path: String,
    lines: Sender<Bytes, std::io::Error>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut kubeconfig = NamedTempFile::new().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        kubeconfig.write_all(config.to_string().as_bytes()).unwrap();
        let mut world = World { version: 1, ..World::default() };
        for path in [PODS, DEFINITIONS] {
            world.collections.insert(path.to_owned(), Collection::default());
        }
        let (world, drain) = (Arc::new(Mutex::new(world)), Drain::default());
        let mut api = Self { world, drain, address, door: None, kubeconfig };
        api.serve(listener);
        api
    }

    pub(crate) async fn client(&self) -> Client {
        let file = Some(self.kubeconfig.path().to_owned());
        Client::new(&Reach::Kubeconfig { file, context: None }).await.unwrap()
    }

    /// It is gone, with all its connections.
    pub(crate) async fn vanish(&mut self) {
        self.world.lock().hang_up();
        drop(self.door.take());
        tokio::task::yield_now().await;
    }

    pub(crate) async fn come_back(&mut self) {
        // The address may be held for a moment by what was connected to it.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (door, world) = (Drain::default(), Arc::clone(&self.world));
        let worker = door.worker();
        let own = worker.clone();
        worker.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connection(stream, Arc::clone(&world), &own);
            }
        });
        self.door = Some(door);
    }
}

fn connection(stream: TcpStream, world: Arc<Mutex<World>>, worker: &Worker) {
    worker.spawn(async move {
        let serve = service_fn(move |request: Request<Incoming>| {
            let reply = world.lock().answer(request.uri().path(), request.uri().query());
            async move { Ok::<_, Infallible>(reply) }
        });
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await);
    });
}

impl World {
    /// Makes an object, or changes it.
    pub(crate) fn put(&mut self, path: &str, name: &str, spec: &Value) {
        self.version += 1;
        let object = json!({
            "metadata": {
                "name": name, "namespace": "shop", "resourceVersion": self.version.to_string(),
                "managedFields": [{"manager": "test", "fieldsV1": {}}],
            },
            "spec": spec, "status": {"seen": self.version},
        });
        let collection = self.collections.get_mut(path).expect("a kind that is served");
        let before = collection.objects.insert(name.to_owned(), object.clone());
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.happen(path, what, object);
    }

    pub(crate) fn delete(&mut self, path: &str, name: &str) {
        self.version += 1;
        let collection = self.collections.get_mut(path).unwrap();
        let mut object = collection.objects.remove(name).unwrap();
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.happen(path, "DELETED", object);
    }

    fn happen(&mut self, path: &str, what: &'static str, object: Value) {
        let line = line(what, &object);
        let collection = self.collections.get_mut(path).unwrap();
        collection.happened.push((self.version, what, object));
        self.watchers.retain_mut(|watcher| {
            watcher.path != path || watcher.lines.try_send(frame(&line)).is_ok()
        });
    }

    /// Nothing that happened can be asked for any more.
    pub(crate) fn forget(&mut self) {
        self.forgotten = self.version;
    }

    /// A kind is defined, and served at once.
    pub(crate) fn define(&mut self, path: &str) {
        self.collections.insert(path.to_owned(), Collection::default());
        self.put(DEFINITIONS, path, &json!({}));
    }

    /// A kind goes, with its objects.
    pub(crate) fn undefine(&mut self, path: &str) {
        let names: Vec<_> = self.collections[path].objects.keys().cloned().collect();
        names.iter().for_each(|name| self.delete(path, name));
        self.lose(path);
        self.delete(DEFINITIONS, path);
    }

    /// A path is not served any more.
    pub(crate) fn lose(&mut self, path: &str) {
        self.collections.remove(path);
        self.watchers.retain(|watcher| watcher.path != path);
    }

    /// Every watch ends.
    pub(crate) fn hang_up(&mut self) {
        self.watchers.clear();
    }

    /// Every watch breaks, in the middle of a line.
    pub(crate) fn cut(&mut self) {
        for mut watcher in self.watchers.drain(..) {
            let half = r#"{"type":"ADDED","object":{"metadata":{"name":"hal"#;
            watcher.lines.try_send(frame(half)).unwrap();
            watcher.lines.abort(std::io::ErrorKind::BrokenPipe.into());
        }
    }

    /// Every watch of a path is told of an error.
    pub(crate) fn say_error(&mut self, path: &str, code: u16) {
        let status = json!({"kind": "Status", "code": code, "message": "on purpose"});
        let line = line("ERROR", &status);
        for watcher in self.watchers.iter_mut().filter(|watcher| watcher.path == path) {
            watcher.lines.try_send(frame(&line)).unwrap();
        }
    }

    pub(crate) fn watches(&self, path: &str) -> bool {
        self.watchers.iter().any(|watcher| watcher.path == path)
    }

    fn answer(&mut self, path: &str, query: Option<&str>) -> Reply {
        let query = query.unwrap_or_default();
        self.asked.push(format!("{path}?{query}"));
        if let Some(code) = self.refuses.get(path) {
            return error(*code);
        }
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        if path == "/apis" {
            return self.groups();
        }
        if let Some(group) =
            path.strip_prefix("/apis/").filter(|rest| rest.matches('/').count() == 1)
        {
            return self.resources(group);
        }
        if !self.collections.contains_key(path) {
            return error(404);
        }
        if parameter("watch").is_some() {
            let from = parameter("resourceVersion").unwrap().parse().unwrap();
            return self.watch(path, from);
        }
        let limit = parameter("limit").map(|limit| limit.parse().unwrap());
        let reply = self.list(path, limit, parameter("continue").as_deref());
        if let Some(after) = self.after_page.take() {
            after(self);
        }
        reply
    }

    fn list(&self, path: &str, limit: Option<usize>, next: Option<&str>) -> Reply {
        let (at, from) = match next.and_then(|next| next.split_once('.')) {
            Some((at, from)) => (at.parse().unwrap(), from.parse().unwrap()),
            None => (self.version, 0),
        };
        if at < self.forgotten {
            return error(410);
        }
        let all = &self.collections[path].objects;
        let limit = limit.unwrap_or(usize::MAX).min(3);
        let items: Vec<_> = all.values().skip(from).take(limit).collect();
        let rest = from + items.len() < all.len();
        let next = if rest { format!("{at}.{}", from + items.len()) } else { String::new() };
        let metadata = json!({"resourceVersion": at.to_string(), "continue": next});
        whole(200, &json!({"kind": "List", "metadata": metadata, "items": items}))
    }

    fn watch(&mut self, path: &str, from: u64) -> Reply {
        if from < self.forgotten {
            return error(410);
        }
        let (mut lines, body) = Channel::new(256);
        for (version, what, object) in &self.collections[path].happened {
            if *version > from {
                lines.try_send(frame(&line(what, object))).unwrap();
            }
        }
        self.watchers.push(Watcher { path: path.to_owned(), lines });
        Response::new(body.boxed())
    }

    fn groups(&self) -> Reply {
        let group = |path: &str| {
            let mut parts = path.strip_prefix("/apis/")?.split('/');
            Some(json!({
                "name": parts.next()?,
                "versions": [{"groupVersion": "", "version": parts.next()?}],
            }))
        };
        let groups: Vec<_> = self.collections.keys().filter_map(|path| group(path)).collect();
        whole(200, &json!({"kind": "APIGroupList", "groups": groups}))
    }

    fn resources(&self, group: &str) -> Reply {
        let of = |path: &String| {
            let rest = path.strip_prefix("/apis/")?.strip_prefix(group)?;
            Some(json!({"name": rest.trim_start_matches('/'), "verbs": ["list", "watch"]}))
        };
        let resources: Vec<_> = self.collections.keys().filter_map(of).collect();
        if resources.is_empty() {
            return error(404);
        }
        whole(200, &json!({"kind": "APIResourceList", "resources": resources}))
    }
}

fn line(what: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": what, "object": object}))
}

fn frame(text: &str) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(text.as_bytes()))
}

fn error(code: u16) -> Reply {
    whole(code, &json!({"kind": "Status", "code": code, "message": format!("refused by {code}")}))
}

fn whole(code: u16, body: &Value) -> Reply {
    let body = Full::from(body.to_string()).map_err(|never: Infallible| match never {});
    let mut reply = Response::new(body.boxed());
    *reply.status_mut() = StatusCode::from_u16(code).unwrap();
    reply
}
