//! Rules of several objects for one host of a gateway, put together as Istio does.
use super::{
    At, Clients,
    matching::{HttpMatch, PathMatch},
    rule::HttpRule,
};
use std::collections::{BTreeSet, HashMap};

/// One after the other, and last what is for every request.
#[must_use]
pub fn merged(rules: Vec<HttpRule>) -> Vec<HttpRule> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for rule in rules {
        let (every, some): (Vec<_>, Vec<_>) = rule.matches.iter().cloned().partition(is_every);
        if some.is_empty() || !every.is_empty() {
            last.push(HttpRule { matches: every, ..rule.clone() });
        }
        if !some.is_empty() {
            first.push(HttpRule { matches: some, ..rule });
        }
    }
    first.append(&mut last);
    first
}

/// Rules for which no request is left, each with the rule of another object that has them.
#[must_use]
pub fn unreached(rules: &[HttpRule]) -> Vec<(&At, &At)> {
    let (mut found, mut reached) = (Vec::<(&At, &At)>::new(), BTreeSet::new());
    let mut takers = Takers::default();
    for rule in rules {
        let anything = [HttpMatch::default()];
        let matches = if rule.matches.is_empty() { &anything[..] } else { &rule.matches };
        let all: Option<Vec<&At>> = matches.iter().map(|one| takers.of(one, &rule.at)).collect();
        match all.as_deref() {
            Some([first, ..]) => found.push((&rule.at, *first)),
            Some([]) | None => drop(reached.insert(&rule.at)),
        }
        takers.add(rule);
    }
    found.retain(|(at, _)| !reached.contains(at));
    found
}

/// Who has requests already.
#[derive(Default)]
struct Takers<'a> {
    /// Every one: the first, and the first of another object.
    every: Vec<&'a At>,
    by_path: HashMap<&'a PathMatch, Vec<(&'a HttpMatch, &'a At)>>,
}

impl<'a> Takers<'a> {
    fn of(&self, one: &HttpMatch, at: &At) -> Option<&'a At> {
        let like = self.by_path.get(&one.path).into_iter().flatten();
        let like = like.filter(|(own, _)| is_like(own, one)).map(|(_, own)| *own);
        let mut all = self.every.iter().copied().chain(like);
        all.find(|own| own.object != at.object)
    }

    fn add(&mut self, rule: &'a HttpRule) {
        let is_for_all = |one: &HttpMatch| {
            is_every(one) && one.port.is_none() && one.clients == Clients::default()
        };
        let has_every = rule.matches.is_empty() || rule.matches.iter().any(is_for_all);
        let is_known = self.every.iter().any(|own| own.object == rule.at.object);
        if has_every && !is_known && self.every.len() < 2 {
            self.every.push(&rule.at);
        }
        for one in &rule.matches {
            self.by_path.entry(&one.path).or_default().push((one, &rule.at));
        }
    }
}

/// Whether they are the same but for what they are called.
fn is_like(own: &HttpMatch, one: &HttpMatch) -> bool {
    let called = HttpMatch { name: own.name.clone(), counted: own.counted.clone(), ..one.clone() };
    *own == called
}

/// Whether every request that comes to a port is like it.
fn is_every(one: &HttpMatch) -> bool {
    let HttpMatch { path, method, scheme, authority, headers, query, .. } = one;
    let is_any = match path {
        PathMatch::Any => true,
        PathMatch::Prefix(path) | PathMatch::Segments(path) => matches!(&**path, "" | "/"),
        PathMatch::Regex(regex) => matches!(&**regex, ".*" | "/.*"),
        PathMatch::Exact(_) => false,
    };
    is_any
        && (method.is_none() && scheme.is_none() && authority.is_none())
        && (headers.is_empty() && query.is_empty())
}
