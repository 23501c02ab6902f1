//! Questions by real sockets: a pod's resolver on one side, the pod's server on the other.
mod peer;

use super::*;
use crate::dns::{
    message::{Rcode, flag, kind, u16_at},
    sample,
};
use peer::{Pod, Upstream};
use std::{net::IpAddr, time::Duration};
use tokio::time;

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
async fn what_the_mesh_does_not_know_comes_as_the_resolver_says_it() {
    // Whatever is behind the answer stays there.
    let upstream = Upstream::start(|asked, _| {
        let mut answer = sample::nothing(asked, Rcode::NX_DOMAIN, 60, 60);
        answer[11] += 1;
        answer.extend_from_slice(b"\x03foo\x00\x00\x10\x00\x01\x00\x00\x00\x05\x00\x04\x03bar");
        vec![answer]
    })
    .await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    for asked in [
        sample::ask(7, "nobody.example", kind::A),
        sample::ask_with_option(9, "nobody.example", 65),
        sample::ask_edns(0xffff, "nobody.example", 16, 4096),
    ] {
        for answer in [pod.by_udp(&asked).await, pod.by_tcp(&asked).await] {
            assert_eq!(answer[..2], asked[..2]);
            assert!(answer.ends_with(b"\x00\x04\x03bar"));
        }
    }
    // Options arrive as they were sent.
    assert!(upstream.questions().iter().any(|asked| asked.ends_with(b"8 bytes.")));
}

#[tokio::test]
async fn an_answer_is_remembered_for_whoever_asks_the_same() {
    let upstream = Upstream::start(one_address(60)).await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let first = pod.by_udp(&sample::ask(7, "example.org", kind::A)).await;
    let asked = sample::ask(8, "EXAMPLE.org", kind::A);
    for answer in [pod.by_udp(&asked).await, pod.by_tcp(&asked).await] {
        assert_eq!(answer[..asked.len()][12..], asked[12..], "its id, its letters");
        assert_eq!(ips(&answer), ips(&first));
    }
    assert_eq!(upstream.asked(), 1);
    // Another kind of question, and one with options of its own.
    pod.by_udp(&sample::ask(9, "example.org", kind::AAAA)).await;
    pod.by_udp(&sample::ask_with_option(9, "example.org", kind::A)).await;
    assert_eq!(upstream.asked(), 3);
}

#[tokio::test]
async fn equal_questions_are_asked_once() {
    let upstream = Upstream::start(one_address(60)).await;
    upstream.hold();
    let pod = Pod::start(&upstream, Settings::default()).await;
    let (one, other) =
        (sample::ask(7, "example.org", kind::A), sample::ask(8, "Example.org", kind::A));
    let release = async {
        upstream.wait_for(1).await;
        upstream.release();
    };
    let (one, other, ()) = tokio::join!(pod.by_udp(&one), pod.by_udp(&other), release);
    assert_eq!((u16_at(&one, 0), u16_at(&other, 0)), (Ok(7), Ok(8)));
    assert_eq!(ips(&one), ips(&other));
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test]
async fn an_old_answer_is_told_while_the_resolver_is_away() {
    let upstream = Upstream::start(one_address(5)).await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let asked = sample::ask_edns(7, "example.org", kind::A, 1232);
    pod.by_udp(&asked).await;
    upstream.stop().await;
    jump(Duration::from_secs(10)).await;
    let answer = pod.by_udp(&asked).await;
    assert_eq!((sample::rcode(&answer), ips(&answer)), (Rcode::NO_ERROR, vec!["192.0.2.1".into()]));
    // Options do not matter any more.
    assert_eq!(
        ips(&pod.by_udp(&sample::ask_with_option(8, "example.org", kind::A)).await).len(),
        1
    );
    let unknown = pod.by_udp(&sample::ask(8, "other.example", kind::A)).await;
    assert_eq!(sample::rcode(&unknown), Rcode::SERV_FAIL);
    jump(Settings::default().stale).await;
    assert_eq!(sample::rcode(&pod.by_udp(&asked).await), Rcode::SERV_FAIL);
}

#[tokio::test]
async fn an_old_answer_is_told_when_the_resolver_fails() {
    let fails = std::sync::atomic::AtomicBool::new(false);
    let upstream = Upstream::start(move |asked, _| {
        if fails.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let mut failure = sample::answer(asked, &[]);
            failure[3] |= 2;
            return vec![failure];
        }
        vec![sample::answer(asked, &[([192, 0, 2, 1], 5)])]
    })
    .await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let asked = sample::ask(7, "example.org", kind::A);
    pod.by_udp(&asked).await;
    jump(Duration::from_secs(10)).await;
    assert_eq!(ips(&pod.by_udp(&asked).await), ["192.0.2.1"]);
    assert_eq!(upstream.asked(), 2);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_fetched_by_tcp() {
    let many: Vec<_> = (0..100).map(|last| ([192, 0, 2, last], 60)).collect();
    let upstream = Upstream::start(move |asked, by| {
        let whole = sample::answer(asked, &many);
        vec![if by == peer::By::Udp { message::reply::fitted(whole, 512) } else { whole }]
    })
    .await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let asked = sample::ask(7, "example.org", kind::A);
    let cut = pod.by_udp(&asked).await;
    assert!(message::reply::is_truncated(&cut) && cut.len() <= 512);
    assert_eq!(ips(&pod.by_tcp(&asked).await).len(), 100);
    // The whole answer is known now, and still does not fit.
    let cut = pod.by_udp(&asked).await;
    assert!(message::reply::is_truncated(&cut) && cut.len() <= 512);
    assert_eq!(upstream.asked(), 2);
}

#[tokio::test]
async fn only_the_answer_to_the_question_is_taken() {
    let upstream = Upstream::start(|asked, _| {
        let mut guessed = sample::answer(asked, &[([203, 0, 113, 1], 60)]);
        guessed[0] ^= 1;
        let mut other = sample::answer(asked, &[([203, 0, 113, 2], 60)]);
        other[13] ^= 1;
        vec![guessed, other, b"?".to_vec(), sample::answer(asked, &[([192, 0, 2, 1], 60)])]
    })
    .await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let asked = sample::ask(7, "example.org", kind::A);
    assert_eq!(ips(&pod.by_udp(&asked).await), ["192.0.2.1"]);
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
async fn a_zone_comes_as_a_whole() {
    let upstream = Upstream::start(|asked, _| {
        (1..4).map(|last| sample::answer(asked, &[([192, 0, 2, last], 60)])).collect()
    })
    .await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let mut talk = pod.connect().await;
    talk.ask(&sample::ask(1, "example.org", kind::AXFR)).await;
    for last in 1..4 {
        assert_eq!(ips(&talk.answer().await), [format!("192.0.2.{last}")]);
    }
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

/// Lets time pass at once.
async fn jump(time: Duration) {
    time::pause();
    time::advance(time).await;
    time::resume();
}
