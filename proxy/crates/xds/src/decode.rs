//! From the wire to words of the model.
//!
//! A resource that is not understood in full is refused as a whole, and the error names the field:
//! one condition dropped from a rule would let in whoever it kept out.
//! Messages are taken apart without `..`, so that a new field does not compile until somebody
//! decides what it means. What only informs (which protocol, which kind of owner) may be unknown.
use culvert_model::identity::NotAnIdentity;
use ipnet::IpNet;
use std::{borrow::Cow, fmt, net::IpAddr, num::NonZeroU16};

pub mod authorization;
pub(crate) mod gateway;
pub(crate) mod l7;
pub mod service;
pub mod workload;

/// Why a message was refused: the field's path, then what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    path: String,
    problem: Problem,
}

/// What can be wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("not set")]
    Missing,
    #[error("empty")]
    Empty,
    #[error("address has {0} bytes, want 4 or 16")]
    AddressLength(usize),
    #[error("{0} cannot be the address of a workload")]
    Address(IpAddr),
    #[error("prefix length {0} is too long for {1}")]
    PrefixLength(u32, IpAddr),
    #[error("{0} is not a port")]
    Port(u32),
    #[error("{0} is no value that this version knows")]
    Unknown(i32),
    #[error("set, and this version does not implement it")]
    Unsupported,
    #[error("\"{0}\" is not {1}")]
    Form(String, &'static str),
    #[error("\"{0}\" cannot be a server's identity: {1}")]
    Identity(String, NotAnIdentity),
    #[error(transparent)]
    NotAnIdentity(NotAnIdentity),
    #[error("the resource says that it is \"{0}\"")]
    OtherName(String),
    #[error("named twice in one response")]
    Twice,
    #[error("is of type \"{0}\"")]
    OtherType(String),
    #[error("cannot be read: {0}")]
    Bytes(culvert_proto::DecodeError),
}

impl DecodeError {
    /// Something wrong with the resource as a whole.
    #[must_use]
    pub fn whole(problem: Problem) -> Self {
        Self { path: String::new(), problem }
    }

    /// The field; empty when the resource as a whole is meant.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The same, seen from the message around it.
    #[must_use]
    pub(crate) fn within(self, outer: &str) -> Self {
        let path = match &*self.path {
            "" => outer.to_owned(),
            inner => format!("{outer}.{inner}"),
        };
        Self { path, ..self }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => self.problem.fmt(f),
            path => write!(f, "{path}: {}", self.problem),
        }
    }
}

pub(crate) fn at<'a>(path: impl Into<Cow<'a, str>>, problem: Problem) -> DecodeError {
    DecodeError { path: path.into().into_owned(), problem }
}

/// Decodes each of `items`; an error says which one.
pub(crate) fn each<T, U, B: FromIterator<U>>(
    field: &str,
    items: impl IntoIterator<Item = T>,
    decode: impl Fn(T) -> Result<U, DecodeError>,
) -> Result<B, DecodeError> {
    (items.into_iter().enumerate())
        .map(|(i, item)| decode(item).map_err(|error| error.within(&format!("{field}[{i}]"))))
        .collect()
}

/// An enum's value, which must be known.
pub(crate) fn known<T: TryFrom<i32>>(field: &str, value: i32) -> Result<T, DecodeError> {
    T::try_from(value).map_err(|_unknown| at(field, Problem::Unknown(value)))
}

/// A v4-mapped address comes out as IPv4.
pub(crate) fn ip(bytes: &[u8]) -> Result<IpAddr, Problem> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        Ok(v4.into())
    } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        Ok(IpAddr::from(v6).to_canonical())
    } else {
        Err(Problem::AddressLength(bytes.len()))
    }
}

/// An address and the length of its prefix, both as they are on the wire.
pub(crate) fn net(bytes: &[u8], length: Option<u32>) -> Result<IpNet, Problem> {
    let canonical = ip(bytes)?;
    let Some(length) = length else { return Ok(canonical.into()) };
    // Not yet made IPv4: the length is one of IPv6.
    let addr = <[u8; 16]>::try_from(bytes).map_or(canonical, IpAddr::from);
    u8::try_from(length)
        .ok()
        .and_then(|length| IpNet::new(addr, length).ok())
        .ok_or(Problem::PrefixLength(length, addr))
}

/// A port that there can be.
pub(crate) fn port(value: u32) -> Result<NonZeroU16, Problem> {
    port_or_none(value)?.ok_or(Problem::Port(0))
}

/// A port, or 0 for none.
pub(crate) fn port_or_none(value: u32) -> Result<Option<NonZeroU16>, Problem> {
    u16::try_from(value).map(NonZeroU16::new).map_err(|_large| Problem::Port(value))
}

/// `left/right`, neither empty, `right` without a slash.
pub(crate) fn pair<'a>(s: &'a str, form: &'static str) -> Result<(&'a str, &'a str), Problem> {
    s.split_once('/')
        .filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains('/'))
        .ok_or_else(|| Problem::Form(s.to_owned(), form))
}

/// `value`, or what the empty string stands for.
pub(crate) fn or<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.is_empty() { default } else { value }
}
