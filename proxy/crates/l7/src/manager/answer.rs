//! Answers of our own, and what all answers say.
use crate::{
    body::Body,
    manager::{date, record::Record, trace},
    message::{Response, ResponseHead},
    outcome::{Details, Flag, Flags},
};
use culvert_model::http::manager::ServerMode;
use culvert_policy::http::{
    facts::Answer,
    mutate::{self, Message},
    reply::Reply,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use std::{borrow::Cow, sync::Arc};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An answer of our own, before it looks as the listener wants it.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) status: StatusCode,
    pub(crate) body: Cow<'static, [u8]>,
    pub(crate) headers: HeaderMap,
    pub(crate) flags: Flags,
    pub(crate) details: Details,
    /// In place of what the status means to gRPC.
    pub(crate) grpc: Option<i64>,
    /// The connection ends after it.
    pub(crate) close: bool,
    /// It is what the route says.
    pub(crate) of_route: bool,
}

/// A request goes no further.
pub(crate) type Refused = Box<Local>;

impl Local {
    pub(crate) fn new(
        status: StatusCode,
        body: impl Into<Cow<'static, str>>,
        details: impl Into<Details>,
    ) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self {
            status,
            body,
            headers: HeaderMap::new(),
            flags: Flags::default(),
            details: details.into(),
            grpc: None,
            close: false,
            of_route: false,
        }
    }

    pub(crate) fn flag(mut self, flag: Flag) -> Self {
        self.flags.set(flag);
        self
    }

    pub(crate) const fn close(mut self) -> Self {
        self.close = true;
        self
    }

    pub(crate) fn boxed(self) -> Refused {
        Box::new(self)
    }
}

/// Says `local`, as the listener wants it to look and the client can understand it.
pub(crate) fn local(record: &mut Record, local: Local) -> Response {
    let Local { status, body, headers, flags, details, grpc, close, of_route } = local;
    record.flags = record.flags.iter().chain(flags.iter()).collect();
    record.details = details;
    let mut reply = Reply { status, headers, body: body.into_owned(), grpc };
    if of_route || record.routed.forward().is_some() {
        route_headers(record, status, &mut reply.headers);
    }
    let manager = Arc::clone(&record.manager);
    let config = manager.config();
    // Where a message went wrong, the next may not begin where it seems to.
    let close = close
        || status == StatusCode::BAD_REQUEST
            && record.head.version != Version::HTTP_2
            && !config.keep_connection_on_error.unwrap_or(config.http1.keep_connection_on_error);
    let seeing = record.seeing("NotSet");
    let reply = reply.dressed(&config.replies, &seeing.scene(), &record.around());
    let Reply { status, mut headers, body, grpc: _ } = reply;
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if record.head.method == Method::HEAD && !body.is_empty() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let head = ResponseHead { headers, ..ResponseHead::new(status) };
    Response { head, body: Body::full(body) }
}

/// What the route, its host and its table do to a response's headers.
pub(crate) fn route_headers(record: &Record, status: StatusCode, headers: &mut HeaderMap) {
    let Some((host, route)) = record.routed.both() else { return };
    let Some(table) = &record.now.table else { return };
    let weighted = record.routed.weighted();
    let mut levels = mutate::response_levels(table.table(), host, route, weighted).peekable();
    if levels.peek().is_none() {
        return;
    }
    let seeing = record.seeing("NotSet");
    for level in levels {
        let before = mutate::no_headers();
        let answer = Answer { status, headers: before };
        let scene =
            culvert_policy::http::format::Scene { response: Some(answer), ..seeing.scene() };
        mutate::route_headers(level, Message::Response, headers, &scene);
    }
}

/// What every answer says, and what nobody outside is to know.
pub(crate) fn finish(record: &mut Record, response: &mut Response) {
    let manager = Arc::clone(&record.manager);
    let config = manager.config();
    let headers = &mut response.head.headers;
    if !headers.contains_key(header::DATE) {
        headers.insert(header::DATE, date::now());
    }
    match config.server.mode {
        ServerMode::PassThrough => {}
        ServerMode::AppendIfAbsent if headers.contains_key(header::SERVER) => {}
        ServerMode::Overwrite | ServerMode::AppendIfAbsent => {
            headers.insert(header::SERVER, manager.server().clone());
        }
    }
    if config.request_id.always_in_response
        && let Some(id) = record.head.headers.get(REQUEST_ID)
    {
        headers.insert(REQUEST_ID, id.clone());
    }
    trace::answered(record, headers);
    if let Some(via) = &config.via
        && let Ok(via) = HeaderValue::from_str(via)
    {
        headers.append(header::VIA, via);
    }
    record.status = Some(response.head.status);
    if !manager.logs().is_empty() || record.upstream_logs.is_some() {
        record.said = Some(response.head.headers.clone());
    }
}
