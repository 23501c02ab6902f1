//! What is written in objects of the Gateway API and not done, each with its place and the way out.
use crate::{
    object::gateway_api::{
        backend_tls_policy::BackendTlsPolicy,
        gateway::{FromListenerNamespaces, Gateway},
        http_route::DefaultScope,
    },
    object::spanned::Spanned,
    problem::Mark,
};

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
    for options in listeners.filter_map(|one| one.value.tls.as_ref()?.value.options.as_ref()) {
        for name in options.value.keys() {
            let told = format!("no option {} is known here: it does nothing", &**name);
            tell(options.at, told, "leave it out");
        }
    }
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
    let Some(options) = &policy.spec.options else { return Vec::new() };
    let unheeded = |name: &str| Unheeded {
        at: options.at,
        told: format!("no option {name} is known here: it does nothing"),
        fix: "leave it out",
    };
    options.value.keys().map(|name| unheeded(name)).collect()
}
