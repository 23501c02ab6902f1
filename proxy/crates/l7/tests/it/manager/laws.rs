//! What holds however a request, its response and their ends come to lie in time.
//!
//! Every request ends once: it has one line, its connection goes back or is closed, and nothing that
//! was counted as busy stays so.
use super::world::{World, route, table, to_backend};
use crate::{engine::world::cluster, waiting::until};
use bytes::Bytes;
use culvert_model::http::{
    cluster::{Breakers, Thresholds},
    manager::Routes,
    retry::{Conditions, RetryPolicy},
    route::{Action, Timeouts},
    snapshot::Resource,
};
use http::{HeaderMap, HeaderValue, Request};
use proptest::{prelude::*, test_runner::TestRunner};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Builder,
    task::yield_now,
    time::timeout,
};

/// How long a client waits for what may never come.
const PATIENCE: Duration = Duration::from_millis(30);

/// What both sides of one request do.
#[derive(Clone, Debug)]
struct Case {
    two: bool,
    /// Pieces of the request's body, and how often others come first after each.
    sends: u8,
    yields: u8,
    ends: Ends,
    reads: Reads,
    /// How many pieces the backend reads before it answers.
    after: u8,
    /// Pieces of its answer.
    pieces: u8,
    /// What comes behind them.
    end: u8,
}

/// How the client ends its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Whole,
    Trailers,
    /// It says nothing more.
    Hangs,
    /// It goes, or resets.
    Leaves,
}

/// How much the client takes of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Nothing,
    Head,
    All,
}

fn cases() -> impl Strategy<Value = Case> {
    let ends = prop_oneof![
        3 => Just(Ends::Whole),
        1 => Just(Ends::Trailers),
        1 => Just(Ends::Hangs),
        1 => Just(Ends::Leaves),
    ];
    let reads =
        prop_oneof![1 => Just(Reads::Nothing), 1 => Just(Reads::Head), 3 => Just(Reads::All)];
    (any::<bool>(), 0..4_u8, 0..4_u8, ends, reads, 0..4_u8, 0..3_u8, 0..6_u8).prop_map(
        |(two, sends, yields, ends, reads, after, pieces, end)| Case {
            two,
            sends,
            yields,
            ends,
            reads,
            after,
            pieces,
            end,
        },
    )
}

impl Case {
    fn path(&self) -> String {
        format!("/script/{}/{}/{}", self.after, self.pieces, self.end)
    }

    async fn waits(&self) {
        for _ in 0..self.yields {
            yield_now().await;
        }
    }

    async fn play(&self, world: &World) {
        let tcp = TcpStream::connect(world.addr).await.unwrap();
        if self.two { self.play_two(tcp).await } else { self.play_one(tcp).await }
    }

    /// What fails is the proxy's right: the law is what it leaves behind.
    async fn play_one(&self, mut tcp: TcpStream) {
        let head = "host: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let head = format!("POST {} HTTP/1.1\r\n{head}", self.path());
        tcp.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..self.sends {
            self.waits().await;
            if tcp.write_all(b"5\r\npiece\r\n").await.is_err() {
                return;
            }
        }
        self.waits().await;
        let end: &[u8] = match self.ends {
            Ends::Whole => b"0\r\n\r\n",
            Ends::Trailers => b"0\r\nx-sum: 1\r\n\r\n",
            Ends::Hangs => b"",
            Ends::Leaves => return,
        };
        if tcp.write_all(end).await.is_err() || self.reads == Reads::Nothing {
            return;
        }
        let mut all = Vec::new();
        while let Ok(Ok(1..)) = timeout(PATIENCE, tcp.read_buf(&mut all)).await {
            let head = all.windows(4).any(|end| end == b"\r\n\r\n");
            if head && self.reads == Reads::Head || all.ends_with(b"0\r\n\r\n") {
                return;
            }
        }
    }

    async fn play_two(&self, tcp: TcpStream) {
        let (client, connection) = h2::client::handshake(tcp).await.unwrap();
        let asks = async {
            let mut client = client.ready().await.unwrap();
            let request = Request::post(format!("http://a{}", self.path())).body(()).unwrap();
            let (response, mut stream) = client.send_request(request, false).unwrap();
            for _ in 0..self.sends {
                self.waits().await;
                if stream.send_data(Bytes::from_static(b"piece"), false).is_err() {
                    return;
                }
            }
            self.waits().await;
            match self.ends {
                Ends::Whole => drop(stream.send_data(Bytes::new(), true)),
                Ends::Trailers => {
                    let sum = (http::header::ETAG, HeaderValue::from_static("1"));
                    drop(stream.send_trailers(HeaderMap::from_iter([sum])));
                }
                Ends::Hangs => {}
                Ends::Leaves => return stream.send_reset(h2::Reason::CANCEL),
            }
            if self.reads == Reads::Nothing {
                return;
            }
            let Ok(Ok(mut answer)) = timeout(PATIENCE, response).await else { return };
            while self.reads == Reads::All
                && let Ok(Some(Ok(_))) = timeout(PATIENCE, answer.body_mut().data()).await
            {
            }
        };
        tokio::select! {
            () = asks => {}
            _gone = connection => {}
        }
    }
}

async fn world() -> World {
    let retry = RetryPolicy {
        on: Conditions::parse_http("5xx,reset"),
        retries: 1,
        ..RetryPolicy::default()
    };
    let mut forward = to_backend();
    forward.retry = Some(Arc::new(retry));
    forward.timeouts =
        Timeouts { request: Some(Duration::from_millis(100)), ..Timeouts::default() };
    let mut world = World::start(|config| {
        let route = route("/", Action::Forward(Box::new(forward)));
        config.routes = Routes::Here(Arc::new(table(vec![route])));
        config.http1.trailers = true;
    })
    .await;
    // So few that anything that is not given back is missed soon.
    let mut few = cluster("backend", &[world.backend.addr]);
    let default = Thresholds { max_requests: 2, max_pending: 2, ..few.breakers.default };
    few.breakers = Breakers { default, ..few.breakers };
    let resource = Resource { version: "2".into(), value: Arc::new(few) };
    world.snapshot.clusters_mut().insert("backend".into(), resource);
    world.shared.upstreams.apply(&world.snapshot);
    world.publisher.publish(world.snapshot.clone());
    world
}

/// Nothing is under way, and the next request is answered.
async fn rests(world: &World) {
    let busy = ["http.test.downstream_rq_active", "cluster.backend.upstream_rq_active"];
    until(|| {
        busy.iter().all(|name| world.gauge(name) == 0) && world.shared.budgets.streams.used() == 0
    })
    .await;
    assert_eq!(world.get("/x", "").await.status, 200);
}

#[test]
fn every_request_ends_once_and_gives_back_what_it_took() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(world());
    let mut runner = TestRunner::new(ProptestConfig { cases: 96, ..ProptestConfig::default() });
    let law = runner.run(&cases(), |case| {
        runtime.block_on(async {
            case.play(&world).await;
            let rests = timeout(Duration::from_secs(20), rests(&world)).await;
            prop_assert!(rests.is_ok(), "something of it is still under way");
            Ok(())
        })
    });
    law.unwrap();
    runtime.block_on(async {
        let requests = usize::try_from(world.stat("http.test.downstream_rq_total")).unwrap();
        let lines = timeout(Duration::from_secs(20), world.lines(requests)).await.unwrap();
        assert_eq!(lines.len(), requests, "a line each");
        assert_eq!(world.stat("http.test.downstream_cx_total"), {
            world.stat("http.test.downstream_cx_destroy")
        });
    });
}
