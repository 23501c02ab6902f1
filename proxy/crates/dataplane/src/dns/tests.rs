//! Questions by real sockets: a pod's resolver on one side, the pod's server on the other.
mod forward;
mod peer;

use super::*;
use crate::dns::{
    message::{Rcode, flag, kind, u16_at},
    sample,
};
use culvert_telemetry::metrics::dns::Protocol;
use peer::{Pod, Upstream};
use proptest::prelude::*;
use std::net::IpAddr;

const WEB: &str = "web.shop.svc.cluster.local";

fn ips(answer: &[u8]) -> Vec<String> {
    sample::addresses(answer).iter().map(IpAddr::to_string).collect()
}

/// An upstream that knows one address, for `ttl` seconds.
fn one_address(ttl: u32) -> impl Fn(&[u8], peer::By) -> Vec<Vec<u8>> + Send + Sync + 'static {
    move |asked, _| vec![sample::answer(asked, &[([192, 0, 2, 1], ttl)])]
}

#[tokio::test]
async fn the_mesh_answers_by_itself() {
    let upstream = Upstream::start(one_address(60)).await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let asked = sample::ask_edns(7, WEB, kind::A, 1232);
    for answer in [pod.by_udp(&asked).await, pod.by_tcp(&asked).await] {
        assert_eq!(ips(&answer), ["10.96.0.1"]);
        assert!(u16_at(&answer, 2).unwrap() & flag::AUTHORITATIVE != 0);
    }
    let nothing = pod.by_udp(&sample::ask(8, WEB, kind::AAAA)).await;
    assert_eq!((sample::rcode(&nothing), ips(&nothing).len()), (Rcode::NO_ERROR, 0));
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn that_a_name_of_the_mesh_does_not_exist_is_not_passed_on() {
    let upstream =
        Upstream::start(|asked, _| vec![sample::nothing(asked, Rcode::NX_DOMAIN, 60, 60)]).await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    // The second is remembered.
    for id in [7, 8] {
        let answer = pod.by_udp(&sample::ask(id, WEB, 65)).await;
        assert_eq!(sample::rcode(&answer), Rcode::NO_ERROR);
    }
    let answer = pod.by_udp(&sample::ask(9, "nobody.example", 65)).await;
    assert_eq!(sample::rcode(&answer), Rcode::NX_DOMAIN);
}

#[tokio::test]
async fn garbage_harms_nobody() {
    let upstream = Upstream::start(one_address(60)).await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    for garbage in [&b""[..], b"x", &[0xff; 512], &[0; 5000]] {
        pod.send(garbage).await;
    }
    let mut unreadable = sample::ask(7, WEB, kind::A);
    unreadable.pop();
    assert_eq!(sample::rcode(&pod.by_udp(&unreadable).await), Rcode::FORM_ERR);
    assert_eq!(sample::rcode(&pod.by_tcp(&unreadable).await), Rcode::FORM_ERR);
    assert_eq!(ips(&pod.by_udp(&sample::ask(7, WEB, kind::A)).await), ["10.96.0.1"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, what is answered at once is an answer to it, and no larger than it may be.
    #[test]
    fn answers_only_what_was_asked(
        wrong in prop::collection::vec((0..80_usize, any::<u8>()), 0..4),
        size in any::<u16>(), host in prop_oneof!["web", "web[.]shop", "a[.]example"],
    ) {
        let mut asked = sample::ask_edns(7, &host, kind::A, size);
        let length = asked.len();
        for (at, byte) in wrong {
            asked[at % length] = byte;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let responder = runtime.block_on(async { peer::responder() });
        for by in [Protocol::Udp, Protocol::Tcp] {
            let resolver = "10.96.0.10:53".parse().unwrap();
            if let respond::Next::Answer(answer) = responder.receive(&asked, resolver, by) {
                let is_bare = answer.len() == message::HEADER && answer[..2] == asked[..2];
                prop_assert!(is_bare || message::reply::answers(&answer, &asked) == Ok(true));
                prop_assert!(by == Protocol::Tcp || answer.len() <= usize::from(size.max(512)));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_too_little_is_not_waited_for() {
    let upstream = Upstream::start(one_address(60)).await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    for beginning in [&b""[..], b"\x00", b"\x00\x20", b"\x00\x20abcdef"] {
        assert_eq!(pod.say(beginning).await, b"");
    }
}

#[tokio::test]
async fn questions_in_one_connection_are_answered_as_answers_come() {
    let upstream = Upstream::start(one_address(60)).await;
    upstream.hold();
    let pod = Pod::start(&upstream, Settings::default()).await;
    let mut talk = pod.connect().await;
    talk.ask(&sample::ask(1, "example.org", kind::A)).await;
    talk.ask(&sample::ask(2, WEB, kind::A)).await;
    assert_eq!(u16_at(&talk.answer().await, 0), Ok(2));
    talk.finish().await;
    upstream.release();
    assert_eq!(u16_at(&talk.answer().await, 0), Ok(1));
}

#[tokio::test]
async fn one_pod_has_so_many_questions_under_way() {
    let upstream = Upstream::start(one_address(60)).await;
    upstream.hold();
    let settings = Settings { waiting_per_pod: 1, ..Settings::default() };
    let pod = Pod::start(&upstream, settings).await;
    let first = sample::ask(1, "example.org", kind::A);
    let others = async {
        upstream.wait_for(1).await;
        let busy = pod.by_udp(&sample::ask(2, "example.com", kind::A)).await;
        assert_eq!(sample::rcode(&busy), Rcode::SERV_FAIL);
        assert_eq!(ips(&pod.by_udp(&sample::ask(3, WEB, kind::A)).await).len(), 1);
        upstream.release();
    };
    let (first, ()) = tokio::join!(pod.by_udp(&first), others);
    assert_eq!(ips(&first).len(), 1);
}

#[tokio::test]
async fn who_has_asked_is_answered_when_the_pod_is_let_go() {
    let upstream = Upstream::start(one_address(60)).await;
    upstream.hold();
    let mut pod = Pod::start(&upstream, Settings::default()).await;
    let serving = pod.serving.take().unwrap();
    let leave = async {
        upstream.wait_for(1).await;
        let release = async {
            upstream.release();
        };
        tokio::join!(serving.end(), release).0
    };
    let asked = sample::ask(1, "example.org", kind::A);
    let (answer, drained) = tokio::join!(pod.by_udp(&asked), leave);
    assert_eq!(ips(&answer).len(), 1);
    assert_eq!(drained, Drained::Clean);
}

#[tokio::test]
async fn questions_are_counted() {
    let upstream = Upstream::start(one_address(60)).await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    for (id, host) in [(1, WEB), (2, "example.org"), (3, "example.org")] {
        pod.by_udp(&sample::ask(id, host, kind::A)).await;
    }
    let text = pod.metrics();
    let of_pod = "{request_query_type=\"a\",request_protocol=\"udp\",\
        source_canonical_service=\"client\",source_canonical_revision=\"v1\"}";
    for (name, count) in [("requests", 3), ("upstream_requests", 1), ("upstream_failures", 0)] {
        assert!(text.contains(&format!("istio_dns_{name}_total{of_pod} {count}\n")), "{text}");
    }
}
