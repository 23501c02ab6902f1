//! Manifests as typed objects that know where they were written.
//!
//! Text becomes trees (`yaml`, the only user of the YAML library; `json` for objects of an API),
//! trees become types (`decode`), by kind (`kind`). A further kind is a row in `kind`, and a module beside
//! `namespace` with its own serde types.

pub(crate) mod node;

pub(crate) mod yaml;

mod json;

mod fault;

pub(crate) mod guess;

pub mod spanned;

pub(crate) mod decode;

pub(crate) mod kind;

mod limit;

mod name;

pub mod meta;

mod written;

pub(crate) mod port;

mod selector;

pub mod namespace;

pub mod pod;

pub mod host;

pub mod service;

pub mod slice;

pub mod workload_entry;

pub mod service_entry;

pub mod peer_authentication;

pub mod authorization_policy;

pub mod config_map;

pub mod gateway_api;

pub mod roots;

pub mod secret;

pub mod service_account;

pub mod workload;

pub mod istio;

pub(crate) mod read;

pub(crate) mod closed;

#[cfg(test)]
mod tests;

use crate::problem::{Code, Origin, Problem, Source};
use std::sync::Arc;

macro_rules! objects {
    ($($kind:ident $field:ident $type:ty,
        $group:literal $name:literal [$($version:literal),*] $when:ident;)*) => {
        /// Everything that was read, in the order it was read.
        #[derive(Clone, Debug, Default)]
        pub struct Objects {
            $(pub $field: Vec<Arc<$type>>,)*
            /// What was there and is not used.
            pub skipped: Vec<Skipped>,
            /// How many objects there were, whatever became of them.
            pub seen: usize,
        }

        impl Objects {
            pub(crate) fn append(&mut self, more: Self) {
                $(self.$field.extend(more.$field);)*
                self.skipped.extend(more.skipped);
                self.seen += more.seen;
            }
        }
    };
}

kind::for_each_kind!(objects);

/// An object of a kind that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub api_version: String,
    pub kind: String,
    /// `namespace/name`, `name`, or empty, as far as it says.
    pub name: String,
    pub origin: Origin,
    pub because: Because,
}

/// Why an object is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The kind is known, to a later version.
    NotYetUsed,
    UnknownKind,
}

impl Objects {
    /// Reads the documents of one text, YAML or JSON; `name` is what problems call it.
    ///
    /// Objects without problems are read though others have some.
    pub fn parse(name: &str, bytes: &[u8]) -> (Self, Vec<Problem>) {
        match str::from_utf8(bytes) {
            Ok(text) => read::read(&Source::new(name, text)),
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
                let problem = Problem::of_file(name, "this is not UTF-8 text");
                let problem = problem.coded(Code::NotUtf8);
                let problem = problem.with_fix("save it as UTF-8, or move it out of the folder");
                let line = u32::try_from(line).unwrap_or(u32::MAX);
                (Self::default(), vec![Problem { line, ..problem }])
            }
        }
    }

    /// Reads one object of an API, as JSON.
    pub fn of_api(source: &Arc<Source>) -> (Self, Vec<Problem>) {
        read::read_one(source)
    }
}

impl Skipped {
    /// A warning, when the kind looks like a slip for one that is used: a namespace that is
    /// skipped for its spelling takes all its pods out of the mesh.
    pub(crate) fn note(&self) -> Option<Problem> {
        if self.because != Because::UnknownKind || self.api_version.contains('/') {
            return None;
        }
        let meant = guess::closest(&self.kind, &kind::core())?;
        let note = self.origin.warning(format!("unknown kind `{}`: skipped", self.kind));
        Some(note.coded(Code::UnknownKind).with_fix(format!("did you mean `{meant}`?")))
    }
}

impl Because {
    /// For a person.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotYetUsed => "not used yet by this version",
            Self::UnknownKind => "unknown kind",
        }
    }
}
