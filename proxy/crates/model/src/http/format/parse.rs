//! Templates from text.
use std::{str::FromStr, sync::Arc};

use super::{Operator, Part, Template};
use crate::http::field::NotAField;

mod command;
mod legacy;
mod names;

/// Why text is not a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATemplate {
    #[error("a per cent sign at {at} begins nothing; write %% for a per cent sign")]
    Stray { at: usize },
    #[error("the operator at {at} is not closed by a per cent sign: {text:?}")]
    Open { at: usize, text: Box<str> },
    #[error("no operator is called {0}")]
    Unknown(Box<str>),
    #[error("{0} comes without parameters")]
    Parameters(Box<str>),
    #[error("{0} comes with parameters in parentheses")]
    NoParameters(Box<str>),
    #[error("{0} comes without a length")]
    Length(Box<str>),
    #[error("{operator}: {what} is not one of {}", .allowed.join(", "))]
    Choice { operator: Box<str>, what: Box<str>, allowed: &'static [&'static str] },
    #[error("{operator} names a header and at most one alternative, with a question mark between")]
    Alternatives { operator: Box<str> },
    #[error("{operator}: {why}")]
    Header { operator: Box<str>, why: NotAField },
    #[error("{operator}: {why}")]
    Malformed { operator: Box<str>, why: &'static str },
}

impl FromStr for Template {
    type Err = NotATemplate;

    fn from_str(text: &str) -> Result<Self, NotATemplate> {
        read(text, Leniency::Log)
    }
}

impl Template {
    /// A header's value, in which the older forms of metadata operators are understood as well.
    ///
    /// # Errors
    ///
    /// When an operator is not known, or not written as it should be.
    pub fn header(text: &str) -> Result<Self, NotATemplate> {
        read(text, Leniency::Header)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Leniency {
    Log,
    Header,
}

fn read(text: &str, leniency: Leniency) -> Result<Template, NotATemplate> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            plain.push('%');
            rest = after;
            continue;
        }
        let at = text.len() - after.len() - 1;
        let (token, after) = token(after).ok_or_else(|| {
            let text = after.chars().take(32).collect::<String>().into();
            if after.is_empty() {
                NotATemplate::Stray { at }
            } else {
                NotATemplate::Open { at, text }
            }
        })?;
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain).into()));
        }
        let (operator, length) = match leniency {
            Leniency::Header => command::read(&legacy::translate(token))?,
            Leniency::Log => command::read(token)?,
        };
        parts.push(Part::Operator(operator, length));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain.into()));
    }
    Ok(Template::of(parts))
}

/// Divides text after a per cent sign at the one that ends the operator.
///
/// Per cent signs inside the parentheses are the parameter's (`START_TIME(%Y)`); the parameter ends
/// at the first parenthesis that only a length and a per cent sign follow.
fn token(text: &str) -> Option<(&str, &str)> {
    let name = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    if name == 0 {
        return None;
    }
    let after = text.get(name..)?;
    if !after.starts_with('(') {
        return text.split_once('%');
    }
    for (at, _) in after.match_indices(')') {
        let tail = after.get(at + 1..)?;
        let length = tail
            .strip_prefix(':')
            .map(|digits| digits.trim_start_matches(|c: char| c.is_ascii_digit()));
        let closed = length.unwrap_or(tail);
        if closed.starts_with('%') {
            let end = text.len() - closed.len();
            return Some((text.get(..end)?, closed.get(1..)?));
        }
    }
    None
}

fn arc(text: &str) -> Arc<str> {
    text.into()
}

type Read = Result<(Operator, Option<usize>), NotATemplate>;

#[cfg(test)]
mod tests;
