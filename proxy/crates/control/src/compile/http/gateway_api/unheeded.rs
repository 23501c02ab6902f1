//! What is written in objects of the Gateway API and not done, each with its place and the way out.
use crate::{
    object::gateway_api::{
        backend_tls_policy::BackendTlsPolicy,
        gateway::{FromListenerNamespaces, Gateway},
        http_route::DefaultScope,
        text::{OptionKey, OptionValue},
    },
    object::spanned::Spanned,
    problem::Mark,
};
use std::collections::BTreeMap;

/// Something that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::compile::http) struct Unheeded {
    pub at: Mark,
    pub told: String,
    pub fix: &'static str,
}

pub(in crate::compile::http) fn of_gateway(gateway: &Gateway) -> Vec<Unheeded> {
    let mut all = Vec::new();
    let mut tell = |at: Mark, told: String, fix| all.push(Unheeded { at, told, fix });
    let tls = gateway.spec.tls.as_ref().and_then(|tls| tls.backend.as_ref());
    if let Some(named) = tls.and_then(|backend| backend.client_certificate_ref.as_ref()) {
        let told =
            "tls.backend.clientCertificateRef is not done: backends are shown no certificate";
        tell(named.at, told.into(), "write a DestinationRule with tls: {mode: MUTUAL}");
    }
    if let Some(allowed) = &gateway.spec.allowed_listeners
        && allowed.value.namespaces.from != FromListenerNamespaces::None
    {
        let told = "allowedListeners is not done: no ListenerSet is read";
        tell(allowed.at, told.into(), "write all listeners in the Gateway");
    }
    if let Some(scope) = &gateway.spec.default_scope
        && scope.value == DefaultScope::All
    {
        let told = "defaultScope is not done: routes that name no Gateway are at none";
        tell(scope.at, told.into(), "name the Gateway in parentRefs of each route");
    }
    let listeners = gateway.spec.listeners.iter();
    let all_tls = listeners.filter_map(|one| one.value.tls.as_ref());
    all.extend(all_tls.flat_map(|tls| of_options(tls.value.options.as_ref())));
    all
}

/// Of a route that asks for gateways which it does not name.
pub(in crate::compile::http) fn of_route(
    scope: Option<&Spanned<DefaultScope>>,
) -> Option<Unheeded> {
    let scope = scope.filter(|scope| scope.value == DefaultScope::All)?;
    Some(Unheeded {
        at: scope.at,
        told: "useDefaultGateways is not done: no Gateway has this route for that".into(),
        fix: "name the Gateway in parentRefs",
    })
}

pub(in crate::compile::http) fn of_policy(policy: &BackendTlsPolicy) -> Vec<Unheeded> {
    of_options(policy.spec.options.as_ref()).collect()
}

fn of_options(
    options: Option<&Spanned<BTreeMap<OptionKey, OptionValue>>>,
) -> impl Iterator<Item = Unheeded> {
    let all =
        options.into_iter().flat_map(|options| options.value.keys().map(|one| (options.at, one)));
    all.map(|(at, name)| Unheeded {
        at,
        told: format!("no option {} is known here: it does nothing", &**name),
        fix: "leave it out",
    })
}
