//! Labels of gateways, by which Istio's objects choose them, where nothing else says what they are.
use super::GATEWAY_NAME;
use crate::object::gateway_api::gateway::Gateway;
use std::collections::BTreeMap;

/// What Istio's own gateways have: `istio-ingressgateway` is `istio: ingressgateway`.
const APP: &str = "app";
const ISTIO: &str = "istio";
const PREFIX: &str = "istio-";

/// Those that the gateway `name` has unless it is said otherwise.
#[must_use]
pub(crate) fn usual(name: &str) -> BTreeMap<String, String> {
    let short = name.strip_prefix(PREFIX).filter(|short| !short.is_empty()).unwrap_or(name);
    let all = [(APP, name), (ISTIO, short), (GATEWAY_NAME, name)];
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Those that a `Gateway` of the Gateway API says what is made for it has.
pub(crate) fn said(gateway: &Gateway) -> impl Iterator<Item = (String, String)> {
    let said = gateway.spec.infrastructure.iter().flat_map(|said| &said.value.labels);
    said.map(|(key, value)| (key.to_string(), value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_called_as_istio_calls_its_own() {
        assert_eq!(usual("istio-ingressgateway")[ISTIO], "ingressgateway");
        assert_eq!((&*usual("edge")[ISTIO], &*usual("edge")[APP]), ("edge", "edge"));
        assert_eq!(usual("istio-")[ISTIO], "istio-");
    }
}
