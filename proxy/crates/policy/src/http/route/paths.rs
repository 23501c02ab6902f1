//! The routes of one virtual host, indexed by what their paths begin with.
use std::{collections::HashMap, sync::Arc};

use culvert_model::http::route::{PathMatch, Route};

/// Fewer routes than this are walked one by one.
const WORTH_IT: usize = 8;

/// Of all routes those whose path may match, in their order.
#[derive(Clone, Debug)]
pub(super) enum Paths {
    /// All of so many.
    All(usize),
    Indexed(Arc<Index>),
}

/// Routes by path.
#[derive(Debug)]
pub(super) struct Index {
    exact: HashMap<Arc<str>, Box<[u32]>>,
    /// In the order of their text.
    prefixes: Box<[Prefix]>,
    /// Regexes, CONNECT, and whatever ignores case: always looked at.
    others: Box<[u32]>,
}

/// One prefix that routes have.
#[derive(Debug)]
struct Prefix {
    text: Arc<str>,
    /// The longest other prefix that it begins with.
    parent: Option<usize>,
    /// The routes of it and of all prefixes that it begins with, ascending.
    routes: Box<[u32]>,
}

/// Three ascending lists, merged.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    lists: [&'a [u32]; 3],
    rest: std::ops::Range<usize>,
}

impl Paths {
    pub(super) fn new(routes: &[Arc<Route>]) -> Self {
        if routes.len() < WORTH_IT {
            return Self::All(routes.len());
        }
        Index::new(routes).map_or(Self::All(routes.len()), |index| Self::Indexed(Arc::new(index)))
    }

    /// Every route whose path may match, ascending.
    pub(super) fn candidates(&self, path: &str) -> Candidates<'_> {
        match self {
            Self::All(count) => Candidates { lists: [&[]; 3], rest: 0..*count },
            Self::Indexed(index) => Candidates { lists: index.lists(path), rest: 0..0 },
        }
    }
}

impl Index {
    /// `None` where prefixes are nested so deeply that the lists would be long.
    fn new(routes: &[Arc<Route>]) -> Option<Self> {
        let mut exact: HashMap<Arc<str>, Vec<u32>> = HashMap::new();
        let mut own: HashMap<&str, Vec<u32>> = HashMap::new();
        let mut others = Vec::new();
        for (at, route) in routes.iter().enumerate() {
            let at = u32::try_from(at).ok()?;
            match &route.when.path {
                PathMatch::Exact(text) if !text.ignores_case() => {
                    exact.entry(text.as_str().into()).or_default().push(at);
                }
                PathMatch::Prefix(text) | PathMatch::Separated(text) if !text.ignores_case() => {
                    own.entry(text.as_str()).or_default().push(at);
                }
                PathMatch::Exact(_)
                | PathMatch::Prefix(_)
                | PathMatch::Separated(_)
                | PathMatch::Regex(_)
                | PathMatch::Connect => others.push(at),
            }
        }
        let prefixes = nest(own, 32 * routes.len() + 1024)?;
        let exact = exact.into_iter().map(|(path, routes)| (path, routes.into())).collect();
        Some(Self { exact, prefixes, others: others.into() })
    }

    fn lists(&self, path: &str) -> [&[u32]; 3] {
        let exact = self.exact.get(path).map_or(&[][..], |routes| routes);
        let prefix = self.longest(path).map_or(&[][..], |prefix| &prefix.routes);
        [exact, prefix, &self.others]
    }

    /// The longest prefix that a path begins with.
    ///
    /// Whatever sorts before the path, and is the last to do so, has all of the path's prefixes
    /// above it: they sort before it, and it begins with them.
    fn longest(&self, path: &str) -> Option<&Prefix> {
        let after = self.prefixes.partition_point(|prefix| *prefix.text <= *path);
        let mut at = after.checked_sub(1)?;
        loop {
            let prefix = self.prefixes.get(at)?;
            if path.starts_with(&*prefix.text) {
                return Some(prefix);
            }
            at = prefix.parent?;
        }
    }
}

fn nest(own: HashMap<&str, Vec<u32>>, budget: usize) -> Option<Box<[Prefix]>> {
    let mut sorted: Vec<_> = own.into_iter().collect();
    sorted.sort_unstable_by_key(|(text, _)| *text);
    let mut prefixes: Vec<Prefix> = Vec::with_capacity(sorted.len());
    let mut total = 0_usize;
    for (text, mut routes) in sorted {
        let mut parent = prefixes.len().checked_sub(1);
        while let Some(above) = parent.and_then(|at| prefixes.get(at)) {
            if text.starts_with(&*above.text) {
                break;
            }
            parent = above.parent;
        }
        if let Some(above) = parent.and_then(|at| prefixes.get(at)) {
            routes.extend_from_slice(&above.routes);
            routes.sort_unstable();
        }
        total += routes.len();
        if total > budget {
            return None;
        }
        prefixes.push(Prefix { text: text.into(), parent, routes: routes.into() });
    }
    Some(prefixes.into())
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let Some(least) = self.lists.iter().filter_map(|list| list.first()).min().copied() else {
            return self.rest.next();
        };
        for list in &mut self.lists {
            if let Some((first, rest)) = list.split_first()
                && *first == least
            {
                *list = rest;
            }
        }
        usize::try_from(least).ok()
    }
}
