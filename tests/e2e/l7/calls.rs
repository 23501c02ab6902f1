//! Calls of gRPC in the mesh: their status and their messages, as both reporters count them.
#![expect(clippy::disallowed_methods, reason = "its tasks end with its runtime")]

use crate::steps::fields;
use bytes::Bytes;
use e2e::{Mesh, Pod, eventually, programs};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde_json::json;
use std::{fs, net::Ipv6Addr};
use tokio::runtime::Runtime;

const VIP: &str = "10.96.7.20";

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: calls, namespace: mesh, labels: {culvert.dev/l7: enabled}}
spec:
  clusterIP: 10.96.7.20
  selector: {app: server}
  ports: [{name: grpc, port: 80, targetPort: 7070}]
";

/// Three messages, each of one byte.
fn messages(count: usize) -> Vec<u8> {
    [0, 0, 0, 0, 1, b'm'].repeat(count)
}

/// A server of gRPC: three messages and the status that the last word of the path says.
fn serve(pod: &Pod) -> Runtime {
    let listener = pod.ns.run(|| std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, 7070)));
    let listener = listener.unwrap().unwrap();
    listener.set_nonblocking(true).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(tcp).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request, respond));
                }
            });
        }
    });
    runtime
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) -> Option<()> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).ok()?;
    }
    let kind = HeaderValue::from_static("application/grpc");
    let response = Response::builder().header("content-type", kind).body(()).ok()?;
    let mut stream = respond.send_response(response, false).ok()?;
    stream.send_data(messages(3).into(), false).ok()?;
    let status = head.uri.path().rsplit('/').next()?.to_owned();
    let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_str(&status).ok()?);
    stream.send_trailers(HeaderMap::from_iter([status])).ok()
}

/// Calls with two messages; whether an answer came.
fn call(mesh: &Mesh, status: u32) -> bool {
    let said = mesh.folder().join("said");
    fs::write(&said, messages(2)).unwrap();
    let mut curl = programs::of_machine("curl", "curl");
    curl.args(["-s", "-f", "--http2-prior-knowledge", "-o", "/dev/null", "--max-time", "10"]);
    curl.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary"]);
    curl.arg(format!("@{}", said.display())).arg(format!("http://{VIP}/shop.Calls/{status}"));
    mesh.pod("client").output(curl).status.success()
}

#[test]
fn both_reporters_count_calls_by_their_status_and_their_messages() {
    let mesh = Mesh::start("l7calls", |m| {
        m.plane();
        m.node("a").pod("client");
        m.node("b").pod("server");
    });
    mesh.write("calls.yaml", SERVICE);
    let _server = serve(mesh.pod("server"));
    eventually("the way through both engines", || call(&mesh, 0).then_some(()));
    for _ in 0..4 {
        assert!(call(&mesh, 5));
    }
    for (node, reporter) in [("a", "reporter=\"source\""), ("b", "reporter=\"destination\"")] {
        let labels = [
            reporter,
            "source_workload=\"client\"",
            "destination_workload=\"server\"",
            "destination_service=\"calls.mesh.svc.cluster.local\"",
            "request_protocol=\"grpc\"",
            "response_code=\"200\"",
            "grpc_response_status=\"5\"",
        ];
        let node = mesh.node(node);
        eventually("every call", || {
            (node.metric("istio_requests_total", &labels) >= 4.0).then_some(())
        });
        for (metric, expected) in [
            ("istio_requests_total", 4),
            ("istio_request_messages_total", 8),
            ("istio_response_messages_total", 12),
        ] {
            let found = node.metric(metric, &labels);
            assert!((found - f64::from(expected)).abs() < 0.5, "{metric}: {found}");
        }
        let line = node.await_access("the line of a call", |line| {
            line["message"] == "request complete" && line["http.path"] == "/shop.Calls/5"
        });
        fields(&line, &json!({"http.status": 200, "grpc.status": 5, "http.version": "HTTP/2"}));
    }
}
