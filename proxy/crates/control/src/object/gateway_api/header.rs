//! Headers that are looked for, and headers that are changed.
use super::{
    each_once,
    few::Few,
    text::{HeaderName, HeaderValue},
};
use crate::{
    object::{meta::Meta, spanned::Spanned},
    problem::Problem,
};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What one header must be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeaderMatch {
    pub name: HeaderName,
    #[serde(rename = "type", default)]
    pub how: TextMatch,
    pub value: HeaderValue,
}

/// How a text is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TextMatch {
    #[default]
    Exact,
    RegularExpression,
}

/// What becomes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HeaderModifier {
    pub set: Few<Spanned<Header>, 0, 16>,
    pub add: Few<Spanned<Header>, 0, 16>,
    pub remove: Few<Spanned<String>, 0, 16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Header {
    pub name: HeaderName,
    pub value: HeaderValue,
}

impl HeaderModifier {
    pub(super) fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        let Self { set, add, remove } = self;
        each_once(set.iter(), |header| &header.name, meta, problems);
        each_once(add.iter(), |header| &header.name, meta, problems);
        each_once(remove.iter(), String::as_str, meta, problems);
    }
}

/// What is there twice in a set.
pub(super) fn as_set<'a, T: Ord + 'a>(
    items: impl IntoIterator<Item = &'a Spanned<T>>,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(&item.value) {
            problems.push(meta.at(item.at).error("this is there already"));
        }
    }
}
