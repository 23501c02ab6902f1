//! The line of a request.
use crate::{
    access::words::{self, Fields, Lead, Value},
    request::{Request, Told},
};
use culvert_model::{facts::ConnFacts, path::Path};
use std::time::SystemTime;

/// The end of one request, with all that was learnt of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestLine {
    /// When it ended.
    pub(crate) time: SystemTime,
    pub(crate) request: Request,
    pub(crate) told: Told,
}

/// One JSON object and a line feed.
pub(super) fn json(out: &mut Vec<u8>, line: &RequestLine) {
    words::json(out, &lead(line), |field| fields(line, field));
}

/// As a connection's.
pub(super) fn text(out: &mut Vec<u8>, line: &RequestLine) {
    words::text(out, &lead(line), |field| fields(line, field));
}

fn lead(line: &RequestLine) -> Lead {
    let RequestLine { time, request: Request { code, flags, .. }, told: _ } = line;
    let failed = *code == 0 || 500 <= *code || !flags.is_empty();
    Lead { failed, time: *time, message: "request complete" }
}

/// Every field in its order; one that is not known is left out.
fn fields(line: &RequestLine, field: Fields<'_>) {
    let RequestLine { time: _, request, told } = line;
    let Request { facts, code, call, flags, request_bytes, response_bytes, took } = request;
    let ConnFacts { direction, path, .. } = facts;
    let Told { method, host, path: asked, version, details, .. } = told;
    words::ends(facts, field);
    field("direction", Value::Text(direction.as_str()));
    field("bytes_sent", Value::Number(*request_bytes));
    field("bytes_recv", Value::Number(*response_bytes));
    field("duration_ms", Value::Number(words::milliseconds(*took)));
    some("http.method", method, field);
    some("http.host", host, field);
    some("http.path", asked, field);
    some("http.version", version, field);
    field("http.status", Value::Number((*code).into()));
    let grpc_status = call.and_then(|call| call.status).map(u64::try_from);
    if let Some(Ok(status)) = grpc_status {
        field("grpc.status", Value::Number(status));
    }
    some("response_flags", flags, field);
    some("response_details", details, field);
    some("route", &told.route, field);
    some("cluster", &told.cluster, field);
    some("request_id", &told.request_id, field);
    // Nothing was opened for it.
    if *path != Path::L7 {
        field("path", Value::Text(path.as_str()));
    }
    some("trace_id", &told.trace_id, field);
    some("error", &told.error, field);
    some("configuration", &told.configuration, field);
}

fn some(key: &str, text: &str, field: Fields<'_>) {
    if !text.is_empty() {
        field(key, Value::Text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{request::Call, sample};
    use culvert_model::facts::Direction;
    use insta::assert_snapshot;
    use std::time::{Duration, UNIX_EPOCH};

    fn line(request: Request) -> RequestLine {
        RequestLine {
            time: UNIX_EPOCH + Duration::from_millis(1_767_225_599_042),
            request,
            told: Told {
                method: "GET".to_owned(),
                host: "stock".to_owned(),
                path: "/items?of=\"a\"".to_owned(),
                version: "HTTP/1.1",
                details: "via_upstream".into(),
                ..Told::default()
            },
        }
    }

    fn written(by: fn(&mut Vec<u8>, &RequestLine), line: &RequestLine) -> String {
        let mut out = Vec::new();
        by(&mut out, line);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn says_who_asked_whom_for_what_and_what_came_of_it() {
        let line = line(sample::request(Direction::Inbound));
        assert_snapshot!(written(json, &line), @r#"{"level":"info","time":"2025-12-31T23:59:59.042Z","scope":"access","message":"request complete","src.addr":"10.0.0.1:40000","src.workload":"cart-1","src.namespace":"shop","src.identity":"spiffe://cluster.local/ns/shop/sa/cart","dst.addr":"10.0.1.2:15008","dst.hbone_addr":"10.0.1.2:80","dst.service":"stock.shop.svc.cluster.local","dst.workload":"stock-1","dst.namespace":"shop","dst.identity":"spiffe://cluster.local/ns/shop/sa/stock","direction":"inbound","bytes_sent":84,"bytes_recv":1617,"duration_ms":7,"http.method":"GET","http.host":"stock","http.path":"/items?of=\"a\"","http.version":"HTTP/1.1","http.status":200,"response_details":"via_upstream","path":"tunnel"}"#);
        assert_snapshot!(written(text, &line).replace('\t', " | "), @r#"2025-12-31T23:59:59.042Z | info | access | request complete | src.addr=10.0.0.1:40000 src.workload="cart-1" src.namespace="shop" src.identity="spiffe://cluster.local/ns/shop/sa/cart" dst.addr=10.0.1.2:15008 dst.hbone_addr=10.0.1.2:80 dst.service="stock.shop.svc.cluster.local" dst.workload="stock-1" dst.namespace="shop" dst.identity="spiffe://cluster.local/ns/shop/sa/stock" direction="inbound" bytes_sent=84 bytes_recv=1617 duration_ms=7 http.method="GET" http.host="stock" http.path="/items?of=\"a\"" http.version="HTTP/1.1" http.status=200 response_details="via_upstream" path="tunnel""#);
    }

    #[test]
    fn says_what_failed_and_which_way_it_would_have_gone() {
        let mut request = sample::request(Direction::Outbound);
        request.facts.path = Path::L7;
        let (code, flags) = (503, "UF,URX".into());
        let call = Some(Call { status: Some(14), requests: 1, responses: 0 });
        let told = Told {
            route: "default".to_owned(),
            cluster: "outbound|80||stock.shop.svc.cluster.local".to_owned(),
            request_id: "6ba7b810-9dad-41d1-80b4-00c04fd430c8".to_owned(),
            trace_id: "ab".repeat(16),
            error: "delayed connect error: Connection refused".to_owned(),
            ..Told::default()
        };
        let line = RequestLine { told, ..line(Request { code, flags, call, ..request }) };
        assert_snapshot!(written(json, &line), @r#"{"level":"error","time":"2025-12-31T23:59:59.042Z","scope":"access","message":"request complete","src.addr":"10.0.0.1:40000","src.workload":"cart-1","src.namespace":"shop","src.identity":"spiffe://cluster.local/ns/shop/sa/cart","dst.addr":"10.0.1.2:80","dst.service":"stock.shop.svc.cluster.local","dst.workload":"stock-1","dst.namespace":"shop","dst.identity":"spiffe://cluster.local/ns/shop/sa/stock","direction":"outbound","bytes_sent":84,"bytes_recv":1617,"duration_ms":7,"http.status":503,"grpc.status":14,"response_flags":"UF,URX","route":"default","cluster":"outbound|80||stock.shop.svc.cluster.local","request_id":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","trace_id":"abababababababababababababababab","error":"delayed connect error: Connection refused"}"#);
    }
}
