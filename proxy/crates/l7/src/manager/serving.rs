//! The requests of one connection.
use crate::{
    body::Body,
    connection::Connection,
    filter::router::{self, Outcome},
    manager::{
        Manager,
        answer::{self, Local, Refused},
        arrive::arrive,
        deadline,
        record::Record,
        routed::Routed,
        trace,
    },
    message::{Interim, Request, RequestHead, Response},
    outcome::{Ended, Exchanged, Flag, Refusal},
    service::Service,
    stats::codes::Codes,
};
use http::{
    HeaderValue, Method, StatusCode, Version, header,
    uri::{Authority, PathAndQuery},
};
use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Answers what comes by one connection.
#[derive(Debug)]
pub(super) struct Serving {
    manager: Arc<Manager>,
    connection: Arc<Connection>,
    /// Of the listener.
    codes: Arc<Codes>,
}

impl Serving {
    pub(super) fn new(manager: Arc<Manager>, connection: Arc<Connection>) -> Self {
        let codes = manager.codes(&connection.stats);
        Self { manager, connection, codes }
    }

    /// For the listener; the manager's own are counted when the request is over.
    fn count(&self, response: &Response) {
        self.codes.count_class(response.head.status.as_u16());
    }
}

impl Service for Serving {
    type Record = Box<Record>;

    async fn call(&self, request: Request) -> (Response, Box<Record>) {
        let Request { head, body, interim } = request;
        // What comes before the response is the client's only where it is asked for.
        let interim =
            if self.manager.config().proxy_100_continue { interim } else { Interim::default() };
        let mut record = Record::new(&self.manager, &self.connection, head);
        count(&record);
        let limit = self.manager.config().limits.request_timeout;
        let answered = {
            let work = deadline::within(limit, body, |body| way(&mut record, body, &interim));
            caught(pin!(work)).await
        };
        let mut response = match answered {
            Some(Some(response)) => response,
            Some(None) => self.late(&mut record),
            None => self.panicked(&mut record),
        };
        answer::finish(&mut record, &mut response);
        note(&mut record, &mut response);
        self.count(&response);
        if response.head.status == StatusCode::SWITCHING_PROTOCOLS
            && self.manager.config().log_options.on_tunnel
        {
            record.write("DownstreamTunnelSuccessfullyEstablished");
        }
        (response, record)
    }

    fn poll_due(&self, record: &mut Box<Record>, cx: &mut Context<'_>) -> Poll<()> {
        record.poll_due(cx)
    }

    fn report(&self, record: &mut Box<Record>, received: u64, sent: u64) {
        record.report(received, sent);
    }

    fn ended(&self, mut record: Box<Record>, exchanged: Exchanged) {
        record.exchange(exchanged);
    }

    fn refused(&self, refusal: Refusal) -> Response {
        let tally = self.manager.tally();
        match refusal.status {
            StatusCode::REQUEST_TIMEOUT => tally.rq_header_timeout.inc(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => tally.rq_too_large.inc(),
            _ => {}
        }
        let nowhere = Authority::from_static("-");
        let head = RequestHead::new(Method::GET, nowhere, PathAndQuery::from_static("/"));
        let mut record = Record::new(&self.manager, &self.connection, head);
        record.headless = true;
        count(&record);
        let text = match refusal.status {
            StatusCode::REQUEST_TIMEOUT => "request header timeout",
            status => status.canonical_reason().unwrap_or_default(),
        };
        let mut local = Local::new(refusal.status, text, refusal.details);
        if refusal.status != StatusCode::REQUEST_TIMEOUT {
            local.flags.set(Flag::DownstreamProtocolError);
        }
        let mut response = answer::local(&mut record, local);
        answer::finish(&mut record, &mut response);
        note(&mut record, &mut response);
        self.count(&response);
        let sent = text.len() as u64;
        record.exchange(Exchanged { ended: Ended::Whole, received: 0, sent });
        response
    }
}

impl Serving {
    /// The request did not come in time.
    fn late(&self, record: &mut Record) -> Response {
        self.manager.tally().rq_timeout.inc();
        let (status, text) = (StatusCode::REQUEST_TIMEOUT, "request timeout");
        answer::local(record, Local::new(status, text, "request_overall_timeout").close())
    }

    /// Ends the connection, and with it whatever was left half done.
    fn panicked(&self, record: &mut Record) -> Response {
        self.manager.shared().panicked();
        tracing::error!(
            listener = %self.connection.listener.name,
            path = record.request().bare_path(),
            "a request panicked; its connection is closed"
        );
        let local = Local::new(StatusCode::INTERNAL_SERVER_ERROR, "", "internal_error");
        answer::local(record, local.close())
    }
}

fn count(record: &Record) {
    let tally = record.manager.tally();
    tally.rq_total.inc();
    let [one, two] = &tally.rq_version;
    if record.head.version == Version::HTTP_2 { two.inc() } else { one.inc() }
}

/// For the ledger.
fn note(record: &mut Record, response: &mut Response) {
    if let Some(noted) = &mut record.noted {
        noted.response(response);
    }
}

/// `None` if it panicked.
async fn caught<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| {
        // What it leaves half done goes with its connection.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

/// From the head to the response; again where a redirect of the upstream is followed.
async fn way(record: &mut Box<Record>, body: Body, interim: &Interim) -> Response {
    if body.is_empty() {
        record.times.received = Some(Duration::ZERO);
    }
    let body = match &record.noted {
        Some(noted) => noted.request(body),
        None => body,
    };
    if let Err(local) = arrive(record) {
        return answer::local(record, *local);
    }
    let mut body = body;
    loop {
        match once(record, body, interim).await {
            Ok(response) => return response,
            Err(follow) => {
                let Follow { head, body: again, status } = *follow;
                let next = record.followed(head);
                let mut before = std::mem::replace(record, next);
                before.status = Some(status);
                before.details = "internal_redirect".into();
                before.exchange(Exchanged { ended: Ended::Whole, received: 0, sent: 0 });
                body = again;
            }
        }
    }
}

/// A redirect is followed here.
struct Follow {
    head: RequestHead,
    body: Body,
    status: StatusCode,
}

async fn once(
    record: &mut Record,
    mut body: Body,
    interim: &Interim,
) -> Result<Response, Box<Follow>> {
    let kind = upgrade(record);
    if kind.is_some() && record.head.upgrade.is_some() {
        show_upgrade(&mut record.head);
    }
    record.routed = Routed::find(record.now.table.as_deref(), &record.asking());
    if record.redirects == 0 {
        trace::routed(record);
    }
    // What no route is for is told so, as any other request.
    let routed = record.routed.route.is_some() || record.routed.to_tls;
    if let Some(kind) = &kind
        && routed
        && let Err(local) = allowed(record, kind)
    {
        return Ok(answer::local(record, *local));
    }
    if record.manager.config().log_options.on_request {
        record.write("DownstreamStart");
    }
    let filters = Arc::clone(record.now.filters(kind.as_deref()));
    let outcome = match filters.request(record, &mut body).await {
        Ok(()) => router::send(record, filters.router(), body, interim).await,
        Err(local) => Outcome::Local(local),
    };
    let mut response = match outcome {
        Outcome::Response(response) => response,
        Outcome::Local(local) => answer::local(record, *local),
        Outcome::Follow { head, body, status } => {
            return Err(Box::new(Follow { head, body, status }));
        }
    };
    filters.response(record, &mut response);
    Ok(response)
}

/// What a request asks to become.
fn upgrade(record: &Record) -> Option<String> {
    let head = &record.head;
    match &head.upgrade {
        Some(kind) => Some(kind.to_str().ok()?.to_ascii_lowercase()),
        None => (head.method == Method::CONNECT).then(|| "connect".to_owned()),
    }
}

/// Rules may look at it; it goes on its own way upstream.
fn show_upgrade(head: &mut RequestHead) {
    if let Some(kind) = &head.upgrade {
        head.headers.insert(header::UPGRADE, kind.clone());
        let upgrade = if head.version == Version::HTTP_2 { "upgrade" } else { "Upgrade" };
        head.headers.insert(header::CONNECTION, HeaderValue::from_static(upgrade));
    }
}

/// The route's word counts before the listener's.
fn allowed(record: &Record, kind: &str) -> Result<(), Refused> {
    let of_route = record.routed.forward().and_then(|forward| {
        let found = forward.upgrades.iter().find(|upgrade| *upgrade.kind == *kind);
        found.map(|upgrade| upgrade.enabled)
    });
    let of_listener = || {
        let upgrades = &record.manager.config().upgrades;
        upgrades.iter().find(|upgrade| *upgrade.kind == *kind).map(|upgrade| upgrade.enabled)
    };
    if of_route.or_else(of_listener).unwrap_or(false) {
        return Ok(());
    }
    record.manager.tally().rq_ws_on_non_ws_route.inc();
    // What comes next may be no request, but what the client wanted the connection for.
    Err(Local::new(StatusCode::FORBIDDEN, "", "upgrade_failed").close().boxed())
}
