//! Any text as a format of headers and of access logs: refused, or printed without a panic.
#![no_main]
use culvert_model::http::format::{Address, Clock, Format, JsonTemplate, Template};
use culvert_policy::http::{
    facts::Head,
    format::{Known, Missing, Scene, line},
};
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

struct Request;

impl Known for Request {
    fn clock(&self, _clock: Clock) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_nanos(1_460_751_420_310_000_001))
    }
    fn address(&self, _of: Address) -> Option<SocketAddr> {
        Some(([10, 1, 2, 3], 80).into())
    }
    fn upstream_host(&self) -> Option<String> {
        Some("[::1]:80".into())
    }
}

fn once(text: &str) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        headers.insert("a", value);
    }
    let head = Head {
        method: &Method::GET,
        path: text,
        authority: text,
        scheme: "http",
        protocol: None,
        headers: &headers,
    };
    let scene = Scene { request: Some(head), ..Scene::new(&Request) };
    for template in [text.parse::<Template>(), Template::header(text)].into_iter().flatten() {
        let json =
            JsonTemplate::Struct([("k".into(), JsonTemplate::Text(template.clone()))].into());
        let mut out = Vec::new();
        line(&Format::Text(template), &scene, Missing::Dash, &mut out);
        out.clear();
        line(&Format::Json(json), &scene, Missing::Omit, &mut out);
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&out);
        assert!(parsed.is_ok(), "{text:?} printed {:?}", String::from_utf8_lossy(&out));
    }
}

fuzz_target!(|text: &str| once(text));
