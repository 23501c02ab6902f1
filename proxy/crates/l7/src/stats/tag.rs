//! The parts of a name that vary: Prometheus has them as labels.
use std::{borrow::Cow, sync::Arc};

/// One such part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// As Envoy calls it: `envoy.cluster_name`.
    pub name: &'static str,
    pub value: Arc<str>,
}

pub const CLUSTER: &str = "envoy.cluster_name";
pub const LISTENER: &str = "envoy.listener_address";
/// `stat_prefix` of an HTTP connection manager.
pub const HTTP: &str = "envoy.http_conn_manager_prefix";
/// `stat_prefix` of a TCP proxy.
pub const TCP: &str = "envoy.tcp_prefix";
pub const VIRTUAL_HOST: &str = "envoy.virtual_host";
pub const VIRTUAL_CLUSTER: &str = "envoy.virtual_cluster";
pub const ROUTE: &str = "envoy.route";
pub const RESPONSE_CODE: &str = "envoy.response_code";
pub const RESPONSE_CODE_CLASS: &str = "envoy.response_code_class";
pub const LOCAL_HTTP_RATELIMIT: &str = "envoy.local_http_ratelimit_prefix";
pub const LOCAL_LISTENER_RATELIMIT: &str = "envoy.local_listener_ratelimit_prefix";
pub const LOCAL_NETWORK_RATELIMIT: &str = "envoy.local_ratelimit_prefix";
pub const CONNECTION_LIMIT: &str = "envoy.connection_limit_prefix";
pub const RBAC: &str = "envoy.rbac_prefix";
pub const RBAC_HTTP: &str = "envoy.rbac_http_prefix";
pub const RBAC_POLICY: &str = "envoy.rbac_policy_name";
pub const RDS_ROUTE_CONFIG: &str = "envoy.rds_route_config";
pub const SECRET: &str = "envoy.xds_resource_name";
pub const WORKER: &str = "envoy.worker_id";
pub const GRPC_SERVICE: &str = "envoy.grpc_bridge_service";
pub const GRPC_METHOD: &str = "envoy.grpc_bridge_method";
pub const SSL_CIPHER: &str = "envoy.ssl_cipher";
pub const SSL_VERSION: &str = "envoy.ssl_version";
pub const SSL_CURVE: &str = "envoy.ssl_curve";

impl Tag {
    #[must_use]
    pub fn new(name: &'static str, value: &str) -> Self {
        Self { name, value: Arc::from(value) }
    }
}

/// What somebody named, as part of a name: no colons, no dots at its ends.
pub(super) fn sanitize(part: &str) -> Cow<'_, str> {
    let part = part.trim_matches('.');
    if !part.contains([':', '\0']) {
        return Cow::Borrowed(part);
    }
    Cow::Owned(part.replace("://", "_").replace(":/", "_").replace([':', '\0'], "_"))
}

/// The end of a name without what varies in it, and that.
pub(super) fn of_leaf(leaf: &str) -> (Cow<'_, str>, Option<(&'static str, &str)>) {
    const FIXED: [(&str, &str); 3] =
        [("ciphers.", SSL_CIPHER), ("versions.", SSL_VERSION), ("curves.", SSL_CURVE)];
    for (part, tag) in FIXED {
        if let Some(value) = leaf.strip_prefix(part) {
            return (Cow::Borrowed(part.trim_end_matches('.')), Some((tag, value)));
        }
    }
    let Some((before, code)) = leaf.rsplit_once("_rq_") else { return (Cow::Borrowed(leaf), None) };
    let digits = code.bytes().take_while(u8::is_ascii_digit).count();
    match (digits, code.split_at_checked(1)) {
        (3, _) if code.len() == 3 => {
            (Cow::Owned(format!("{before}_rq")), Some((RESPONSE_CODE, code)))
        }
        (1, Some((class, "xx"))) => {
            (Cow::Owned(format!("{before}_rq_xx")), Some((RESPONSE_CODE_CLASS, class)))
        }
        _ => (Cow::Borrowed(leaf), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_become_parts_of_names() {
        for (given, wanted) in [
            ("plain", "plain"),
            ("127.0.0.1:80", "127.0.0.1_80"),
            ("http://a:1", "http_a_1"),
            (".rules.", "rules"),
            ("outbound|80||svc.ns", "outbound|80||svc.ns"),
        ] {
            assert_eq!(sanitize(given), wanted);
        }
    }

    #[test]
    fn codes_and_their_classes_are_labels() {
        for (leaf, bare, tag) in [
            ("upstream_rq_200", "upstream_rq", Some((RESPONSE_CODE, "200"))),
            ("downstream_rq_2xx", "downstream_rq_xx", Some((RESPONSE_CODE_CLASS, "2"))),
            ("upstream_rq_total", "upstream_rq_total", None),
            ("rq_1", "rq_1", None),
            ("upstream_rq_20x", "upstream_rq_20x", None),
            (
                "ciphers.TLS_AES_128_GCM_SHA256",
                "ciphers",
                Some((SSL_CIPHER, "TLS_AES_128_GCM_SHA256")),
            ),
        ] {
            assert_eq!(of_leaf(leaf), (Cow::Borrowed(bare), tag), "{leaf}");
        }
    }
}
