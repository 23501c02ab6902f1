//! An answer as lines of text.
use super::{Answer, Arrival, Leg, Passing, Said, Server, Source, Through, Way, Why};
use crate::{balance::Place, http::why::Request};
use culvert_model::{member::Tunnel, snapshot::Known};
use std::fmt;

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permitted => "permitted",
            Self::Denied => "denied",
            Self::Depends => "depends",
        })
    }
}

/// So many that a person still reads them.
const SHOWN: usize = 4;

/// The answer, then how it came about.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.answer())?;
        writeln!(f, "from {}", self.source)?;
        self.ways.iter().try_for_each(|way| write!(f, "{way}"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = match self {
            Self::Known(known) => known,
            Self::Imagined(known) => {
                return write!(f, "whoever would run as {}", known.member.identity);
            }
            Self::Outside(ip) => return write!(f, "{ip}, which the mesh does not know"),
        };
        let member = &known.member;
        write!(f, "{}", member.name)?;
        if let Some(ip) = member.addresses.first() {
            write!(f, " at {ip}")?;
        }
        match member.tunnel {
            Tunnel::Hbone => write!(f, ", {}", member.identity),
            Tunnel::None => write!(f, ", which is not in the mesh"),
        }
    }
}

/// The answer, then how it came about, engine by engine.
impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.answer())?;
        writeln!(f, "from {}", self.source)?;
        let Request { method, authority, path, headers, .. } = &self.request;
        writeln!(f, "{method} {path} of {authority}")?;
        for (name, value) in headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        self.ways.iter().try_for_each(|way| write!(f, "{way}"))
    }
}

impl fmt::Display for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.client {
            None => write!(f, "{}", self.way)?,
            Some((service, leg)) => {
                writeln!(f, "to {}", self.way.destination)?;
                writeln!(f, "  is service {service}")?;
                write!(f, "{leg}")?;
            }
        }
        let shown = self.servers.iter().take(SHOWN);
        shown.into_iter().try_for_each(|server| write!(f, "{server}"))?;
        match self.servers.len().checked_sub(SHOWN) {
            Some(more @ 1..) => writeln!(f, "and at {more} more"),
            Some(0) | None => Ok(()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.arrival)?;
        self.leg.iter().try_for_each(|leg| write!(f, "{leg}"))
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  passes L7 of {}", self.namespace)?;
        if !self.node.is_empty() {
            write!(f, " on node {}", self.node)?;
        }
        match &self.side {
            Ok(side) => {
                writeln!(f)?;
                side.to_string().lines().try_for_each(|line| writeln!(f, "    {line}"))
            }
            Err(elsewhere) => writeln!(f, ": {elsewhere}"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "to {}", self.destination)?;
        match &self.route {
            Some(route) => {
                indented(f, route)?;
                match &route.outcome {
                    Ok(found) => {
                        let several = route.candidates().nth(1).is_some();
                        let example = if several { "for one, " } else { "" };
                        writeln!(f, "  {example}{}", found.to)?;
                    }
                    Err(why) => writeln!(f, "  refused: {why}")?,
                }
            }
            None => writeln!(f, "  in plain text, past the mesh")?,
        }
        self.arrivals.iter().try_for_each(|arrival| write!(f, "{arrival}"))
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.at.iter().take(SHOWN).map(place).collect();
        write!(f, "at {}", shown.join(", "))?;
        if let Some(more @ 1..) = self.at.len().checked_sub(SHOWN) {
            write!(f, " and {more} more")?;
        }
        match &self.peer {
            Some(peer) => writeln!(f, " from {peer}")?,
            None => writeln!(f, " in plain text")?,
        }
        match &self.said {
            Said::Policy(explanation) => indented(f, explanation),
            Said::Nothing => writeln!(f, "  permitted: it is not in the mesh, nobody asks"),
            Said::OwnPort => writeln!(f, "  denied: the port is one of the proxy's own"),
        }
    }
}

fn place((known, at): &(std::sync::Arc<Known>, std::net::SocketAddr)) -> String {
    format!("{} ({})", known.member.name, Place::Addr(*at))
}

fn indented(f: &mut fmt::Formatter<'_>, text: &impl fmt::Display) -> fmt::Result {
    text.to_string().lines().try_for_each(|line| writeln!(f, "  {line}"))
}
