//! nginx as the server behind us and as the client before us.
use crate::support::{Server, Version};
use culvert_l7::{
    body::Body,
    dial::Tcp,
    message::{Interim, RequestHead},
    pool::{Breakers, Options, Pool},
};
use culvert_runtime::drain::Drain;
use http::{Method, StatusCode, uri::PathAndQuery};
use std::{borrow::Cow, net::SocketAddr, sync::Arc};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// A running nginx; ends when dropped.
struct Nginx {
    addr: SocketAddr,
    dir: TempDir,
    _process: Child,
}

impl Nginx {
    /// With `server` in its only server block.
    async fn start(server: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let at = dir.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .collect();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error;\n\
             events {{}}\nhttp {{\n access_log off;\n{temporary}\
             server {{ listen {free}; root {at}; {server} }} }}"
        );
        std::fs::write(dir.path().join("conf"), config).unwrap();
        let conf = dir.path().join("conf");
        let process = Command::new("nginx")
            .args(["-e", "stderr", "-c"])
            .arg(conf)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        while TcpStream::connect(free).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self { addr: free, dir, _process: process }
    }
}

async fn ask(pool: &Pool, method: Method, path: &'static str, body: Body) -> (u16, usize) {
    let path = PathAndQuery::from_static(path);
    let head = RequestHead::new(method, "a".parse().unwrap(), path);
    let answer = pool.send(Cow::Owned(head), body, &Interim::default()).await;
    let (head, body) = answer.unwrap();
    (head.status.as_u16(), body.collect(1 << 30).await.unwrap().0.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_behind_us() {
    let nginx = Nginx::start(
        "location /text { return 200 hello; } location /none { return 204; }\n\
         location /small { client_max_body_size 1k; proxy_pass http://127.0.0.1:1; }",
    )
    .await;
    std::fs::write(nginx.dir.path().join("large"), vec![b'x'; 5 << 20]).unwrap();
    let drain = Drain::default();
    let dial = Arc::new(Tcp { to: nginx.addr, from: None });
    let pool = Pool::new(dial, Options::default(), Breakers::default(), drain.worker());
    for _ in 0..3 {
        assert_eq!(ask(&pool, Method::GET, "/text", Body::Empty).await, (200, 5));
        assert_eq!(ask(&pool, Method::HEAD, "/text", Body::Empty).await, (200, 0));
        assert_eq!(ask(&pool, Method::GET, "/none", Body::Empty).await, (204, 0));
        assert_eq!(ask(&pool, Method::GET, "/large", Body::Empty).await, (200, 5 << 20));
        assert_eq!(ask(&pool, Method::GET, "/missing", Body::Empty).await.0, 404);
        assert_eq!(pool.connections(), 1, "all on one connection");
    }
    // Refused before it was sent, and not lost behind our own sending.
    let large = Body::full(vec![b'x'; 1 << 20]);
    assert_eq!(ask(&pool, Method::POST, "/small", large).await.0, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_before_us() {
    let server = Server::start(Version::One).await;
    for version in ["1.0", "1.1"] {
        let nginx = Nginx::start(&format!(
            "client_max_body_size 100m;\n location / {{ proxy_pass http://{}; \
             proxy_http_version {version}; proxy_set_header Connection \"\"; \
             proxy_request_buffering off; proxy_buffering off; }}",
            server.addr
        ))
        .await;
        let drain = Drain::default();
        let dial = Arc::new(Tcp { to: nginx.addr, from: None });
        let pool = Pool::new(dial, Options::default(), Breakers::default(), drain.worker());
        let large = || Body::full(vec![b'x'; 3 << 20]);
        assert_eq!(ask(&pool, Method::POST, "/size", large()).await, (200, 13));
        assert_eq!(ask(&pool, Method::POST, "/echo", large()).await, (200, 3 << 20));
        assert_eq!(ask(&pool, Method::GET, "/pieces", Body::Empty).await, (200, 6));
        assert_eq!(ask(&pool, Method::GET, "/large", Body::Empty).await, (200, 10 << 20));
        let head = ask(&pool, Method::HEAD, "/x", Body::Empty).await;
        assert_eq!(head, (StatusCode::OK.as_u16(), 0));
    }
}
