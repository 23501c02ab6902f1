//! Heads, as `h2` has them and as we do.
use crate::{
    message::{RequestHead, ResponseHead, Scheme},
    outcome::{Refusal, Reset},
};
use h2::{Reason, ext::Protocol};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};

/// A request that came in.
pub(super) fn request(parts: Parts) -> Result<RequestHead, Refusal> {
    let Parts { method, uri, version: _, mut headers, mut extensions, .. } = parts;
    let http::uri::Parts { scheme, authority, path_and_query, .. } = uri.into_parts();
    let upgrade = extensions
        .remove::<Protocol>()
        .and_then(|protocol| HeaderValue::from_str(protocol.as_str()).ok());
    let host = headers.remove(header::HOST);
    let authority = match (authority, host) {
        (Some(authority), _) => Some(authority),
        (None, Some(host)) => Some(
            Authority::from_maybe_shared(bytes::Bytes::copy_from_slice(host.as_bytes()))
                .map_err(|_why| Refusal::bad("http2.invalid.header.field"))?,
        ),
        (None, None) => None,
    };
    join_cookies(&mut headers);
    let plain_connect = method == Method::CONNECT && upgrade.is_none();
    Ok(RequestHead {
        scheme: match scheme {
            Some(scheme) if scheme == http::uri::Scheme::HTTPS => Scheme::Https,
            Some(_) | None => Scheme::Http,
        },
        // What other versions ask for by a GET.
        method: if upgrade.is_some() { Method::GET } else { method },
        authority,
        path: if plain_connect { None } else { path_and_query },
        headers,
        version: Version::HTTP_2,
        upgrade,
        spelling: None,
    })
}

/// A request that goes out.
pub(super) fn to_request(head: RequestHead) -> Result<Request<()>, Reset> {
    let RequestHead { method, scheme, authority, path, headers, upgrade, .. } = head;
    let tunnel = method == Method::CONNECT && upgrade.is_none();
    let mut uri = http::uri::Parts::default();
    uri.authority = authority;
    if !tunnel {
        uri.scheme = Some(match scheme {
            Scheme::Http => http::uri::Scheme::HTTP,
            Scheme::Https => http::uri::Scheme::HTTPS,
        });
        uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_why| Reset::LocalReset)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    *request.method_mut() = method;
    if let Some(upgrade) = upgrade {
        let protocol = upgrade.to_str().map_err(|_why| Reset::LocalReset)?;
        request.extensions_mut().insert(Protocol::from(protocol));
        *request.method_mut() = Method::CONNECT;
    }
    strip(request.headers_mut());
    Ok(request)
}

/// A response that came in, to a request that asked for `upgrade`.
pub(super) fn response(
    parts: http::response::Parts,
    upgrade: Option<&HeaderValue>,
) -> ResponseHead {
    let http::response::Parts { status, headers, .. } = parts;
    let agreed = upgrade.filter(|_| status.is_success());
    ResponseHead {
        status: if agreed.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { status },
        headers,
        version: Version::HTTP_2,
        upgrade: agreed.cloned(),
        spelling: None,
    }
}

/// A response that goes out.
pub(super) fn to_response(head: ResponseHead) -> Response<()> {
    let ResponseHead { status, headers, .. } = head;
    let mut response = Response::new(());
    let switched = status == StatusCode::SWITCHING_PROTOCOLS;
    *response.status_mut() = if switched { StatusCode::OK } else { status };
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = headers;
    strip(response.headers_mut());
    response
}

/// Why a stream ended, in words that hold for all versions.
pub(super) fn reset(error: &h2::Error) -> Reset {
    if error.is_reset() {
        return match error.reason() {
            Some(Reason::REFUSED_STREAM) => Reset::RefusedStream,
            _ if error.is_remote() => Reset::RemoteReset,
            Some(Reason::PROTOCOL_ERROR) => Reset::ProtocolError,
            _ => Reset::LocalReset,
        };
    }
    if error.is_io() || error.is_go_away() && error.is_remote() {
        return Reset::ConnectionTermination;
    }
    if error.reason().is_none() { Reset::LocalReset } else { Reset::ProtocolError }
}

/// What belongs to a connection of HTTP/1 and may have been put there by somebody.
fn strip(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}

/// One header again of what HTTP/2 may send in several (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}
