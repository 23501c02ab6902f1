//! What resolvers are asked, and what of it is told again.
use super::{
    peer::{By, Pod, Upstream},
    *,
};
use std::time::Duration;
use tokio::time;

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
        sample::ask_with_option(9, "nobody.example", 65, 10),
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
    // Another kind of question, and with a cookie: the resolver takes no notice of it.
    for _ in 0..2 {
        pod.by_udp(&sample::ask(9, "example.org", kind::AAAA)).await;
        pod.by_udp(&sample::ask_with_option(9, "example.org", kind::A, 10)).await;
    }
    assert_eq!(upstream.asked(), 4, "there is no such address, and nobody says for how long");
    // Other options may be for this asker alone.
    for _ in 0..2 {
        pod.by_udp(&sample::ask_with_option(9, "example.org", kind::A, 65_001)).await;
    }
    assert_eq!(upstream.asked(), 6);
}

#[tokio::test]
async fn an_answer_to_a_cookie_is_its_owners() {
    let upstream = Upstream::start(|asked, _| {
        let mut answer = sample::answer(asked, &[([192, 0, 2, 1], 60)]);
        let cookie = &asked[asked.len() - 12..];
        let length = answer.len();
        answer[length - 1] = 12;
        answer.extend_from_slice(cookie);
        vec![answer]
    })
    .await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    for _ in 0..2 {
        let answer = pod.by_udp(&sample::ask_with_option(9, "example.org", kind::A, 10)).await;
        assert!(answer.ends_with(b"8 bytes."));
    }
    assert_eq!(upstream.asked(), 2);
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
    let asked = sample::ask(7, "example.org", kind::A);
    pod.by_udp(&asked).await;
    upstream.stop().await;
    jump(Duration::from_secs(10)).await;
    let answer = pod.by_udp(&asked).await;
    assert_eq!((sample::rcode(&answer), ips(&answer)), (Rcode::NO_ERROR, vec!["192.0.2.1".into()]));
    // Options do not matter any more.
    assert_eq!(
        ips(&pod.by_udp(&sample::ask_with_option(8, "example.org", kind::A, 10)).await).len(),
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
        vec![if by == By::Udp { message::reply::fitted(whole, 512) } else { whole }]
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
async fn the_proxy_asks_for_the_pod() {
    let upstream = Upstream::start(|asked, by| {
        let asks_for = |kind: u16| asked[asked.len() - 15..asked.len() - 13] == kind.to_be_bytes();
        let mut answer = match asks_for(kind::A) {
            true => sample::answer(asked, &[([192, 0, 2, 1], 60), ([192, 0, 2, 2], 60)]),
            false => sample::nothing(asked, Rcode::NO_ERROR, 60, 60),
        };
        if asked[12..].starts_with(b"\x04none") {
            answer = sample::nothing(asked, Rcode::NX_DOMAIN, 60, 60);
        }
        let is_large = asked[12..].starts_with(b"\x05large") && by == By::Udp;
        vec![if is_large { message::reply::fitted(answer, 0) } else { answer }]
    })
    .await;
    let pod = Pod::start(&upstream, Settings::default()).await;
    let lookup = pod.serving.as_ref().unwrap().lookup().clone();
    for host in ["example.org", "large.example"] {
        let ips = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(lookup.addresses(host).await.unwrap(), ips);
    }
    let error = lookup.addresses("none.example").await.unwrap_err();
    assert!(matches!(error, LookupError::Unknown { .. }));
    assert!(matches!(lookup.addresses("a..b").await, Err(LookupError::NoName { .. })));
    upstream.stop().await;
    let error = lookup.addresses("other.example").await.unwrap_err();
    assert!(matches!(error, LookupError::Upstream { .. }));
    assert!(lookup.addresses("example.org").await.is_ok(), "it is remembered");
}

/// Lets time pass at once.
async fn jump(time: Duration) {
    time::pause();
    time::advance(time).await;
    time::resume();
}
