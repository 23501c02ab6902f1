//! Every operator of access logs, in text and in JSON.
use std::fmt::Write as _;

const OPERATORS: &[&str] = &[
    "PROTOCOL",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "ROUTE_NAME",
    "VIRTUAL_CLUSTER_NAME",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_HOST",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_METADATA(a:b)",
    "CLUSTER_METADATA(m:k)",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_TLS_VERSION",
    "REQUESTED_SERVER_NAME",
    "FILTER_CHAIN_NAME",
    "CONNECTION_TERMINATION_DETAILS",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "REQ(:METHOD)",
    "REQ(:PATH)",
    "REQ(:AUTHORITY)",
    "REQ(:SCHEME)",
    "REQ(X-IN)",
    "REQ(NONE?X-IN)",
    "REQ(X-IN):3",
    "RESP(X-OUT)",
    "RESP(NONE?X-OUT):1",
    "TRAILER(X-T)",
    "PATH",
    "PATH(NQ)",
    "PATH(WQ:ORIG)",
    "QUERY_PARAM(a)",
    "QUERY_PARAMS",
    "METADATA(ROUTE:m:k)",
    "METADATA(ROUTE:m:none)",
    "METADATA(ROUTE:m)",
    "METADATA(CLUSTER:m:k)",
    "DYNAMIC_METADATA(none)",
    "FILTER_STATE(none)",
    "REQUEST_HEADERS_BYTES",
    "RESPONSE_HEADERS_BYTES",
    "ENVIRONMENT(NOBODY_SETS_THIS)",
    "LOCAL_REPLY_BODY",
    "ACCESS_LOG_TYPE",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_WIRE_BYTES_SENT",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "TRACE_ID",
    "VIRTUAL_CLUSTER_NAME",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_TLS_VERSION",
];

/// Operators whose counts of bytes are of each proxy's own writing.
const OWN: &[&str] = &["WIRE_BYTES", "HEADER_BYTES", "HEADERS_BYTES"];

/// Each operator by itself and in a text, over requests of many outcomes.
pub(super) fn operators() -> String {
    let mut text = "about: every operator, in a value and in a text\n\
        clusters: {b1: {metadata: {filter_metadata: {m: {k: cluster}}}}, refusing: {to: [dead]}}\n\
        routes:\n\
        - {name: refusing, match: {path: /refusing}, route: {cluster: refusing}}\n\
        - {name: direct, match: {path: /direct}, direct_response: {status: 403, body: {inline_string: not you}}}\n\
        - {name: rest, match: {prefix: /b}, metadata: {filter_metadata: {m: {k: route, n: 1.5, l: [a, {b: true}]}}}, route: {cluster: b1, prefix_rewrite: /rewritten}}\n\
        logs:\n"
        .to_owned();
    for operator in OPERATORS.iter().filter(|name| !OWN.iter().any(|own| name.contains(own))) {
        let config = |format: String| {
            format!(
                "- {{name: x, typed_config: {{\"@type\": \"${{T}}.access_loggers.file.v3.FileAccessLog\", path: \"${{dir}}/access.log\", log_format: {format}}}}}"
            )
        };
        let text_format =
            format!("{{text_format_source: {{inline_string: \"{operator} [%{operator}%]\\n\"}}}}");
        writeln!(text, "{}", config(text_format)).unwrap();
        let json_format = format!(
            "{{json_format: {{name: '{operator}', value: '%{operator}%', text: 'a%{operator}%b'}}}}"
        );
        writeln!(text, "{}", config(json_format)).unwrap();
    }
    text += "requests:\n\
        - {get: '/b/x?a=1&b=2', headers: {x-in: incoming}, answers: [{headers: {x-out: outgoing}, body: hello}]}\n\
        - {post: /b, body: hello, headers: {content-type: application/grpc}, answers: [{headers: {content-type: application/grpc, grpc-status: '5'}}]}\n\
        - {get: /refusing}\n\
        - {get: /direct}\n\
        - {get: /nowhere}\n\
        - {get: /b, protocol: h2, headers: {x-in: 'quo\"te'}, answers: [{status: 503, body: bad}]}\n\
        - {get: /b, answers: [{reset: true}]}\n";
    text
}

/// Cut at every length, missing and present.
pub(super) fn lengths() -> String {
    let mut text = "about: operators cut what is long\nlogs:\n".to_owned();
    for length in 0..8 {
        for operator in [
            "REQ(X-IN)",
            "REQ(:PATH)",
            "PATH(NQ)",
            "RESP(NONE)",
            "QUERY_PARAM(a)",
            "REQ(NONE?X-IN)",
        ] {
            writeln!(text, "- {{name: x, typed_config: {{\"@type\": \"${{T}}.access_loggers.file.v3.FileAccessLog\", path: \"${{dir}}/access.log\", log_format: {{text_format_source: {{inline_string: \"{length} %{operator}:{length}%|\\n\"}}}}}}}}").unwrap();
        }
    }
    text + "requests: [{get: '/path/of/it?a=query', headers: {x-in: abcdefg}}, {get: /}]\n"
}
