//! Text with `%…%` in it: values of headers, lines of access logs, bodies of local replies.
//!
//! What each operator prints is `policy::http::format`'s business; here is what can be written, and
//! the parser, which refuses what Envoy refuses.
use std::sync::Arc;

mod operator;
mod parse;

pub use self::{
    operator::{
        Address, AddressPart, Amount, Attempted, CertificatePart, Certificates, Clock, Close,
        FilterStateForm, GrpcForm, Headers, MetadataOf, Moment, Operator, PathChoice, Precision,
        QueryForm, Span, TimeForm, TlsPart,
    },
    parse::NotATemplate,
};

/// Text and operators in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(Arc<str>),
    /// An operator, and how many bytes of its value are printed at most (`:N`).
    Operator(Operator, Option<usize>),
}

/// `json_format`: a tree with a template wherever a string was written.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTemplate {
    Null,
    Bool(bool),
    Number(f64),
    /// One operator alone keeps its type (a number stays one); anything else is a string.
    Text(Template),
    List(Box<[Self]>),
    /// In the order of the names.
    Struct(Box<[(Arc<str>, Self)]>),
}

/// What an access log or a local reply prints.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// With the line's end, if it is to have one.
    Text(Template),
    /// One object; the line's end is added.
    Json(JsonTemplate),
}

impl Template {
    pub(crate) fn of(parts: Vec<Part>) -> Self {
        Self(parts.into())
    }

    /// Text that means itself, per cent signs included.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        if text.is_empty() { Self::default() } else { Self([Part::Text(text.into())].into()) }
    }

    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether one of its operators is so.
    pub fn any(&self, is: impl Fn(&Operator) -> bool) -> bool {
        self.parts().iter().any(|part| match part {
            Part::Text(_) => false,
            Part::Operator(operator, _) => is(operator),
        })
    }

    /// The text, if there is no operator in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl JsonTemplate {
    /// Whether one of its operators is so.
    pub fn any(&self, is: fn(&Operator) -> bool) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
            Self::Text(template) => template.any(is),
            Self::List(all) => all.iter().any(|one| one.any(is)),
            Self::Struct(all) => all.iter().any(|(_, one)| one.any(is)),
        }
    }
}

impl Format {
    /// Whether one of its operators is so.
    pub fn any(&self, is: fn(&Operator) -> bool) -> bool {
        match self {
            Self::Text(template) => template.any(is),
            Self::Json(template) => template.any(is),
        }
    }
}

/// Envoy's line, where no format is given.
pub const DEFAULT_LINE: &str = concat!(
    "[%START_TIME%] \"%REQUEST_HEADER(:METHOD)% %REQUEST_HEADER(X-ENVOY-ORIGINAL-PATH?:PATH)% ",
    "%PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESPONSE_HEADER(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQUEST_HEADER(X-FORWARDED-FOR)%\" ",
    "\"%REQUEST_HEADER(USER-AGENT)%\" \"%REQUEST_HEADER(X-REQUEST-ID)%\" ",
    "\"%REQUEST_HEADER(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n",
);
