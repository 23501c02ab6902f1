//! Answers of our own.
use std::borrow::Cow;

use culvert_model::http::{
    format::Format,
    manager::{LocalReplies, ReplyBody},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    facts::Answer,
    format::{Missing, Scene, line},
    grpc,
    log::{Around, passes},
    mutate::{Message, route_headers},
};

/// An answer of our own.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// In place of what the status means to gRPC.
    pub grpc: Option<i64>,
}

impl Reply {
    /// A status with a sentence.
    #[must_use]
    pub fn new(status: StatusCode, text: &str) -> Self {
        Self { status, headers: HeaderMap::new(), body: text.into(), grpc: None }
    }

    /// As the listener wants such answers to look, and as the client can understand it: to a
    /// request of gRPC it is a status of gRPC.
    #[must_use]
    pub fn dressed(
        mut self,
        replies: &LocalReplies,
        scene: &Scene<'_>,
        around: &Around<'_>,
    ) -> Self {
        let body = self.map(replies, scene, around);
        let kind = match body {
            None => Cow::Borrowed("text/plain"),
            Some(body) => self.print(body, scene),
        };
        let request = scene.request;
        if request.is_some_and(|head| head.is_grpc()) {
            return self.into_grpc();
        }
        if self.body.is_empty() {
            self.headers.remove(header::CONTENT_TYPE);
        } else if !self.headers.contains_key(header::CONTENT_TYPE)
            && let Ok(kind) = HeaderValue::from_str(&kind)
        {
            self.headers.insert(header::CONTENT_TYPE, kind);
        }
        self
    }

    /// Does what the first mapper says whose filter holds; returns how the body is printed.
    fn map<'a>(
        &mut self,
        replies: &'a LocalReplies,
        scene: &Scene<'_>,
        around: &Around<'_>,
    ) -> Option<&'a ReplyBody> {
        for mapper in &replies.mappers {
            if !passes(&mapper.filter, &self.seen(scene), around) {
                continue;
            }
            if let Some(text) = &mapper.text {
                self.body = text.to_vec();
            }
            let mut headers = std::mem::take(&mut self.headers);
            route_headers(&mapper.headers, Message::Response, &mut headers, &self.seen(scene));
            self.headers = headers;
            self.status = mapper.status.unwrap_or(self.status);
            return mapper.body.as_ref().or(replies.body.as_ref());
        }
        replies.body.as_ref()
    }

    fn seen<'a>(&'a self, scene: &Scene<'a>) -> Scene<'a> {
        let answer = Answer { status: self.status, headers: &self.headers };
        Scene { response: Some(answer), local_reply: &self.body, ..*scene }
    }

    /// Prints the body through its format; says what kind of content that is.
    fn print<'a>(&mut self, body: &'a ReplyBody, scene: &Scene<'_>) -> Cow<'a, str> {
        let missing = if body.format.omit_empty { Missing::Omit } else { Missing::Dash };
        let mut out = Vec::new();
        line(&body.format.format, &self.seen(scene), missing, &mut out);
        self.body = out;
        match (&body.content_type, &*body.format.format) {
            (Some(kind), _) => Cow::Borrowed(kind),
            (None, Format::Json(_)) => Cow::Borrowed("application/json"),
            (None, Format::Text(_)) => Cow::Borrowed("text/plain"),
        }
    }

    /// Without a body: status and message are headers.
    fn into_grpc(mut self) -> Self {
        let status = self.grpc.unwrap_or_else(|| grpc::from_http(self.status));
        let text = String::from_utf8_lossy(&self.body);
        let message = grpc::message(&text);
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        self.headers.remove(header::CONTENT_LENGTH);
        if !self.headers.contains_key("grpc-status") {
            self.headers.insert("grpc-status", HeaderValue::from(status));
        }
        if !message.is_empty()
            && let Ok(message) = HeaderValue::try_from(message)
        {
            self.headers.insert("grpc-message", message);
        }
        self.status = StatusCode::OK;
        self.body.clear();
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use culvert_model::http::{
        access_log::{Comparison, ComparisonOp, LogFilter, LogFormat},
        format::{Format, JsonTemplate, Template},
        manager::{LocalReplies, ReplyBody, ReplyMapper},
        mutation::{Append, HeaderMutations, HeaderValue, Mutation},
        runtime::RuntimeValues,
        value::Metadata,
    };
    use http::{HeaderMap, Method, StatusCode};

    use super::Reply;
    use crate::http::{
        facts::Head,
        format::{Nothing, Scene},
        log::Around,
    };

    fn dressed(replies: &LocalReplies, content_type: Option<&str>) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(kind) = content_type {
            headers.insert("content-type", kind.parse().unwrap());
        }
        let head = Head {
            method: &Method::GET,
            path: "/p",
            authority: "h",
            scheme: "http",
            protocol: None,
            headers: &headers,
        };
        let (runtime, metadata) = (RuntimeValues::default(), Metadata::default());
        let around = Around {
            runtime: &runtime,
            dice: [0; 2],
            health_check: false,
            traced: false,
            metadata: &metadata,
        };
        let scene = Scene { request: Some(head), ..Scene::new(&Nothing) };
        Reply::new(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream")
            .dressed(replies, &scene, &around)
    }

    fn body(format: Format) -> ReplyBody {
        ReplyBody {
            format: LogFormat { format: Arc::new(format), omit_empty: false },
            content_type: None,
        }
    }

    fn replies() -> LocalReplies {
        let than = |value: u32| Comparison { op: ComparisonOp::Equal, value: value.into() };
        let added = Mutation::Set(HeaderValue {
            name: "x-was".parse().unwrap(),
            value: "%RESPONSE_CODE%".parse().unwrap(),
            how: Append::AppendOrAdd,
            keep_empty: false,
        });
        let mapper = |status| ReplyMapper {
            filter: LogFilter::Status(than(status)),
            status: Some(StatusCode::IM_A_TEAPOT),
            text: Some(b"changed".as_slice().into()),
            body: None,
            headers: HeaderMutations([added.clone()].into()),
        };
        let text = |template: &str| JsonTemplate::Text(template.parse::<Template>().unwrap());
        let json = JsonTemplate::Struct(
            [
                ("body".into(), text("%LOCAL_REPLY_BODY%")),
                ("path".into(), text("%REQ(:path)%")),
                ("status".into(), text("%RESPONSE_CODE%")),
            ]
            .into(),
        );
        LocalReplies {
            mappers: [mapper(404), mapper(503)].into(),
            body: Some(body(Format::Json(json))),
        }
    }

    #[test]
    fn without_more_it_is_text() {
        let reply = dressed(&LocalReplies::default(), None);
        assert_eq!(reply.status, 503);
        assert_eq!(reply.body, b"no healthy upstream");
        assert_eq!(reply.headers["content-type"], "text/plain");
    }

    #[test]
    fn mappers_change_it_and_formats_print_it() {
        let reply = dressed(&replies(), None);
        assert_eq!(reply.status, 418);
        assert_eq!(reply.headers["x-was"], "503");
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(reply.body, b"{\"body\":\"changed\",\"path\":\"/p\",\"status\":418}\n");
    }

    #[test]
    fn grpc_is_told_in_headers() {
        let reply = dressed(&LocalReplies::default(), Some("application/grpc"));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["grpc-status"], "14");
        assert_eq!(reply.headers["grpc-message"], "no healthy upstream");
        assert_eq!(reply.headers["content-type"], "application/grpc");
        assert!(reply.body.is_empty());
    }
}
