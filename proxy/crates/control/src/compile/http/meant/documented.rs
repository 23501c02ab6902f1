//! What Istio documents of `AuthorizationPolicy`, as plainly as it can be said: what the compiled ones
//! are compared with.
use super::Ask;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// A field with its values.
pub(super) type Field = (&'static str, &'static [&'static str]);

#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    pub(super) from: Vec<Vec<Field>>,
    pub(super) to: Vec<Vec<Field>>,
    /// Key; values, or with `not` in front those that it must not have.
    pub(super) when: Vec<(&'static str, Field)>,
}

#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) action: &'static str,
    pub(super) dry_run: bool,
    pub(super) selects: bool,
    pub(super) rules: Vec<Rule>,
}

/// What a value of an attribute is compared with.
struct Judge<'a> {
    ask: &'a Ask<'a>,
    /// Trust domain, namespace, account.
    peer: Option<[&'a str; 3]>,
    /// What is not known holds.
    open: bool,
}

impl<'a> Judge<'a> {
    fn of(ask: &'a Ask<'a>, open: bool) -> Self {
        let peer = ask.who.map(|who| {
            let all: Vec<&str> = who.trim_start_matches("spiffe://").split('/').collect();
            let [domain, _, namespace, _, account] = all[..] else { panic!("{who}") };
            [domain, namespace, account]
        });
        Self { ask, peer, open }
    }

    fn source(&self) -> IpAddr {
        self.ask.from.parse::<SocketAddr>().unwrap().ip()
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        let pairs = self.ask.headers.iter().filter_map(|one| one.split_once(": "));
        pairs.filter(|(own, _)| *own == name).map(|(_, value)| value).next()
    }

    /// Whether any of the values is that of the attribute.
    fn any(&self, attribute: &str, values: &[&str]) -> bool {
        let text = |own: Option<String>| {
            own.is_some_and(|own| values.iter().any(|wanted| like(wanted, &own)))
        };
        let ip = |own: IpAddr| {
            values.iter().any(|block| match block.parse::<IpNet>() {
                Ok(net) => net.contains(&own),
                Err(_) => block.parse::<IpAddr>().unwrap() == own,
            })
        };
        let to: SocketAddr = self.ask.to.parse().unwrap();
        match attribute {
            "principals" | "source.principal" => {
                text(self.peer.map(|[td, ns, sa]| format!("{td}/ns/{ns}/sa/{sa}")))
            }
            "namespaces" | "source.namespace" => text(self.peer.map(|[_, ns, _]| ns.to_owned())),
            "trustDomains" | "source.trustDomain" => text(self.peer.map(|[td, ..]| td.to_owned())),
            "serviceAccounts" | "source.serviceAccount" => self.peer.is_some_and(|[_, ns, sa]| {
                let whole = |one: &&str| match one.contains('/') {
                    true => (*one).to_owned(),
                    false => format!("shop/{one}"),
                };
                values.iter().any(|one| whole(one) == format!("{ns}/{sa}"))
            }),
            "ipBlocks" | "source.ip" => ip(self.source()),
            "remoteIpBlocks" | "remote.ip" => {
                let told = self.header("x-forwarded-for").map(|ip| ip.parse().unwrap());
                ip(told.unwrap_or(self.source()))
            }
            "hosts" => text(Some(self.ask.host.to_lowercase())),
            "methods" => text(Some(self.ask.method.to_owned())),
            "paths" => text(self.ask.path.split('?').next().map(str::to_owned)),
            "ports" | "destination.port" => text(Some(to.port().to_string())),
            "destination.ip" => ip(to.ip()),
            "connection.sni" => text(self.ask.sni.map(str::to_owned)),
            "request.headers[x-user]" => text(self.header("x-user").map(str::to_owned)),
            other => panic!("{other}"),
        }
    }

    fn holds(&self, attribute: &str, values: &[&str], not: bool) -> bool {
        if attribute.starts_with("request.auth") || attribute == "requestPrincipals" {
            return self.open;
        }
        self.any(attribute, values) != not
    }

    fn field(&self, (name, values): &Field) -> bool {
        match name.strip_prefix("not") {
            None => self.holds(name, values, false),
            Some(rest) => {
                let (first, tail) = rest.split_at(1);
                self.holds(&format!("{}{tail}", first.to_lowercase()), values, true)
            }
        }
    }

    fn rule(&self, rule: &Rule) -> bool {
        let any = |all: &Vec<Vec<Field>>| {
            all.is_empty() || all.iter().any(|one| one.iter().all(|field| self.field(field)))
        };
        let when =
            |(key, (kind, values)): &(&str, Field)| self.holds(key, values, *kind == "notValues");
        any(&rule.from) && any(&rule.to) && rule.when.iter().all(when)
    }
}

/// Exact, or with a `*` in front, behind, or alone.
fn like(wanted: &str, own: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (Some(""), _) => !own.is_empty(),
        (Some(end), _) => own.ends_with(end),
        (None, Some(start)) => own.starts_with(start),
        (None, None) => own == wanted,
    }
}

/// What Istio documents: DENY first, then ALLOW if there is any; what only notes does not count.
pub(super) fn documented(all: &[Written], ask: &Ask<'_>) -> bool {
    let of = |action: &str| {
        let all = all.iter().filter(|one| one.selects && !one.dry_run && one.action == action);
        all.cloned().collect::<Vec<_>>()
    };
    let matches = |one: &Written| {
        let judge = Judge::of(ask, one.action == "DENY");
        one.rules.iter().any(|rule| judge.rule(rule))
    };
    let allows = of("ALLOW");
    !of("DENY").iter().any(matches) && (allows.is_empty() || allows.iter().any(matches))
}
