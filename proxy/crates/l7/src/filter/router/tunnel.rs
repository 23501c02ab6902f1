//! CONNECT that ends here: its bytes go on over TCP.
use super::{Outcome, way::downstream};
use crate::{
    body::{Body, BodyError, Frame, Pull},
    io::Io,
    link::Learns,
    manager::{
        answer::Local,
        record::{Record, Went},
    },
    message::Response,
    outcome::Flag,
    upstream::{Ask, Connected, NoConnection, Upstream, chosen::Held},
};
use bytes::Bytes;
use culvert_model::http::route::{Forward, Priority};
use http::{Method, StatusCode};
use std::{
    io::IoSlice,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// How much is read at once.
const PIECE: usize = 16 << 10;

/// Whether the route ends a CONNECT.
pub(super) fn ends_here(record: &Record, forward: &Forward) -> bool {
    let upgrade = forward.upgrades.iter().find(|upgrade| *upgrade.kind == *"connect");
    let Some(upgrade) = upgrade.filter(|one| one.enabled && one.terminate_connect) else {
        return false;
    };
    let method = &record.head.method;
    record.head.upgrade.is_none()
        && (*method == Method::CONNECT || upgrade.allow_post && *method == Method::POST)
}

/// Opens the connection, and answers with its bytes.
pub(super) async fn open(record: &mut Record, upstream: &Arc<Upstream>, body: Body) -> Outcome {
    let high = record.routed.forward().is_some_and(|forward| forward.priority == Priority::High);
    let chosen = upstream.choose_raw(&Ask {
        hash: record.routed.hashed.hash,
        high,
        downstream: downstream(record, upstream),
        attempts: 1,
        ..Ask::default()
    });
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let Ok(raw) = chosen else {
        let local = Local::new(unavailable, "no healthy upstream", "no_healthy_upstream");
        return Outcome::Local(local.flag(Flag::NoHealthyUpstream).boxed());
    };
    let facts = raw.facts();
    record.went = Some(Went {
        cluster: Arc::clone(facts.cluster),
        host: Arc::clone(facts.host),
        endpoint: Arc::clone(facts.endpoint),
        link: None,
        reached: true,
    });
    record.attempts = 1;
    record.times.sent = Some(record.elapsed());
    match raw.connect().await {
        Ok(Connected { io, held, link }) => {
            if let Some(went) = &mut record.went {
                let learns = Learns::default();
                learns.by(&Arc::new(link));
                went.link = Some(Arc::new(learns));
            }
            record.details = "via_upstream".into();
            record.times.answered = Some(record.elapsed());
            let upload = Some(Upload { body, rest: Bytes::new() });
            let tunnel = Body::boxed(Tunnel { io, upload, _held: held });
            Outcome::Response(Response::new(StatusCode::OK, tunnel))
        }
        Err(error) => {
            let flag = match error {
                NoConnection::Overflow => Flag::UpstreamOverflow,
                NoConnection::Timeout | NoConnection::Dial(_) => Flag::UpstreamConnectionFailure,
            };
            let text = format!("upstream connect error: {error}");
            let details = "upstream_reset_before_response_started{remote_connection_failure}";
            Outcome::Local(Local::new(unavailable, text, details).flag(flag).boxed())
        }
    }
}

/// The endpoint's bytes, and the client's on their way to it.
struct Tunnel {
    io: Io,
    /// `None`: the client has said everything.
    upload: Option<Upload>,
    _held: Held,
}

struct Upload {
    body: Body,
    rest: Bytes,
}

impl Tunnel {
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while let Some(upload) = &mut self.upload {
            if upload.rest.is_empty() {
                match ready!(upload.body.poll_frame(cx)) {
                    Some(Ok(Frame::Data(data))) => upload.rest = data,
                    Some(Ok(Frame::Trailers(_))) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => {
                        ready!(self.io.poll_shutdown(cx))?;
                        self.upload = None;
                    }
                }
                continue;
            }
            let written = ready!(self.io.poll_write(cx, &[IoSlice::new(&upload.rest)]))?;
            let _sent = upload.rest.split_to(written);
            ready!(self.io.poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Pull for Tunnel {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Poll::Ready(Err(error)) = self.poll_upload(cx) {
            self.upload = None;
            return Poll::Ready(Some(Err(error)));
        }
        let data = ready!(self.io.poll_read(cx, PIECE))?;
        let next = (!data.is_empty()).then(|| Ok(Frame::Data(data.freeze())));
        Poll::Ready(next)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        // Heard of again when the next piece is asked for.
        let _later = self.poll_upload(cx);
    }
}
