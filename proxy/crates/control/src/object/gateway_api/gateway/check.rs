//! What the fields of a gateway demand of each other.
use super::{Gateway, Infrastructure, Listener, TlsMode};
use crate::{
    object::{
        gateway_api::{each_once, text::Hostname},
        meta::Meta,
        spanned::Spanned,
    },
    problem::{Mark, Origin, Problem},
};
use std::collections::BTreeSet;

impl Gateway {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let Self { meta, spec } = self;
        each_once(spec.listeners.iter(), |listener| &listener.name, meta, problems);
        let mut taken = BTreeSet::new();
        for Spanned { value: listener, at } in spec.listeners.iter() {
            let here = meta.at(*at);
            listener.check(&here, meta, problems);
            let key = (listener.port, listener.protocol.to_string(), listener.hostname.as_deref());
            if !taken.insert(key) {
                let message = "another listener has this port, protocol and hostname";
                problems.push(here.error(message));
            }
        }
        self.check_addresses(problems);
        if let Some(Spanned { value, at }) = &spec.infrastructure {
            value.check(*at, meta, problems);
        }
        let frontend = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
        let mut ports = BTreeSet::new();
        for one in frontend.iter().flat_map(|frontend| frontend.per_port.iter()) {
            if !ports.insert(one.value.port) {
                let message = format!("port {} is there already", one.value.port());
                problems.push(meta.at(one.at).error(message));
            }
        }
    }

    fn check_addresses(&self, problems: &mut Vec<Problem>) {
        let Self { meta, spec } = self;
        let mut addresses = BTreeSet::new();
        for Spanned { value: address, at } in spec.addresses.iter() {
            let (kind, value) = (address.kind(), address.value());
            if kind == "Hostname"
                && !value.is_empty()
                && Hostname::try_from(value.to_owned()).is_err()
            {
                problems.push(meta.at(*at).error(format!("`{value}` is no host name")));
            }
            let is_unique = address.value.is_some() && ["IPAddress", "Hostname"].contains(&kind);
            if is_unique && !addresses.insert((kind, value)) {
                problems.push(meta.at(*at).error(format!("`{value}` is there already")));
            }
        }
    }
}

impl Listener {
    fn check(&self, here: &Origin, meta: &Meta, problems: &mut Vec<Problem>) {
        let Self { hostname, protocol, tls, .. } = self;
        let protocol = &**protocol;
        if hostname.is_some() && ["TCP", "UDP"].contains(&protocol) {
            problems
                .push(here.error(format!("{protocol} says no hostname: there can be none here")));
        }
        let Some(Spanned { value: tls, at }) = tls else {
            if protocol == "TLS" {
                problems.push(here.error("protocol TLS needs tls"));
            }
            return;
        };
        let here = meta.at(*at);
        if ["HTTP", "TCP", "UDP"].contains(&protocol) {
            problems.push(here.error(format!("protocol {protocol} knows no tls")));
        }
        if protocol == "HTTPS" && tls.mode == TlsMode::Passthrough {
            let problem = here.error("HTTPS ends here: its mode is Terminate");
            problems.push(problem.with_fix("write protocol: TLS to pass it on"));
        }
        let options = tls.options.as_ref().map_or(0, |options| options.value.len());
        let has_none = tls.certificate_refs.is_empty() && options == 0;
        if tls.mode == TlsMode::Terminate && has_none {
            let problem = here.error("mode Terminate needs a certificate");
            problems.push(problem.with_fix("name a Secret in certificateRefs"));
        }
        if options > 16 {
            problems.push(here.error("more than 16 options"));
        }
    }
}

impl Infrastructure {
    fn check(&self, at: Mark, meta: &Meta, problems: &mut Vec<Problem>) {
        if self.labels.len() > 8 {
            problems.push(meta.at(at).error("more than 8 labels"));
        }
        if self.annotations.len() > 16 {
            problems.push(meta.at(at).error("more than 16 annotations"));
        }
    }
}
