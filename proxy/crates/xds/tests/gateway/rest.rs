//! Discovery by polling.
use super::follow::Followed;
use culvert_model::http::source::GrpcTarget;
use culvert_xds::{
    envoy::discover::{Reach, Way},
    transport::upstream::plain,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Answers every request with the same, and remembers what it was asked.
#[derive(Clone)]
struct Polled {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Polled {
    async fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let polled = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(answer.to_owned())),
            asked: Arc::default(),
        };
        let server = polled.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().answer(stream));
            }
        });
        polled
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let is_whole = |request: &[u8]| {
            let text = String::from_utf8_lossy(request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
            });
            length.is_some_and(|length| body.len() >= length)
        };
        while !is_whole(&request) {
            if stream.read_buf(&mut request).await.unwrap() == 0 {
                return;
            }
        }
        self.asked.lock().unwrap().push(String::from_utf8(request).unwrap());
        let body = self.answer.lock().unwrap().clone();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

impl Reach for Polled {
    fn reach(&self, _: &GrpcTarget) -> Result<Way, String> {
        let address = self.address.to_string();
        Ok(Way { connect: plain(&address), authority: address.into(), bearer: None })
    }
}

fn clusters(version: u32, name: &str) -> String {
    format!(
        r#"{{"version_info": "{version}", "type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "resources": [{{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                            "name": "{name}", "load_assignment": {{"cluster_name": "{name}"}}}}]}}"#
    )
}

#[tokio::test]
async fn a_server_is_polled() {
    let server = Polled::start(&clusters(1, "a")).await;
    let bootstrap = "
node: {id: me, cluster: us}
dynamic_resources:
  cds_config:
    api_config_source: {api_type: REST, cluster_names: [xds], refresh_delay: 0.02s}
";
    let mut followed = Followed::start(bootstrap, Arc::new(server.clone()));
    followed.until(|snapshot| snapshot.clusters().get("a").is_some()).await;
    *server.answer.lock().unwrap() = clusters(2, "b");
    let after = followed.until(|snapshot| snapshot.clusters().get("b").is_some()).await;
    assert!(after.clusters().get("a").is_none());
    let asked = server.asked.lock().unwrap();
    assert!(asked[0].starts_with("POST /v3/discovery:clusters HTTP/1.1"), "{}", asked[0]);
    assert!(asked[0].contains(r#""id":"me""#), "{}", asked[0]);
    assert!(asked.iter().any(|asked| asked.contains(r#""version_info":"1""#)));
}
