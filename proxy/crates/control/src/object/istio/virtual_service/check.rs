//! What no single value of a `VirtualService` shows.
use super::{
    VirtualService,
    http::{HttpRoute, Redirect, Rewrite},
    matches::HttpMatch,
};
use crate::{
    object::{istio::text_match::TextMatch, meta::Meta, spanned::Spanned},
    problem::{Mark, Problem},
};
use std::collections::HashMap;

/// What is wrong with `service` goes to `problems`.
pub(super) fn service(service: &VirtualService, problems: &mut Vec<Problem>) {
    let mut check = Check { meta: &service.meta, problems };
    check.hosts(service);
    let VirtualService { http, tls, tcp, .. } = service;
    if http.is_empty() && tls.is_empty() && tcp.is_empty() {
        let problem = service.meta.named().error("one of http, tls and tcp is needed");
        check.problems.push(problem.with_fix("say where requests are led"));
    }
    if service.is_delegate() {
        for at in tls.iter().map(|route| route.at).chain(tcp.iter().map(|route| route.at)) {
            let message = "what others delegate to has http routes only";
            check.wrong(at, message, "write hosts, or leave it out");
        }
    }
    for route in http {
        check.http(route, service.is_delegate());
    }
    for route in tls {
        if route.value.matches.value.is_empty() {
            let at = route.value.matches.at;
            check.wrong(at, "a tls route needs a match", "write match: [{sniHosts: [...]}]");
        }
        for Spanned { value: one, at: _ } in &route.value.matches.value {
            if one.sni_hosts.value.is_empty() {
                check.wrong(one.sni_hosts.at, "sniHosts is empty", "write a host, or `*`");
            }
        }
        check.weights(route.at, route.value.route.iter().map(|share| share.value.weight));
    }
    for route in tcp {
        check.weights(route.at, route.value.route.iter().map(|share| share.value.weight));
    }
}

struct Check<'a> {
    meta: &'a Meta,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, at: Mark, message: &str, fix: &str) {
        self.problems.push(self.meta.at(at).error(message).with_fix(fix));
    }

    fn hosts(&mut self, service: &VirtualService) {
        let mut seen = HashMap::new();
        for host in &service.hosts {
            if let Some(first) = seen.insert(&host.value, host.at) {
                let message = format!("`{}` is there already (line {})", host.value, first.line);
                let problem = self.meta.at(host.at).error(message);
                self.problems.push(problem.with_fix("leave one out"));
            }
            if host.value.as_str() == "*" && service.is_for_mesh() {
                let fix = "name hosts, or gateways other than mesh";
                self.wrong(host.at, "`*` cannot stand for every host of the mesh", fix);
            }
        }
        if let (true, Some(gateway)) = (service.is_delegate(), service.gateways.first()) {
            let message =
                "a service without hosts is one that others delegate to: it has no gateways";
            self.wrong(gateway.at, message, "write hosts, or leave gateways out");
        }
    }

    fn http(&mut self, route: &Spanned<HttpRoute>, is_delegate: bool) {
        let Spanned { value: route, at } = route;
        let at = *at;
        self.action(route, at, is_delegate);
        self.weights(at, route.route.iter().map(|share| share.value.weight));
        for one in &route.matches {
            self.matching(one);
        }
        if let Some(retries) = &route.retries {
            let Spanned { value: policy, at } = retries;
            let is_more = policy.per_try_timeout.is_some() || policy.retry_on.is_some();
            if policy.attempts.unwrap_or(0) == 0 && is_more {
                let message = "without attempts there is no retry, and the rest says how";
                self.wrong(*at, message, "write attempts: 2, or attempts: 0 alone");
            }
        }
        if let Some(rewrite) = &route.rewrite {
            self.rewrite(rewrite);
        }
        if let Some(mirror) = route.mirror.as_ref().filter(|_| !route.mirrors.is_empty()) {
            let message = "only one of mirror and mirrors can be set";
            self.wrong(mirror.at, message, "move it into mirrors");
        }
    }

    /// What becomes of a request is said once.
    fn action(&mut self, route: &HttpRoute, at: Mark, is_delegate: bool) {
        let HttpRoute { route: shares, redirect, direct_response, delegate, .. } = route;
        let said = [
            ("route", shares.first().map(|share| share.at)),
            ("redirect", redirect.as_ref().map(|one| one.at)),
            ("directResponse", direct_response.as_ref().map(|one| one.at)),
            ("delegate", delegate.as_ref().map(|one| one.at)),
        ];
        let mut said = said.into_iter().filter_map(|(name, at)| at.map(|at| (name, at)));
        let Some((first, _)) = said.next() else {
            let message = "a route leads nowhere: one of route, redirect, directResponse and delegate is needed";
            return self.wrong(at, message, "write route: [{destination: {host: ...}}]");
        };
        for (name, at) in said {
            let message = format!("only one of {first} and {name} can be set");
            self.problems.push(self.meta.at(at).error(message).with_fix("leave one out"));
        }
        if let Some(delegate) = delegate.as_ref().filter(|_| is_delegate) {
            let message = "what others delegate to cannot delegate";
            self.wrong(delegate.at, message, "write its route here");
        }
        if first == "redirect" || first == "directResponse" {
            let fault = route.fault.as_ref().map(|one| ("fault", one.at));
            let rewrite = route.rewrite.as_ref().map(|one| ("rewrite", one.at));
            for (name, at) in fault.into_iter().chain(rewrite) {
                let message = format!("{name} says nothing where there is a {first}");
                self.problems.push(self.meta.at(at).error(message).with_fix("leave one out"));
            }
        }
        if let Some(Spanned { value: redirect, at }) = redirect {
            self.redirect(redirect, *at);
        }
    }

    fn redirect(&mut self, redirect: &Redirect, at: Mark) {
        let Redirect { uri, prefix_rewrite, authority, scheme, port, derive_port, .. } = redirect;
        if uri.is_some() && prefix_rewrite.is_some() {
            self.wrong(at, "only one of uri and prefixRewrite can be set", "keep one of them");
        }
        if port.is_some() && derive_port.is_some() {
            self.wrong(at, "only one of port and derivePort can be set", "keep one of them");
        }
        let is_elsewhere = uri.is_some()
            || prefix_rewrite.is_some()
            || authority.is_some()
            || scheme.is_some()
            || port.is_some()
            || derive_port.is_some();
        if !is_elsewhere {
            let fix = "write uri, authority, scheme or port";
            self.wrong(at, "a redirect to where the request came from", fix);
        }
    }

    fn rewrite(&mut self, rewrite: &Spanned<Rewrite>) {
        let Spanned { value: Rewrite { uri, authority, uri_regex_rewrite }, at } = rewrite;
        if uri.is_some() && uri_regex_rewrite.is_some() {
            let message = "only one of uri and uriRegexRewrite can be set";
            self.wrong(*at, message, "keep one of them");
        }
        if uri.is_none() && authority.is_none() && uri_regex_rewrite.is_none() {
            self.wrong(*at, "a rewrite that changes nothing", "write uri or authority");
        }
    }

    fn matching(&mut self, one: &Spanned<HttpMatch>) {
        let Spanned { value: one, at } = one;
        let empty = |text: &Option<TextMatch>| matches!(text, Some(TextMatch::Prefix(text)) if text.is_empty());
        for (name, text) in [("uri", &one.uri), ("authority", &one.authority)] {
            if empty(text) {
                let message = format!("{name}: an empty prefix is one of everything");
                let problem = self.meta.at(*at).error(message);
                self.problems.push(problem.with_fix(format!("leave {name} out")));
            }
        }
        for (name, text) in &one.without_headers {
            if name.is_claim() && *text == TextMatch::Any {
                let message = "a claim is asked for without a value";
                self.wrong(*at, message, "write exact, prefix or regex");
            }
        }
    }

    fn weights(&mut self, at: Mark, weights: impl Iterator<Item = Option<u32>>) {
        let weights: Vec<_> = weights.collect();
        let sum = weights.iter().flatten().try_fold(0_u32, |sum, one| sum.checked_add(*one));
        match sum {
            None => self.wrong(at, "the weights are too large", "write parts of 100"),
            Some(0) if weights.len() > 1 => {
                let message = "the weights of all destinations are 0: none would get anything";
                self.wrong(at, message, "write weights whose sum is 100");
            }
            Some(_) => {}
        }
    }
}
