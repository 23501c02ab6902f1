//! `x-forwarded-client-cert`.
use culvert_model::http::manager::{ClientCertificate, ForwardCertificate};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::facts::{Certificate, Tls};

const HEADER: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Leaves in the headers what the upstream is to know of the client's certificate; `tls` is the
/// connection's, if the client proved who it is.
pub fn forwarded_certificate(
    options: &ClientCertificate,
    tls: Option<&Tls>,
    headers: &mut HeaderMap,
) {
    let peer = tls.and_then(|tls| Some((tls, tls.peer.as_deref()?)));
    match (options.forward, peer) {
        (ForwardCertificate::AlwaysForwardOnly, _) | (ForwardCertificate::ForwardOnly, Some(_)) => {
        }
        (ForwardCertificate::Sanitize, _)
        | (
            ForwardCertificate::ForwardOnly
            | ForwardCertificate::AppendForward
            | ForwardCertificate::SanitizeSet,
            None,
        ) => {
            headers.remove(HEADER);
        }
        (ForwardCertificate::AppendForward, Some((tls, peer))) => {
            let before: Vec<_> =
                headers.get_all(HEADER).iter().filter_map(|v| v.to_str().ok()).collect();
            let all = before.into_iter().map(str::to_owned).chain([element(options, tls, peer)]);
            set(headers, all.collect::<Vec<_>>().join(","));
        }
        (ForwardCertificate::SanitizeSet, Some((tls, peer))) => {
            set(headers, element(options, tls, peer));
        }
    }
}

fn set(headers: &mut HeaderMap, value: String) {
    if let Ok(value) = HeaderValue::try_from(value)
        && !value.is_empty()
    {
        headers.insert(HEADER, value);
    } else {
        headers.remove(HEADER);
    }
}

/// `By=…;Hash=…;Subject="…";URI=…`.
fn element(options: &ClientCertificate, tls: &Tls, peer: &Certificate) -> String {
    let mut parts = Vec::new();
    for own in tls.local.iter().flat_map(|local| local.uris.iter()) {
        parts.push(format!("By={own}"));
    }
    if !peer.sha256.is_empty() {
        parts.push(format!("Hash={}", peer.sha256));
    }
    if options.cert && !peer.pem.is_empty() {
        parts.push(format!("Cert=\"{}\"", peer.pem));
    }
    if options.chain && !peer.pem_chain.is_empty() {
        parts.push(format!("Chain=\"{}\"", peer.pem_chain));
    }
    if options.subject {
        parts.push(format!("Subject=\"{}\"", peer.subject));
    }
    if options.issuer {
        parts.push(format!("Issuer=\"{}\"", peer.issuer));
    }
    if options.uri {
        let uris: Vec<_> = peer.uris.iter().map(|uri| format!("URI={uri}")).collect();
        parts.push(if uris.is_empty() { "URI=".into() } else { uris.join(";") });
    }
    if options.dns {
        parts.extend(peer.names.iter().map(|name| format!("DNS={name}")));
    }
    parts.join(";")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use culvert_model::http::manager::{ClientCertificate, ForwardCertificate};
    use http::HeaderMap;

    use super::{HEADER, forwarded_certificate};
    use crate::http::facts::{Certificate, Tls};

    fn tls() -> Tls {
        let certificate = |uri: &str, name: &str| {
            Some(Arc::new(Certificate {
                uris: [uri.into()].into(),
                names: [name.into()].into(),
                sha256: "ab".into(),
                subject: "CN=a,O=\"b\"".into(),
                ..Certificate::default()
            }))
        };
        Tls {
            local: certificate("spiffe://l", "l"),
            peer: certificate("spiffe://p", "p.example"),
            ..Tls::default()
        }
    }

    fn after(forward: ForwardCertificate, tls: Option<&Tls>) -> Option<String> {
        let options = ClientCertificate {
            forward,
            subject: true,
            uri: true,
            dns: true,
            ..ClientCertificate::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, "before".parse().unwrap());
        forwarded_certificate(&options, tls, &mut headers);
        headers.get(HEADER).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn each_way_leaves_its_own() {
        let own = "By=spiffe://l;Hash=ab;Subject=\"CN=a,O=\"b\"\";URI=spiffe://p;DNS=p.example";
        let (tls, both) = (tls(), format!("before,{own}"));
        for (way, with, without) in [
            (ForwardCertificate::Sanitize, None, None),
            (ForwardCertificate::ForwardOnly, Some("before"), None),
            (ForwardCertificate::AppendForward, Some(&*both), None),
            (ForwardCertificate::SanitizeSet, Some(own), None),
            (ForwardCertificate::AlwaysForwardOnly, Some("before"), Some("before")),
        ] {
            assert_eq!(after(way, Some(&tls)).as_deref(), with, "{way:?}");
            assert_eq!(after(way, None).as_deref(), without, "{way:?}");
        }
    }
}
