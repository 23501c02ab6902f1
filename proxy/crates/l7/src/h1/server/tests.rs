use super::*;
use crate::testing::Paths;
use culvert_runtime::drain::Drain;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::timeout,
};

/// A connection served by [`Paths`], from the client's side.
struct Client {
    io: DuplexStream,
    read: String,
}

async fn with<T>(
    options: Options,
    test: impl AsyncFnOnce(Client, &Paths, Drain) -> T,
) -> (T, Closed) {
    let (io, served) = duplex(1 << 20);
    let (paths, drain) = (Paths::default(), Drain::default());
    let worker = drain.worker();
    let client = Client { io, read: String::new() };
    let both = async {
        tokio::join!(
            test(client, &paths, drain),
            serve(Io::boxed(served), &paths, &options, &worker)
        )
    };
    timeout(Duration::from_secs(7200), both).await.expect("ends")
}

/// Sends all of `bytes` and reads to the end.
async fn says(bytes: &str) -> (String, Closed) {
    let bytes = bytes.to_owned();
    with(Options::default(), async |mut client, _, _drain| {
        client.send(&bytes).await;
        client.rest().await
    })
    .await
}

impl Client {
    async fn send(&mut self, bytes: &str) {
        self.io.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads until `what` is there, and returns everything before and with it.
    async fn until(&mut self, what: &str) -> String {
        loop {
            if let Some(at) = self.read.find(what) {
                let rest = self.read.split_off(at + what.len());
                return std::mem::replace(&mut self.read, rest);
            }
            let mut bytes = [0; 1000];
            let read = self.io.read(&mut bytes).await.unwrap();
            assert!(read != 0, "ended before {what:?}: {:?}", self.read);
            self.read.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }

    async fn rest(mut self) -> String {
        self.io.read_to_string(&mut self.read).await.unwrap();
        self.read
    }
}

const CLOSE: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const LAST: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n/last";

#[tokio::test(start_paused = true)]
async fn requests_follow_each_other_in_one_packet_or_in_many() {
    let request = "GET /one HTTP/1.1\r\nhost: a\r\n\r\n";
    let one = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n/one";
    let (read, closed) = says(&format!("{request}{request}{CLOSE}")).await;
    assert_eq!(read, format!("{one}{one}{LAST}"));
    assert_eq!(closed, Closed::Finished);
    let (read, _) = with(Options::default(), async |mut client, _, _drain| {
        for byte in format!("{request}{CLOSE}").chars() {
            client.send(&byte.to_string()).await;
            tokio::task::yield_now().await;
        }
        client.rest().await
    })
    .await;
    assert_eq!(read, format!("{one}{LAST}"));
}

#[tokio::test(start_paused = true)]
async fn bodies_of_both_kinds_are_read_and_written() {
    let (read, _) = says(&format!(
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc\
         POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n\
         POST /size HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n0123456789\
         {CLOSE}"
    ))
    .await;
    let chunked = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(
        read,
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc\
             HTTP/1.1 200 OK\r\n{chunked}\
             HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n10 false{LAST}"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_wants_ends_the_connection_unless_it_came_while_others_thought() {
    let post = |path, length| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\nabc{CLOSE}")
    };
    let (read, _) = says(&post("/deny-later", 3)).await;
    assert!(read.ends_with(&format!("\r\n\r\nno{LAST}")), "{read}");
    for (path, length) in [("/deny", 3), ("/deny", 3000), ("/deny-later", 3000)] {
        let (read, closed) = says(&post(path, length)).await;
        assert!(read.ends_with("connection: close\r\n\r\nno"), "{path} {length}: {read}");
        assert_eq!(closed, Closed::Finished);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_expects_is_told_to_go_on_only_when_the_body_is_wanted() {
    let post = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        )
    };
    with(Options::default(), async |mut client, _, _drain| {
        client.send(&post("/size")).await;
        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("abc").await;
        client.until("\r\n\r\n3 false").await;
        client.send(&post("/deny")).await;
        let denied = client.rest().await;
        assert!(denied.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{denied}");
        assert!(denied.ends_with("connection: close\r\n\r\nno"), "{denied}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn old_clients_and_heads() {
    let (read, _) =
        says("GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /y HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        read,
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n/x\
         HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/y"
    );
    let (read, _) = says("GET /trailers HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
    assert_eq!(read, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nabc", "ends with the connection");
    let (read, _) = says(&format!("HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n{CLOSE}")).await;
    assert_eq!(read, format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{LAST}"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_refused_and_nothing_behind_it_is_read() {
    let smuggled = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG";
    let (read, closed) = says(&format!("{smuggled}{CLOSE}")).await;
    assert_eq!(
        read,
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 11\r\n\
         connection: close\r\n\r\nBad Request"
    );
    assert!(matches!(closed, Closed::Refused(_)), "{closed:?}");
    let (read, _) = says(&format!(
        "POST /size HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n{CLOSE}"
    ))
    .await;
    assert!(read.contains("malformed"), "{read}");
    assert!(!read.contains("/last"), "{read}");
}

#[tokio::test(start_paused = true)]
async fn slow_heads_and_idle_connections_end() {
    let options = Options {
        head: Some(Duration::from_secs(5)),
        idle: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let (read, closed) = with(options.clone(), async |mut client, _, _drain| {
        client.send("GET / HTTP/1.1\r\nhost").await;
        client.rest().await
    })
    .await;
    assert!(read.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{read}");
    assert!(
        matches!(closed, Closed::Refused(refusal) if refusal.details == "request_header_timeout")
    );
    let (read, closed) = with(options, async |mut client, _, _drain| {
        client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.rest().await
    })
    .await;
    assert!(read.ends_with("/x"), "{read}");
    assert_eq!(closed, Closed::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_idle_connections_at_once_and_others_after_their_request() {
    let (_, closed) = with(Options::default(), async |mut client, _, drain| {
        client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.until("/x").await;
        drop(drain);
        client.rest().await
    })
    .await;
    assert_eq!(closed, Closed::Finished);
    let (read, closed) = with(Options::default(), async |mut client, _, drain| {
        client.send("POST /size HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na").await;
        tokio::task::yield_now().await;
        drop(drain);
        client.send("b").await;
        client.rest().await
    })
    .await;
    assert!(read.ends_with("connection: close\r\n\r\n2 false"), "{read}");
    assert_eq!(closed, Closed::Finished);
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_so_many_requests_and_so_long_a_life() {
    let options = Options { requests: Some(2), ..Options::default() };
    let get = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
    let (read, _) = with(options, async |mut client, _, _drain| {
        client.send(&get.repeat(3)).await;
        client.rest().await
    })
    .await;
    assert_eq!(read.matches("/x").count(), 2);
    let options = Options { age: Some(Duration::from_secs(9)), ..Options::default() };
    let (_, closed) = with(options, async |client, _, _drain| client.rest().await).await;
    assert_eq!(closed, Closed::Finished);
}

#[tokio::test(start_paused = true)]
async fn responses_before_the_response() {
    let (read, _) = says(&format!("GET /hints HTTP/1.1\r\nhost: a\r\n\r\n{CLOSE}")).await;
    let hint = "HTTP/1.1 103 Unknown\r\nlink: </a>\r\n\r\n";
    assert_eq!(read, format!("{hint}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n{LAST}"));
    let (read, _) = says("GET /hints HTTP/1.0\r\n\r\n").await;
    assert!(read.starts_with("HTTP/1.0 200 OK\r\n"), "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_has_its_request_dropped() {
    let ((), closed) = with(Options::default(), async |mut client, paths, _drain| {
        client.send("GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
        tokio::task::yield_now().await;
        drop(client);
        paths.dropped.lock().await.recv().await.unwrap();
    })
    .await;
    assert_eq!(closed, Closed::Broken(Ended::DownstreamGone));
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_and_a_tunnel_carry_bytes_both_ways() {
    let upgrade =
        "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly";
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly";
    let connect = "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\nearly";
    for (asks, granted) in [(upgrade, answer), (connect, "HTTP/1.1 200 OK\r\n\r\nearly")] {
        let (_, closed) = with(Options::default(), async |mut client, _, _drain| {
            client.send(asks).await;
            assert_eq!(client.until("early").await, granted);
            for word in ["GET / HTTP/1.1\r\n\r\n", "\0\r\n0\r\n"] {
                client.send(word).await;
                client.until(word).await;
            }
            client.io.shutdown().await.unwrap();
            assert_eq!(client.rest().await, "");
        })
        .await;
        assert_eq!(closed, Closed::Finished);
    }
    let (read, _) = says(&format!(
        "GET /deny HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n{CLOSE}"
    ))
    .await;
    assert!(read.contains("403 Forbidden"), "{read}");
    assert!(read.contains("connection: close"), "{read}");
    assert!(!read.ends_with(LAST), "what follows may be meant for the tunnel");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_whose_one_end_has_finished_carries_what_the_other_says() {
    let asks = "GET /count HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n12345";
    let (read, closed) = with(Options::default(), async |mut client, _, _drain| {
        client.send(asks).await;
        client.io.shutdown().await.unwrap();
        client.rest().await
    })
    .await;
    assert!(read.ends_with("\r\n\r\n5"), "{read}");
    assert_eq!(closed, Closed::Finished);
}

#[test]
fn a_connection_that_waits_is_small() {
    let (paths, options, drain) = (Paths::default(), Options::default(), Drain::default());
    let (_client, served) = duplex(1);
    let worker = drain.worker();
    let size = size_of_val(&serve(Io::boxed(served), &paths, &options, &worker));
    assert!(size < 6 << 10, "{size} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_cuts_the_connection() {
    let (read, closed) = says(&format!("GET /fails HTTP/1.1\r\nhost: a\r\n\r\n{CLOSE}")).await;
    assert!(read.ends_with("3\r\nabc\r\n"), "no end of the body: {read}");
    assert_eq!(closed, Closed::Broken(Ended::BodyFailed));
}

#[tokio::test(start_paused = true)]
async fn trailers_go_where_they_are_wanted() {
    let get = "GET /trailers HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let (read, _) = says(get).await;
    assert!(read.ends_with("3\r\nabc\r\n0\r\n\r\n"), "{read}");
    let options = Options { trailers: true, ..Options::default() };
    let (read, _) = with(options, async |mut client, _, _drain| {
        client.send(get).await;
        client.rest().await
    })
    .await;
    assert!(read.ends_with("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"), "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_left() {
    let options = Options { stall: Some(Duration::from_secs(30)), ..Options::default() };
    let (_, closed) = with(options, async |mut client, paths, _drain| {
        let body = "x".repeat(3 << 20);
        let head =
            format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        client.send(&head).await;
        let sent = client.io.write_all(body.as_bytes()).await;
        assert!(sent.is_err(), "the connection was closed");
        let exchanged = paths.ended.lock().await.recv().await.unwrap();
        assert_eq!(exchanged.ended, Ended::Stalled);
        assert!(exchanged.received < body.len() as u64, "nobody pulled the rest");
    })
    .await;
    assert_eq!(closed, Closed::Broken(Ended::Stalled));
}
