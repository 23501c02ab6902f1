//! What one engine does with a request, as lines of text.
use super::{Asked, Does, Endpoint, Filtered, Looked, Outcome, Passage, Sent, Share, Side, Takes};
use crate::http::fault::Abort;
use culvert_model::http::{cluster::Discovery, origin, rbac::Action};
use std::{fmt, time::Duration};

/// So many that a person still reads them.
const SHOWN: usize = 8;

/// From the listener to the answer.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(listener) = &self.listener else {
            return writeln!(
                f,
                "no listener is for it: its connection is held a while, then reset"
            );
        };
        let Some(chain) = &self.chain else {
            return writeln!(f, "listener {}: none of its filter chains is for it", listener.name);
        };
        writeln!(f, "listener {}, filter chain {}", listener.name, chain.name)?;
        self.connection.iter().try_for_each(|filter| write!(f, "{filter}"))?;
        match &self.takes {
            Takes::Nobody => writeln!(f, "nobody takes its connections: they are closed"),
            Takes::Bytes => writeln!(f, "passes it on as bytes, unread"),
            Takes::Requests(passage) => write!(f, "{passage}"),
        }
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(table), Some(host)) = (&self.table, &self.host) {
            writeln!(f, "routes {}, virtual host {}", table.name, host.name)?;
        }
        self.routes.iter().try_for_each(|looked| write!(f, "{looked}"))?;
        self.filters.iter().try_for_each(|filter| write!(f, "{filter}"))?;
        write!(f, "{}", self.outcome)
    }
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, at, because } = self;
        let mark = if because.is_none() { '+' } else { '-' };
        write!(f, "  {mark} {}", called(&route.name, *at))?;
        if let Some(origin) = origin::of(&route.metadata) {
            write!(f, " ({})", origin.at)?;
        }
        match because {
            None => writeln!(f, ": matches"),
            Some(because) => writeln!(f, ": {because}"),
        }
    }
}

/// A route by its name, or by its place where it has none.
fn called(name: &str, at: usize) -> String {
    if name.is_empty() { format!("route {at}") } else { name.to_owned() }
}

impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.does {
            Does::Rules { action, dry_run, allowed, asked } => {
                let (kind, none) = match action {
                    Action::Allow => ("ALLOW", "no rule allows it"),
                    Action::Deny => ("DENY", "no rule denies it"),
                    Action::Log => ("AUDIT", "no rule is about it"),
                };
                let trial = if *dry_run { " (dry run)" } else { "" };
                let mark = if *allowed { '+' } else { '-' };
                match self.decided() {
                    Some(rule) => writeln!(f, "  {mark} {kind}{trial} by {rule}")?,
                    None => writeln!(f, "  {mark} {kind}{trial}: {none}")?,
                }
                let others = asked.iter().filter(|one| !one.held);
                others.take(SHOWN).try_for_each(|one| {
                    let lacks = match one.is_about {
                        true => "is not for who asks",
                        false => "is not for what is asked",
                    };
                    writeln!(f, "      {one} {lacks}")
                })
            }
            Does::Tree { dry_run, allowed, policy } => {
                let trial = if *dry_run { " (dry run)" } else { "" };
                let mark = if *allowed { '+' } else { '-' };
                let by = policy.as_deref().unwrap_or("no rule");
                writeln!(f, "  {mark} {}{trial} by {by}", self.name)
            }
            Does::Faults { delay, abort, certain } => {
                let of = if *certain { "all requests" } else { "some requests" };
                let waits = delay.map(|wait| format!("delays {of} by {wait:?}"));
                let ends = abort.map(|how| match how {
                    Abort::Status(status) => format!("answers {of} with {}", status.as_u16()),
                    Abort::Grpc(code) => format!("answers {of} with gRPC status {code}"),
                });
                let both: Vec<String> = waits.into_iter().chain(ends).collect();
                let mark = if abort.is_some() && *certain { '-' } else { '+' };
                writeln!(f, "  {mark} fault: {}", both.join(", "))
            }
            Does::Preflight => writeln!(f, "  + cors: is answered, as browsers ask beforehand"),
            Does::Untold(what) => writeln!(f, "  ? {} {what}", self.name),
        }
    }
}

/// The rule, and where it stands.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some((policy, index)) => write!(f, "{policy} rule {index}")?,
            None => f.write_str(&self.name)?,
        }
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, because } => {
                writeln!(f, "answered with {}: {because}", status.as_u16())
            }
            Self::Stopped { status } => writeln!(f, "answered with {}", status.as_u16()),
            Self::Answered { status, location: None } => {
                writeln!(f, "answered with {} by the route", status.as_u16())
            }
            Self::Answered { status, location: Some(location) } => {
                writeln!(f, "answered with {}: to {location}", status.as_u16())
            }
            Self::Sent(sent) => write!(f, "{sent}"),
        }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for share in &self.shares {
            write!(f, "{share}")?;
            if share.config.is_none() {
                let status = self.not_found.as_u16();
                writeln!(f, "    there is no such cluster: answered with {status}")?;
            }
        }
        if self.by_hash {
            writeln!(f, "the endpoint goes by the request's hash")?;
        }
        let times = [
            ("answered within", self.timeout),
            ("over within", self.longest),
            ("given up after silence of", self.idle),
        ];
        for (what, time) in times {
            if let Some(time) = time {
                writeln!(f, "{what} {time:?}")?;
            }
        }
        if let Some(tries) = &self.tries {
            let each = tries
                .each
                .map_or_else(String::new, |each: Duration| format!(", each within {each:?}"));
            writeln!(f, "tried again {} times at most{each}, after {}", tries.most, tries.on)?;
        }
        for (cluster, fraction) in &self.mirrors {
            writeln!(f, "copied to {cluster}, {} % of the requests", fraction.share() * 100.0)?;
        }
        Ok(())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("to cluster ")?;
        f.write_str(&self.cluster)?;
        if let Some((weight, of)) = self.weight {
            write!(f, ", {weight} of {of}")?;
        }
        let Some(config) = &self.config else { return writeln!(f) };
        if let Some(origin) = origin::of(&config.metadata) {
            write!(f, ", as {} says ({})", origin.object, origin.at)?;
        }
        writeln!(f)?;
        if self.endpoints.is_empty() {
            let resolved = matches!(
                config.discovery,
                Discovery::StrictDns { .. } | Discovery::LogicalDns { .. }
            );
            let none = if resolved { "no address is known" } else { "no endpoints" };
            writeln!(f, "    {none}: answered with 503")?;
        } else if !self.leads_on() {
            writeln!(f, "    no endpoint may be used: answered with 503")?;
        }
        self.endpoints.iter().take(SHOWN).try_for_each(|one| write!(f, "{one}"))?;
        match self.endpoints.len().checked_sub(SHOWN) {
            Some(more @ 1..) => writeln!(f, "    and {more} more"),
            Some(0) | None => Ok(()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, at: _, may, health, priority } = self;
        let mark = if *may { '+' } else { '-' };
        write!(f, "    {mark} {name}, {health}")?;
        if *priority > 0 {
            write!(f, ", priority {priority}")?;
        }
        writeln!(f)
    }
}
