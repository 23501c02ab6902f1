//! `proxy_protocol`: a proxy before us tells who really connects.
use super::{
    super::proxied::{self, Header, Version},
    Stopped, more,
};
use crate::{
    connection::Connection,
    listener::ahead::Ahead,
    stats::{Counter, Late, Scope, Stats},
};
use culvert_model::http::{
    listener::{ProxyProtocol, TlvRule},
    value::Value,
};

/// Where TLVs go, unless a rule says it.
const NAMESPACE: &str = "envoy.filters.listener.proxy_protocol";

#[derive(Debug)]
pub(super) struct Proxied {
    config: ProxyProtocol,
    first: Counts,
    second: Counts,
    allowed_without: Late<Counter>,
    refused_without: Late<Counter>,
    errors: Late<Counter>,
}

/// Of a version.
#[derive(Debug)]
struct Counts {
    found: Late<Counter>,
    refused: Late<Counter>,
    bad: Late<Counter>,
}

impl Proxied {
    pub(super) fn new(config: &ProxyProtocol, stats: &Stats) -> Self {
        let root = stats.root();
        let own = root.scope("proxy_proto");
        let own = if config.stat_prefix.is_empty() { own } else { own.scope(&config.stat_prefix) };
        let of = |version: &str| {
            let scope: Scope = own.scope("versions").scope(version);
            Counts {
                found: scope.late("found"),
                refused: scope.late("disallowed"),
                bad: scope.late("error"),
            }
        };
        Self {
            config: config.clone(),
            first: of("v1"),
            second: of("v2"),
            allowed_without: own.late("not_found_allowed"),
            refused_without: own.late("not_found_disallowed"),
            errors: root.late("downstream_cx_proxy_proto_error"),
        }
    }

    pub(super) async fn look(
        &self,
        connection: &mut Connection,
        ahead: &mut Ahead,
    ) -> Result<(), Stopped> {
        let mut read = proxied::read(ahead.bytes());
        while read == proxied::Proxied::Undecided {
            more(ahead).await?;
            read = proxied::read(ahead.bytes());
        }
        match read {
            proxied::Proxied::Without | proxied::Proxied::Undecided => {
                if self.config.allow_without {
                    self.allowed_without.inc();
                    return Ok(());
                }
                self.refused_without.inc();
                self.errors.inc();
                Err(Stopped::Refused("there is no PROXY header"))
            }
            proxied::Proxied::Bad(version, why) => {
                self.counts(version).bad.inc();
                self.errors.inc();
                Err(Stopped::Refused(why))
            }
            proxied::Proxied::Header(header) => self.take(&header, connection, ahead),
        }
    }

    fn take(
        &self,
        header: &Header,
        connection: &mut Connection,
        ahead: &mut Ahead,
    ) -> Result<(), Stopped> {
        let counts = self.counts(header.version);
        let refused = match header.version {
            Version::One => self.config.refuse_v1,
            Version::Two => self.config.refuse_v2,
        };
        if refused {
            counts.refused.inc();
            self.errors.inc();
            return Err(Stopped::Refused("this version of the PROXY protocol is not allowed"));
        }
        counts.found.inc();
        if let Some(ends) = header.ends {
            let facts = &mut connection.facts;
            facts.remote = Some(ends.source);
            facts.source = Some(ends.source);
            facts.local = Some(ends.destination);
        }
        let extras = ahead.bytes().get(header.extras.clone()).unwrap_or_default();
        keep(&self.config.rules, extras, connection);
        Ok(ahead.skip(header.length)?)
    }

    const fn counts(&self, version: Version) -> &Counts {
        match version {
            Version::One => &self.first,
            Version::Two => &self.second,
        }
    }
}

/// Notes the TLVs that rules want.
fn keep(rules: &[TlvRule], extras: &[u8], connection: &mut Connection) {
    for (kind, value) in proxied::extras(extras) {
        let Some(rule) = rules.iter().find(|rule| rule.kind == kind) else { continue };
        let namespace: &str = if rule.namespace.is_empty() { NAMESPACE } else { &rule.namespace };
        let text = String::from_utf8_lossy(value).replace(char::REPLACEMENT_CHARACTER, "!");
        connection.note(namespace, &rule.key, Value::String(text.into()));
    }
}
