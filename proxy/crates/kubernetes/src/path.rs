//! Where objects are: paths and queries of the API.

/// As a part of a path, or a query's value: all but the unreserved characters as `%XX` (RFC 3986
/// §2.3).
#[must_use]
pub fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// All objects of a kind, `security.istio.io/v1` or `v1`, or those of a namespace.
pub(crate) fn all(api_version: &str, namespace: Option<&str>, plural: &str) -> String {
    // Only the core has no group.
    let root = if api_version.contains('/') { "apis" } else { "api" };
    match namespace {
        Some(namespace) => {
            format!("/{root}/{api_version}/namespaces/{}/{plural}", escape(namespace))
        }
        None => format!("/{root}/{api_version}/{plural}"),
    }
}

/// One of them.
pub(crate) fn one(all: &str, name: &str) -> String {
    format!("{all}/{}", escape(name))
}

/// A query's parameters, those that have a value, with the `?` before them.
pub(crate) fn query<'a>(
    parameters: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> String {
    let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.fold(String::new(), |mut query, (name, value)| {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.push_str(&escape(value));
        query
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let policies = all("security.istio.io/v1", Some("shop"), "authorizationpolicies");
        let expected = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies/web";
        assert_eq!(one(&policies, "web"), expected);
        assert_eq!(one(&all("v1", None, "nodes"), "a b/../c"), "/api/v1/nodes/a%20b%2F..%2Fc");
        let sets = all("apps/v1", Some("../x"), "daemonsets");
        assert_eq!(sets, "/apis/apps/v1/namespaces/..%2Fx/daemonsets");
    }

    #[test]
    fn a_query_holds_what_is_given() {
        let given = [("watch", Some("true")), ("limit", None), ("labelSelector", Some("a=b,c"))];
        assert_eq!(query(given), "?watch=true&labelSelector=a%3Db%2Cc");
        assert_eq!(query([("limit", None)]), "");
    }

    #[test]
    fn escapes_what_a_query_cannot_hold() {
        assert_eq!(escape("info,a::b=debug &+"), "info%2Ca%3A%3Ab%3Ddebug%20%26%2B");
    }
}
