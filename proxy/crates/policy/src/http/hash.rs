//! What a request hashes to, for rings and tables: XXH64 of what its route names.
use std::net::IpAddr;

use culvert_model::http::{
    field::Field,
    route::{Cookie, HashOn, HashPolicy},
};
use xxhash_rust::xxh64::xxh64;

use super::facts::{Connection, Fields, FilterState, Head};

/// A request's hash, and the cookie that it gets if it came without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashed {
    pub hash: Option<u64>,
    /// Values of `set-cookie`.
    pub cookies: Vec<String>,
}

/// XXH64, without a seed.
#[must_use]
pub fn xx(bytes: &[u8]) -> u64 {
    xxh64(bytes, 0)
}

/// XXH64, with a seed.
#[must_use]
pub fn xx_seeded(bytes: &[u8], seed: u64) -> u64 {
    xxh64(bytes, seed)
}

/// Hashes a request by its route's policies; without any that finds something, there is none.
#[must_use]
pub fn of(
    policies: &[HashPolicy],
    head: &Head<'_>,
    connection: &Connection,
    state: &FilterState,
) -> Hashed {
    let mut found = Hashed::default();
    for policy in policies {
        let new = match &policy.on {
            HashOn::Header { name, rewrite } => {
                let rewrite = |value: &[u8]| match rewrite {
                    Some(rewrite) => rewrite.apply(value).into_owned(),
                    None => value.to_vec(),
                };
                header(name, head, rewrite)
            }
            HashOn::Cookie(cookie) => {
                Some(by_cookie(cookie, head, connection, &mut found.cookies)).flatten()
            }
            HashOn::SourceIp => connection.remote.map(|client| of_address(client.ip())),
            HashOn::Query(name) => {
                super::query::parameter(head.path, name).map(|v| xx(v.as_bytes()))
            }
            HashOn::FilterState(key) => state.0.get(key).map(|value| xx(value.as_bytes())),
        };
        // Turned by a bit, so that two equal parts do not undo each other.
        if let Some(new) = new {
            found.hash = Some(found.hash.map_or(0, |hash| hash.rotate_left(1)) ^ new);
        }
        if policy.terminal && found.hash.is_some() {
            break;
        }
    }
    found
}

/// An address's hash, by its text.
#[must_use]
pub fn of_address(address: IpAddr) -> u64 {
    xx(address.to_string().as_bytes())
}

/// All values, in their own order whatever the request's; each is the seed of the next.
fn header(name: &Field, head: &Head<'_>, rewrite: impl Fn(&[u8]) -> Vec<u8>) -> Option<u64> {
    let mut values: Vec<Vec<u8>> = if let Field::Header(name) = name {
        head.headers.get_all(name).iter().map(|value| rewrite(value.as_bytes())).collect()
    } else {
        head.first(name).map(rewrite).into_iter().collect()
    };
    if values.is_empty() {
        return None;
    }
    values.sort();
    Some(values.iter().fold(0, |seed, value| xx_seeded(value, seed)))
}

fn by_cookie(
    cookie: &Cookie,
    head: &Head<'_>,
    connection: &Connection,
    made: &mut Vec<String>,
) -> Option<u64> {
    if let Some(value) = value_of(&cookie.name, head) {
        return Some(xx(value.as_bytes()));
    }
    cookie.ttl?;
    let value = new_value(connection);
    made.push(written(cookie, &value));
    Some(xx(value.as_bytes()))
}

/// The value of a cookie, its quotes taken off; an empty one is none.
fn value_of<'a>(name: &str, head: &Head<'a>) -> Option<&'a str> {
    let headers = head.headers.get_all(http::header::COOKIE).iter();
    let mut pairs = headers.filter_map(|v| v.to_str().ok()).flat_map(|all| all.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        (key == name && !value.is_empty()).then_some(value)
    })
}

/// The same for all requests of one connection.
fn new_value(connection: &Connection) -> String {
    let text = |address: Option<std::net::SocketAddr>| {
        address.map_or_else(String::new, |address| address.to_string())
    };
    let both = format!("{}{}", text(connection.direct_remote), text(connection.direct_local));
    format!("{:x}", xx(both.as_bytes()))
}

fn written(cookie: &Cookie, value: &str) -> String {
    let mut text = format!("{}=\"{value}\"", cookie.name);
    if let Some(ttl) = cookie.ttl.filter(|ttl| !ttl.is_zero()) {
        text.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if !cookie.path.is_empty() {
        text.push_str(&format!("; Path={}", cookie.path));
    }
    for attribute in &cookie.attributes {
        text.push_str("; ");
        text.push_str(&attribute.name);
        if !attribute.value.is_empty() {
            text.push('=');
            text.push_str(&attribute.value);
        }
    }
    text.push_str("; HttpOnly");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use culvert_model::http::{
        matcher::Substitution,
        route::{Cookie, HashOn, HashPolicy},
    };
    use http::{HeaderMap, Method};

    use super::{Hashed, of, xx, xx_seeded};
    use crate::http::facts::{Connection, FilterState, Head};

    fn hashed(policies: &[(HashOn, bool)], pairs: &[(&'static str, &str)]) -> Hashed {
        let policies: Vec<_> = policies
            .iter()
            .map(|(on, terminal)| HashPolicy { on: on.clone(), terminal: *terminal })
            .collect();
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let head = Head {
            method: &Method::GET,
            path: "/?q=v",
            authority: "h",
            scheme: "http",
            protocol: None,
            headers: &headers,
        };
        let connection =
            Connection { remote: Some("10.0.0.1:9".parse().unwrap()), ..Connection::default() };
        of(&policies, &head, &connection, &FilterState::default())
    }

    fn header(name: &str) -> HashOn {
        HashOn::Header { name: name.parse().unwrap(), rewrite: None }
    }

    /// Vectors of the hash's authors.
    #[test]
    fn the_hash_is_xxh64() {
        assert_eq!(xx(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xx(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xx(b"abc"), 0x44bc_2cf5_ad77_0999);
    }

    #[test]
    fn each_source_is_hashed_by_its_text() {
        let single =
            |on: HashOn| hashed(&[(on, false)], &[("a", "x"), ("b", "2"), ("b", "1")]).hash;
        assert_eq!(single(header("a")), Some(xx(b"x")));
        assert_eq!(single(header("b")), Some(xx_seeded(b"2", xx(b"1"))));
        assert_eq!(single(header("c")), None);
        assert_eq!(single(header(":path")), Some(xx(b"/?q=v")));
        assert_eq!(single(HashOn::SourceIp), Some(xx(b"10.0.0.1")));
        assert_eq!(single(HashOn::Query("q".into())), Some(xx(b"v")));
        let rewrite = Some(Substitution::new("x", "y").unwrap());
        let rewritten = HashOn::Header { name: "a".parse().unwrap(), rewrite };
        assert_eq!(single(rewritten), Some(xx(b"y")));
    }

    #[test]
    fn policies_are_combined_until_a_terminal_one() {
        let headers = [("a", "x"), ("b", "y")];
        let both = hashed(&[(header("a"), false), (header("b"), false)], &headers).hash;
        assert_eq!(both, Some(xx(b"x").rotate_left(1) ^ xx(b"y")));
        let first = hashed(&[(header("a"), true), (header("b"), false)], &headers).hash;
        assert_eq!(first, Some(xx(b"x")));
        let second = hashed(&[(header("c"), true), (header("b"), false)], &headers).hash;
        assert_eq!(second, Some(xx(b"y")));
        let twice = hashed(&[(header("a"), false), (header("a"), false)], &headers).hash;
        assert_ne!(twice, Some(0));
    }

    #[test]
    fn a_cookie_is_made_where_there_is_none() {
        let cookie = |ttl| {
            HashOn::Cookie(Cookie {
                name: "c".into(),
                ttl,
                path: "/p".into(),
                attributes: Box::default(),
            })
        };
        let hour = cookie(Some(Duration::from_secs(3600)));
        let there = hashed(&[(hour.clone(), false)], &[("cookie", "a=1; c=\"v\"")]);
        assert_eq!(there, Hashed { hash: Some(xx(b"v")), cookies: vec![] });
        assert_eq!(hashed(&[(cookie(None), false)], &[]), Hashed::default());
        let made = hashed(&[(hour, false)], &[]);
        let [text] = &made.cookies[..] else { panic!("{made:?}") };
        let value = text.strip_prefix("c=\"").unwrap().split('"').next().unwrap();
        assert_eq!(made.hash, Some(xx(value.as_bytes())));
        assert!(text.ends_with("; Max-Age=3600; Path=/p; HttpOnly"), "{text}");
    }
}
