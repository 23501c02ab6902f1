//! Which requests a rule is for.
use crate::{
    compile::http::plan::{
        Clients,
        matching::{HeaderMatch, HttpMatch, PathMatch, QueryMatch, Text, Wanted},
    },
    object::{
        istio::{
            headers::AskedName,
            text_match::TextMatch,
            virtual_service::{GatewayRef, matches},
        },
        meta::Meta,
        spanned::Spanned,
    },
    problem::Problem,
};
use std::{collections::BTreeMap, sync::Arc};

/// Where rules are to hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// At workloads of the mesh.
    Mesh,
    Gateway {
        namespace: &'a str,
        name: &'a str,
    },
}

impl Place<'_> {
    /// Whether what is said for `gateways`, by an object of `own`, holds here.
    pub(super) fn is_among(self, gateways: &[Spanned<GatewayRef>], own: &str) -> bool {
        gateways.iter().any(|one| match self {
            Self::Mesh => one.value == GatewayRef::Mesh,
            Self::Gateway { namespace, name } => one.value.is(namespace, name, own),
        })
    }
}

/// `None`: no request here is like it.
pub(super) fn matching(
    one: &Spanned<matches::HttpMatch>,
    meta: &Meta,
    place: Place<'_>,
    notes: &mut Vec<Problem>,
) -> Option<HttpMatch> {
    let Spanned { value: one, at } = one;
    if !one.gateways.is_empty() && !place.is_among(&one.gateways, &meta.name.namespace) {
        return None;
    }
    if let Some(claim) =
        one.headers.keys().chain(one.without_headers.keys()).find(|name| name.is_claim())
    {
        let told =
            format!("{}: tokens are not looked into yet, so it matches nothing", claim.as_str());
        notes.push(meta.at(*at).warning(told));
        return None;
    }
    let namespaces = one.source_namespace.as_deref().filter(|name| !name.is_empty());
    let mut headers = headers(&one.headers, false);
    headers.extend(self::headers(&one.without_headers, true));
    let query = one
        .query_params
        .iter()
        .map(|(name, text)| QueryMatch { name: name.as_str().into(), wanted: wanted(text) });
    Some(HttpMatch {
        name: one.name.as_deref().map(Arc::from),
        path: path(one.uri.as_ref()),
        ignore_path_case: one.ignore_uri_case,
        method: one.method.as_ref().and_then(text),
        scheme: one.scheme.as_ref().and_then(text),
        authority: one.authority.as_ref().and_then(text),
        headers,
        query: query.collect(),
        port: one.port.map(|port| port.0),
        clients: Clients {
            namespaces: namespaces.map(|name| [Arc::<str>::from(name)].into()),
            labels: one.source_labels.clone(),
        },
        counted: one.stat_prefix.as_deref().filter(|one| !one.is_empty()).map(Arc::from),
    })
}

fn path(uri: Option<&TextMatch>) -> PathMatch {
    match uri {
        None | Some(TextMatch::Any) => PathMatch::Any,
        Some(TextMatch::Exact(path)) => PathMatch::Exact(path.as_str().into()),
        Some(TextMatch::Prefix(path)) => PathMatch::Prefix(path.as_str().into()),
        Some(TextMatch::Regex(regex)) => PathMatch::Regex(regex.as_str().into()),
    }
}

fn headers(asked: &BTreeMap<AskedName, TextMatch>, not: bool) -> Vec<HeaderMatch> {
    let read = |(name, text): (&AskedName, &TextMatch)| HeaderMatch {
        name: name.as_str().into(),
        wanted: wanted(text),
        not,
    };
    asked.iter().map(read).collect()
}

fn wanted(asked: &TextMatch) -> Wanted {
    text(asked).map_or(Wanted::Present, Wanted::Text)
}

/// `None`: whatever it is.
pub(super) fn text(asked: &TextMatch) -> Option<Text> {
    Some(match asked {
        TextMatch::Any => return None,
        TextMatch::Exact(text) => Text::Exact(text.as_str().into()),
        TextMatch::Prefix(text) => Text::Prefix(text.as_str().into()),
        TextMatch::Regex(regex) => Text::Regex(regex.as_str().into()),
    })
}
