//! The Gateway API: routes, and what they are attached to.
//!
//! Types have the shape that is written; what their schema demands of single fields they show by
//! being there, and what it demands of several together is checked when an object is read.
//! Fields of the experimental channel are read, too.
//!
//! Reading order: [`text`], [`few`], [`duration`] (words), [`mod@reference`], [`header`], [`filter`]
//! (parts), then one module for each kind.
use super::{meta::Meta, spanned::Spanned};
use crate::problem::Problem;
use std::collections::BTreeSet;

pub mod text;

pub mod few;

pub mod duration;

pub mod reference;

pub mod selector;

pub mod header;

pub mod filter;

pub mod persistence;

pub mod gateway_class;

pub mod gateway;

pub mod http_route;

pub mod grpc_route;

pub mod stream_route;

pub mod reference_grant;

pub mod backend_tls_policy;

#[cfg(test)]
mod tests;

/// The group of all of these kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// What only one item of a list may be called.
fn each_once<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a Spanned<T>>,
    name: impl Fn(&'a T) -> &'a str,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) {
    let mut names = BTreeSet::new();
    for item in items {
        let name = name(&item.value);
        if !names.insert(name) {
            problems.push(meta.at(item.at).error(format!("`{name}` is there already")));
        }
    }
}
