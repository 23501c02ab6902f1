use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use culvert_model::http::{
    format::{Address, Amount, Clock, JsonTemplate, MetadataOf, Moment, Template},
    value::{Fields, Metadata, Value},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{Known, Missing, Scene, json, text};
use crate::http::{
    facts::{Answer, Certificate, Head, Tls},
    flags::{Flag, Flags},
};

struct All {
    tls: Tls,
    metadata: Metadata,
}

impl Known for All {
    fn protocol(&self) -> Option<&str> {
        Some("HTTP/1.1")
    }
    fn status(&self) -> u16 {
        503
    }
    fn details(&self) -> Option<&str> {
        Some("upstream reset: x")
    }
    fn flags(&self) -> Flags {
        [Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded].into_iter().collect()
    }
    fn bytes(&self, of: Amount) -> u64 {
        if of == Amount::Sent { 7 } else { 0 }
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is known")]
    fn moment(&self, moment: &Moment) -> Option<Duration> {
        match moment {
            Moment::DownstreamReceiveBegin => Some(Duration::ZERO),
            Moment::DownstreamReceiveEnd => Some(Duration::from_micros(1999)),
            Moment::UpstreamReceiveBegin => Some(Duration::from_millis(20)),
            Moment::DownstreamSendEnd => Some(Duration::from_millis(50)),
            _ => None,
        }
    }
    fn elapsed(&self) -> Option<Duration> {
        Some(Duration::from_micros(50_900))
    }
    fn clock(&self, clock: Clock) -> Option<SystemTime> {
        (clock == Clock::Start).then_some(UNIX_EPOCH + Duration::from_millis(1_460_751_420_310))
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is known")]
    fn address(&self, of: Address) -> Option<SocketAddr> {
        match of {
            Address::DownstreamRemote => Some("10.1.10.23:80".parse().unwrap()),
            Address::DownstreamLocal => Some("[2001:db8::1]:443".parse().unwrap()),
            _ => None,
        }
    }
    fn tls(&self, upstream: bool) -> Option<&Tls> {
        (!upstream).then_some(&self.tls)
    }
    fn upstream_host(&self) -> Option<String> {
        Some("10.0.0.9:8080".into())
    }
    fn metadata(&self, of: MetadataOf) -> Option<&Metadata> {
        (of == MetadataOf::Dynamic).then_some(&self.metadata)
    }
    fn state(&self, _upstream: bool, key: &str) -> Option<&str> {
        (key == "k").then_some("state")
    }
}

fn all() -> All {
    let certificate = Certificate {
        uris: ["spiffe://a".into(), "spiffe://b".into()].into(),
        ..Certificate::default()
    };
    let fields = Fields::from([
        ("n".into(), Value::Number(3.0)),
        ("s".into(), Value::String("text".into())),
    ]);
    let metadata = [("f".into(), Value::Struct(Arc::new(fields)))];
    All {
        tls: Tls { version: "TLSv1.3", peer: Some(Arc::new(certificate)), ..Tls::default() },
        metadata: Metadata::new(metadata.into()),
    }
}

fn with<T>(f: impl FnOnce(&Scene<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    headers.insert("x-a", "value".parse().unwrap());
    headers.insert("x-odd", HeaderValue::from_bytes(b"q\"b\\t\tx").unwrap());
    headers.insert("x-envoy-original-path", "/old?x=1".parse().unwrap());
    headers.insert("content-type", "application/grpc".parse().unwrap());
    let mut answer = HeaderMap::new();
    answer.insert("grpc-status", "5".parse().unwrap());
    let head = Head {
        method: &Method::GET,
        path: "/new?a=%41&b",
        authority: "h",
        scheme: "http",
        protocol: None,
        headers: &headers,
    };
    let all = all();
    f(&Scene {
        request: Some(head),
        response: Some(Answer { status: StatusCode::SERVICE_UNAVAILABLE, headers: &answer }),
        ..Scene::new(&all)
    })
}

fn printed(template: &str) -> String {
    let template: Template = template.parse().unwrap();
    let mut out = Vec::new();
    with(|scene| text(&template, scene, Missing::Dash, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn operators_print_what_is_known() {
    for (template, wanted) in [
        ("%REQ(X-A)% %REQ(x-a):3% %REQ(none)% %REQ(none?x-a)%", "value val - value"),
        (
            "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:path)%",
            "GET /old?x=1 /new?a=%41&b",
        ),
        ("%REQ_WITHOUT_QUERY(:path)% %PATH(NQ)% %PATH(WQ:PATH)%", "/new /old /new?a=%41&b"),
        ("%QUERY_PARAM(a)% %QUERY_PARAM(c)% %QUERY_PARAMS(DECODED)%", "A - a=A&b"),
        ("%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%", "503 upstream_reset:_x"),
        (
            "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%",
            "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded",
        ),
        ("%BYTES_SENT% %BYTES_RECEIVED% %UPSTREAM_CONNECTION_ID%", "7 0 0"),
        ("%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "50 1 20 30"),
        (
            "%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)% %COMMON_DURATION(DS_TX_END:US_RX_BEG:ms)%",
            "1999 -30",
        ),
        ("%START_TIME% %START_TIME(%s.%3f)%", "2016-04-15T20:17:00.310Z 1460751420.310"),
        (
            "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%",
            "10.1.10.23:80 10.1.0.0/16",
        ),
        (
            "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%",
            "[2001:db8::1]:443 2001:db8::1 443",
        ),
        ("%UPSTREAM_HOST% %UPSTREAM_HOST_NAME_WITHOUT_PORT%", "10.0.0.9:8080 10.0.0.9"),
        (
            "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TLS_VERSION% %UPSTREAM_TLS_VERSION%",
            "spiffe://a,spiffe://b TLSv1.3 -",
        ),
        (
            "%DYNAMIC_METADATA(f:s):2% %DYNAMIC_METADATA(f)% %DYNAMIC_METADATA(f:x)%",
            r#"te {"n":3,"s":"text"} -"#,
        ),
        (
            "%FILTER_STATE(k:PLAIN)% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%",
            "state NotFound NOT_FOUND 5",
        ),
    ] {
        assert_eq!(printed(template), wanted, "{template}");
    }
}

#[test]
fn without_flags_there_is_a_dash_in_json_as_well() {
    let template = JsonTemplate::Text("%RESPONSE_FLAGS%".parse().unwrap());
    let scene = Scene::new(&super::Nothing);
    let mut out = Vec::new();
    json(&template, &scene, Missing::Dash, &mut out);
    assert_eq!(out, b"\"-\"");
}

fn object(missing: Missing) -> String {
    let text = |template: &str| JsonTemplate::Text(template.parse().unwrap());
    let inner = JsonTemplate::Struct([("q".into(), text("%REQ(none)%"))].into());
    let template = JsonTemplate::Struct(
        [
            ("a".into(), text("%REQ(none)%")),
            ("b".into(), JsonTemplate::Bool(true)),
            ("h".into(), text("%REQ(x-odd)%")),
            ("l".into(), JsonTemplate::List([text("%REQ(none)%"), text("x%PROTOCOL%")].into())),
            ("m".into(), text("%REQ(none)%-%PROTOCOL%")),
            ("n".into(), JsonTemplate::Number(1.5)),
            ("s".into(), inner),
            ("t".into(), text("%DYNAMIC_METADATA(f)%")),
            ("z".into(), text("%RESPONSE_CODE%")),
        ]
        .into(),
    );
    let mut out = Vec::new();
    with(|scene| json(&template, scene, missing, &mut out));
    String::from_utf8(out).unwrap()
}

/// As an Envoy 1.40 writes it.
#[test]
fn objects_keep_types_and_say_null() {
    assert_eq!(
        object(Missing::Dash),
        r#"{"a":null,"b":true,"h":"q\"b\\t\tx","l":[null,"xHTTP/1.1"],"m":"--HTTP/1.1","n":"1.5","s":{"q":null},"t":{"n":3,"s":"text"},"z":503}"#
    );
    assert_eq!(
        object(Missing::Omit),
        r#"{"b":true,"h":"q\"b\\t\tx","l":["xHTTP/1.1"],"m":"-HTTP/1.1","n":"1.5","t":{"n":3,"s":"text"},"z":503}"#
    );
}
