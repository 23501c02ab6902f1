//! Routes, and what became of each of their attachments.
use super::{
    backend::Named,
    grpc,
    rank::{Ranked, Specific, seniority},
    rule::{self, Author, Deed, Wrong},
    status::{Condition, ParentStatus, Says, Standing},
    world::{World, at},
};
use crate::{
    compile::http::plan::{At, matching::HttpMatch, rule::HttpRule, stream::StreamShare},
    object::{
        gateway_api::{
            grpc_route::GrpcRoute, http_route::HttpRoute, reference::ParentRef,
            stream_route::StreamRule,
        },
        meta::Meta,
        spanned::Spanned,
    },
    problem::Mark,
};
use std::collections::BTreeMap;

/// All routes, those of a kind by age.
pub(super) struct Routes<'a>(pub(super) Vec<Route<'a>>);

/// One route, whatever it is for.
pub(super) struct Route<'a> {
    pub(super) kind: &'static str,
    pub(super) meta: &'a Meta,
    pub(super) at: At,
    pub(super) parents: &'a [Spanned<ParentRef>],
    /// Empty: all.
    pub(super) hostnames: Vec<&'a str>,
    pub(super) does: Does,
    wrong: Wrong,
    /// By the number of the parent.
    accepted: BTreeMap<usize, Condition>,
}

/// What a route comes to.
pub(super) enum Does {
    Http(Vec<Ranked>),
    /// TLS, or bytes: rule by rule.
    Stream(Vec<(At, Vec<StreamShare>)>),
}

impl<'a> Routes<'a> {
    pub(super) fn of(world: &World<'a>) -> Self {
        let http = world.http_routes.iter().map(|route| Route::of_http(world, route));
        let grpc = world.grpc_routes.iter().map(|route| Route::of_grpc(world, route));
        let tls = world.tls_routes.iter().map(|route| {
            let mut this = Route::new("TLSRoute", &route.meta, &route.spec.parent_refs);
            this.hostnames = route.spec.hostnames.iter().map(|host| &*host.value).collect();
            this.stream(world, &route.spec.rules)
        });
        let tcp = world.tcp_routes.iter().map(|route| {
            let this = Route::new("TCPRoute", &route.meta, &route.spec.parent_refs);
            this.stream(world, &route.spec.rules)
        });
        Self(http.chain(grpc).chain(tls).chain(tcp).collect())
    }

    /// What became of those that name something of ours.
    pub(super) fn standings(self) -> impl Iterator<Item = Standing> {
        self.0.into_iter().filter(|route| !route.accepted.is_empty()).map(Route::standing)
    }
}

impl<'a> Route<'a> {
    fn new(kind: &'static str, meta: &'a Meta, parents: &'a [Spanned<ParentRef>]) -> Self {
        Self {
            kind,
            meta,
            at: at(kind, meta),
            parents,
            hostnames: Vec::new(),
            does: Does::Stream(Vec::new()),
            wrong: Wrong::default(),
            accepted: BTreeMap::new(),
        }
    }

    fn of_http(world: &World<'a>, route: &'a HttpRoute) -> Self {
        let mut this = Self::new("HTTPRoute", &route.meta, &route.spec.parent_refs);
        this.hostnames = route.spec.hostnames.iter().map(|host| &*host.value).collect();
        let author = this.author(world);
        let mut ranked = Vec::new();
        for (index, rule) in route.rules().iter().enumerate() {
            let deed = rule::http(author, &rule.value, &mut this.wrong);
            let matches: Vec<HttpMatch> = match rule.value.matches() {
                Some(matches) => matches.iter().map(|one| rule::matching(&one.value)).collect(),
                None => vec![HttpMatch::default()],
            };
            let matches = matches.into_iter().map(|one| (Specific::of_http(&one), one));
            let draft = this.draft(index, rule.at, rule.value.name.as_deref(), deed);
            ranked.extend(this.ranked(index, &draft, matches));
        }
        this.does = Does::Http(ranked);
        this
    }

    fn of_grpc(world: &World<'a>, route: &'a GrpcRoute) -> Self {
        let mut this = Self::new("GRPCRoute", &route.meta, &route.spec.parent_refs);
        this.hostnames = route.spec.hostnames.iter().map(|host| &*host.value).collect();
        let author = this.author(world);
        let mut ranked = Vec::new();
        for (index, rule) in route.spec.rules.iter().enumerate() {
            let deed = grpc::deed(author, &rule.value, &mut this.wrong);
            let matches = rule.value.matches.iter().map(|one| &one.value);
            let mut matches: Vec<_> =
                matches.map(|one| (Specific::of_grpc(one), grpc::matching(one))).collect();
            if matches.is_empty() {
                matches.push((Specific::default(), HttpMatch::default()));
            }
            let draft = this.draft(index, rule.at, rule.value.name.as_deref(), deed);
            ranked.extend(this.ranked(index, &draft, matches.into_iter()));
        }
        this.does = Does::Http(ranked);
        this
    }

    fn stream(mut self, world: &World<'a>, rules: &'a [Spanned<StreamRule>]) -> Self {
        let mut found = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let mut shares = Vec::new();
            for backend in rule.value.backend_refs.iter().map(|backend| &backend.value) {
                let named = Named {
                    kind: self.kind,
                    from: &self.meta.name.namespace,
                    what: backend.what(),
                    namespace: backend.namespace.as_deref(),
                    name: &backend.name,
                    port: backend.port(),
                };
                let to = named.share(world, &mut self.wrong.unresolved);
                if backend.weight() > 0 {
                    shares.push(StreamShare { to, weight: backend.weight() });
                }
            }
            found.push((self.at.rule(index, self.meta.at(rule.at).to_string()), shares));
        }
        self.does = Does::Stream(found);
        self
    }

    fn author<'w>(&self, world: &'w World<'a>) -> Author<'w, 'a> {
        Author { kind: self.kind, namespace: &self.meta.name.namespace, world }
    }

    /// A rule that does not say yet what it matches.
    fn draft(&self, index: usize, at: Mark, name: Option<&str>, deed: Deed) -> HttpRule {
        let Deed { action, request, response, cors } = deed;
        let at = self.at.rule(index, self.meta.at(at).to_string());
        let (name, matches, fault) = (name.map(Into::into), Vec::new(), None);
        HttpRule { at, name, matches, action, request, response, fault, cors }
    }

    /// A rule for each match, for matches are ordered one by one.
    fn ranked(
        &self,
        index: usize,
        draft: &HttpRule,
        matches: impl Iterator<Item = (Specific, HttpMatch)>,
    ) -> Vec<Ranked> {
        let of = |(number, (specific, one)): (usize, (Specific, HttpMatch))| {
            let matches = if one == HttpMatch::default() { Vec::new() } else { vec![one] };
            let rule = HttpRule { matches, ..draft.clone() };
            let (seniority, position) = (seniority(self.meta), (index, number));
            Ranked { rule, specific, seniority, position }
        };
        matches.enumerate().map(of).collect()
    }

    /// Says what became of one of its parents.
    pub(super) fn accepted(&mut self, parent: usize, condition: Condition) {
        self.accepted.insert(parent, condition);
    }

    fn standing(self) -> Standing {
        let Self { at, wrong, accepted, .. } = self;
        let Wrong { unresolved, unsupported } = wrong;
        let resolved = match unresolved.into_iter().next() {
            Some((reason, message)) => Condition::not("ResolvedRefs", reason, message),
            None => Condition::fine("ResolvedRefs"),
        };
        let parent = |(index, accepted): (usize, Condition)| {
            let mut conditions = vec![accepted, resolved.clone()];
            if !unsupported.is_empty() {
                let message = unsupported.join("; ");
                conditions.push(Condition::is("PartiallyInvalid", "UnsupportedValue", message));
            }
            ParentStatus { index, conditions }
        };
        let says = Says::Route(accepted.into_iter().map(parent).collect());
        Standing { object: at.object, says }
    }
}
