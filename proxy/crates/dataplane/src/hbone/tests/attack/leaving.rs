//! Links that are to end, and peers that have not heard.
use super::*;
use crate::hbone::http2::frame::LARGEST;
use std::time::Duration;

impl Heard {
    async fn go_away(&mut self) -> (u32, Code) {
        let told = self.until(|seen| {
            if let Seen::GoAway(last, code) = seen { Some((*last, *code)) } else { None }
        });
        told.await
    }

    async fn ping(&mut self) -> [u8; 8] {
        self.until(|seen| if let Seen::Ping(said) = seen { Some(*said) } else { None }).await
    }
}

#[tokio::test]
async fn what_comes_after_the_goodbye_harms_no_stream_that_runs() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let (addr, drain) = (server.addr, server.drain);
    let mut peer = {
        let links = std::sync::Arc::clone(&server.links);
        let server = Server { addr, links, drain: culvert_runtime::drain::Drain::default() };
        Attacker::new(&mesh, &server).await
    };
    let mut running = peer.open(1).await;
    let worker = mesh.drain.worker();
    worker.spawn(async move {
        drain.drain(Duration::from_secs(60)).await;
    });
    assert_eq!(peer.heard.go_away().await, (LARGEST, Code::NO_ERROR));
    let asked = peer.heard.ping().await;
    // What was on its way is still taken.
    let (listener, to) = app().await;
    peer.said.ask(3, to, false);
    peer.said.send().await;
    let mut late = listener.accept().await.unwrap().0;
    assert_eq!(peer.heard.status_of(3).await, StatusCode::OK);
    peer.said.frame(6, 0x1, 0, &asked);
    peer.said.send().await;
    assert_eq!(peer.heard.go_away().await, (3, Code::NO_ERROR));
    // What comes later is not looked at.
    peer.said.ask(5, to, false);
    peer.said.data(5, b"too late", false);
    peer.said.frame(8, 0, 5, &[0, 0, 0, 8]);
    peer.said.frame(3, 0, 5, &[0, 0, 0, 8]);
    peer.carries(1, &mut running).await;
    peer.carries(3, &mut late).await;
    for stream in [1, 3] {
        peer.said.frame(3, 0, stream, &[0, 0, 0, 8]);
    }
    peer.said.send().await;
    assert_eq!(peer.heard.last_words().await, None);
}
