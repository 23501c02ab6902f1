//! What objects name.
use super::{
    GROUP,
    few::Few,
    text::{Group, Kind, Name, Namespace, SectionName},
};
use crate::{
    object::{meta::Meta, port::Port, spanned::Spanned},
    problem::{Mark, Problem},
};
use serde::Deserialize;
use std::num::NonZeroU16;

/// What a route is attached to: a `Gateway`, or a `Service` of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    pub group: Option<Group>,
    pub kind: Option<Kind>,
    pub name: Name,
    pub namespace: Option<Namespace>,
    pub section_name: Option<SectionName>,
    port: Option<Port>,
}

/// Where requests or connections go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    pub group: Option<Group>,
    pub kind: Option<Kind>,
    pub name: Name,
    pub namespace: Option<Namespace>,
    port: Option<Port>,
    weight: Option<Weight>,
}

/// Where requests go, and what becomes of them on the way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(bound = "F: Deserialize<'de>")]
pub struct FilteredRef<F> {
    pub group: Option<Group>,
    pub kind: Option<Kind>,
    pub name: Name,
    pub namespace: Option<Namespace>,
    port: Option<Port>,
    weight: Option<Weight>,
    #[serde(default)]
    pub filters: Few<Spanned<F>, 0, 16>,
}

/// Where a part of the requests is copied to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MirrorRef {
    pub group: Option<Group>,
    pub kind: Option<Kind>,
    pub name: Name,
    pub namespace: Option<Namespace>,
    port: Option<Port>,
}

/// An object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LocalRef {
    pub group: Group,
    pub kind: Kind,
    pub name: Name,
}

/// An object, of which all must be said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ObjectRef {
    pub group: Group,
    pub kind: Kind,
    pub name: Name,
    pub namespace: Option<Namespace>,
}

/// A `Secret`, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SecretRef {
    pub group: Option<Group>,
    pub kind: Option<Kind>,
    pub name: Name,
    pub namespace: Option<Namespace>,
}

/// A reference as it is meant, whatever of it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// `group`, `kind`.
    pub what: (&'a str, &'a str),
    /// That of the object itself where it says none.
    pub namespace: Option<&'a str>,
    pub name: &'a str,
    pub port: Option<NonZeroU16>,
}

/// A share, by comparison with those beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Weight(u32);

impl TryFrom<u32> for Weight {
    type Error = String;

    fn try_from(weight: u32) -> Result<Self, String> {
        match weight {
            0..=1_000_000 => Ok(Self(weight)),
            _ => Err(format!("a weight is at most 1000000, not {weight}")),
        }
    }
}

/// What something names that says no group or no kind.
fn or<'a>(written: Option<&'a str>, default: &'static str) -> &'a str {
    written.unwrap_or(default)
}

impl ParentRef {
    #[must_use]
    pub fn named(&self) -> Named<'_> {
        let namespace = self.namespace.as_deref();
        Named { what: self.what(), namespace, name: &self.name, port: self.port() }
    }

    /// `group`, `kind`.
    #[must_use]
    pub fn what(&self) -> (&str, &str) {
        (or(self.group.as_deref(), GROUP), or(self.kind.as_deref(), "Gateway"))
    }

    #[must_use]
    pub fn port(&self) -> Option<NonZeroU16> {
        self.port.map(|port| port.0)
    }
}

macro_rules! service_unless_said {
    ($([$($filter:ident)?] $name:ty;)*) => {$(
        impl$(<$filter>)? $name {
            #[must_use]
            pub fn named(&self) -> Named<'_> {
                let namespace = self.namespace.as_deref();
                Named { what: self.what(), namespace, name: &self.name, port: self.port() }
            }

            /// `group`, `kind`.
            #[must_use]
            pub fn what(&self) -> (&str, &str) {
                (or(self.group.as_deref(), ""), or(self.kind.as_deref(), "Service"))
            }

            #[must_use]
            pub fn port(&self) -> Option<NonZeroU16> {
                self.port.map(|port| port.0)
            }

            pub(super) fn check(&self, at: Mark, meta: &Meta, problems: &mut Vec<Problem>) {
                if self.what() == ("", "Service") && self.port.is_none() {
                    let problem = meta.at(at).error("a Service is named without its port");
                    problems.push(problem.with_fix("write port"));
                }
            }
        }
    )*};
}

service_unless_said! {
    [] BackendRef;
    [F] FilteredRef<F>;
    [] MirrorRef;
}

impl BackendRef {
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.map_or(1, |weight| weight.0)
    }
}

impl<F> FilteredRef<F> {
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.map_or(1, |weight| weight.0)
    }
}

impl SecretRef {
    /// `group`, `kind`.
    #[must_use]
    pub fn what(&self) -> (&str, &str) {
        (or(self.group.as_deref(), ""), or(self.kind.as_deref(), "Secret"))
    }
}

/// Something of an object that may be named several times, each time another part of it.
pub(super) trait Part {
    /// Which object.
    fn whole(&self) -> impl Eq;
    fn section(&self) -> Option<&str>;
}

impl Part for ParentRef {
    fn whole(&self) -> impl Eq {
        (self.what(), &self.name, &self.namespace)
    }

    fn section(&self) -> Option<&str> {
        self.section_name.as_deref()
    }
}

/// Several references to one object name different sections of it.
pub(super) fn parts<T: Part>(refs: &[Spanned<T>], meta: &Meta, problems: &mut Vec<Problem>) {
    for (index, one) in refs.iter().enumerate() {
        let earlier = refs.get(..index).unwrap_or_default();
        for other in earlier.iter().filter(|other| other.value.whole() == one.value.whole()) {
            let message = match (one.value.section(), other.value.section()) {
                (None, None) => "this is named already: a second time needs sectionName",
                (Some(one), Some(other)) if one == other => "this sectionName is named already",
                (Some(_), Some(_)) => continue,
                (None, Some(_)) | (Some(_), None) => {
                    "this is named twice: then each time needs sectionName"
                }
            };
            problems.push(meta.at(one.at).error(message));
            break;
        }
    }
}
