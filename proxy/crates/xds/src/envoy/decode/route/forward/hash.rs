//! What of a request is hashed.
use super::super::super::{
    Got, Path, Wrong,
    basic::{duration, each, must},
    header::field,
    text::substitution,
};
use culvert_model::http::route::{Cookie, CookieAttribute, HashOn, HashPolicy};
use culvert_proto::api::envoy::config::route::v3::route_action::{
    HashPolicy as HashPb, hash_policy::PolicySpecifier,
};

pub(in super::super::super) fn decode(
    values: &[HashPb],
    path: &Path<'_>,
) -> Got<Box<[HashPolicy]>> {
    let all: Vec<_> = each(values, path, |value, path| {
        let on = match must(&value.policy_specifier, path)? {
            PolicySpecifier::Header(header) => {
                let path = path.field("header");
                HashOn::Header {
                    name: field(&header.header_name, &path.field("header_name"))?,
                    rewrite: match &header.regex_rewrite {
                        Some(of) => Some(substitution(of, &path.field("regex_rewrite"))?),
                        None => None,
                    },
                }
            }
            PolicySpecifier::Cookie(cookie) => {
                let path = path.field("cookie");
                let attributes = cookie.attributes.iter().map(|attribute| CookieAttribute {
                    name: attribute.name.as_str().into(),
                    value: attribute.value.as_str().into(),
                });
                HashOn::Cookie(Cookie {
                    name: cookie.name.as_str().into(),
                    ttl: duration(&cookie.ttl, &path.field("ttl"))?,
                    path: cookie.path.as_str().into(),
                    attributes: attributes.collect(),
                })
            }
            PolicySpecifier::ConnectionProperties(of) if of.source_ip => HashOn::SourceIp,
            // It names nothing that could be hashed.
            PolicySpecifier::ConnectionProperties(_) => return Ok(None),
            PolicySpecifier::QueryParameter(of) => HashOn::Query(of.name.as_str().into()),
            PolicySpecifier::FilterState(of) => HashOn::FilterState(of.key.as_str().into()),
        };
        Ok::<_, Wrong>(Some(HashPolicy { on, terminal: value.terminal }))
    })?;
    Ok(all.into_iter().flatten().collect())
}
