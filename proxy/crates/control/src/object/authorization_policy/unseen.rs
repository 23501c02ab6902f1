//! Attributes that only L7 sees.
use super::UnseenAttribute;

/// What an attribute's name means; `None`: there is no such attribute.
pub(super) fn attribute(key: &str) -> Option<UnseenAttribute> {
    Some(match key {
        "request.auth.principal" => UnseenAttribute::RequestPrincipal,
        "request.auth.audiences" => UnseenAttribute::Audiences,
        "request.auth.presenter" => UnseenAttribute::Presenter,
        "remote.ip" => UnseenAttribute::RemoteIp,
        "connection.sni" => UnseenAttribute::Sni,
        "source.trustDomain" => UnseenAttribute::TrustDomain,
        other => {
            if let Some(rest) = other.strip_prefix("request.headers") {
                let names = in_brackets(rest)?;
                let [name] = <[String; 1]>::try_from(names).ok()?;
                UnseenAttribute::Header(name.to_ascii_lowercase())
            } else if let Some(rest) = other.strip_prefix("request.auth.claims") {
                UnseenAttribute::Claim(in_brackets(rest)?)
            } else {
                let rest = other.strip_prefix("experimental.envoy.filters.")?;
                UnseenAttribute::Filter(rest.to_owned())
            }
        }
    })
}

/// `[a][b]`
fn in_brackets(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let names: Vec<String> = inner.split("][").map(str::to_owned).collect();
    names.iter().all(|name| !name.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attributes_are_understood_whole() {
        let claim = |names: &[&str]| {
            UnseenAttribute::Claim(names.iter().map(|&name| name.to_owned()).collect())
        };
        for (key, expect) in [
            ("request.headers[X-Token]", Some(UnseenAttribute::Header("x-token".into()))),
            ("request.auth.claims[realm][roles]", Some(claim(&["realm", "roles"]))),
            ("request.auth.claims[iss]", Some(claim(&["iss"]))),
            ("remote.ip", Some(UnseenAttribute::RemoteIp)),
            ("request.headers", None),
            ("request.headers[]", None),
            ("request.headers[a", None),
            ("request.headers[a][b]", None),
            ("request.header[a]", None),
            ("source.trustdomain", None),
        ] {
            assert_eq!(attribute(key), expect, "{key}");
        }
    }
}
