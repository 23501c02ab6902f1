//! `RegexMatcher`: patterns in RE2's language, compiled for this program's engine.
//!
//! Both engines take linear time. Where their languages differ, patterns are translated: `\d`, `\w`,
//! `\s`, `\b` mean ASCII; a brace that repeats nothing, and a bracket inside a class, stand for
//! themselves; `\Q…\E` quotes.
use std::{borrow::Cow, sync::Arc};

use regex::bytes;

/// A pattern that the whole text must match.
#[derive(Clone, Debug)]
pub struct Regex {
    text: Arc<str>,
    whole: bytes::Regex,
}

/// `RegexMatchAndSubstitute`: every place that matches, replaced.
#[derive(Clone, Debug)]
pub struct Substitution {
    text: Arc<str>,
    pattern: bytes::Regex,
    /// As RE2 writes it: `\0` is the whole match, `\1` the first group, `\\` a backslash.
    replacement: Arc<str>,
    parts: Box<[Piece]>,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARegex {
    #[error("{pattern:?} is not a regular expression: {why}")]
    Malformed { pattern: Box<str>, why: Box<str> },
    #[error("{0:?} is not a substitution: after a backslash comes a digit or another backslash")]
    Replacement(Box<str>),
    #[error("the substitution {replacement:?} names group {group}, and the pattern has {groups}")]
    Group { replacement: Box<str>, group: usize, groups: usize },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Group(usize),
}

impl Regex {
    /// Compiles a pattern of RE2's language.
    ///
    /// # Errors
    ///
    /// When it is none, or takes more memory than a pattern may.
    pub fn new(pattern: &str) -> Result<Self, NotARegex> {
        let whole = compile(pattern, &format!(r"\A(?:{})\z", translate(pattern)))?;
        Ok(Self { text: pattern.into(), whole })
    }

    /// The pattern, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of a text matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.whole.is_match(text)
    }
}

impl Substitution {
    /// Compiles a pattern of RE2's language and what takes the place of its matches.
    ///
    /// # Errors
    ///
    /// When either is malformed, or a group is named that the pattern has not.
    pub fn new(pattern: &str, replacement: &str) -> Result<Self, NotARegex> {
        let parts = pieces(replacement)?;
        let text = pattern.into();
        let pattern = compile(pattern, &translate(pattern))?;
        let groups = pattern.captures_len() - 1;
        for piece in &parts {
            if let Piece::Group(group) = *piece
                && group > groups
            {
                return Err(NotARegex::Group { replacement: replacement.into(), group, groups });
            }
        }
        Ok(Self { text, pattern, replacement: replacement.into(), parts })
    }

    /// The text with every match replaced; itself if there is none.
    #[must_use]
    pub fn apply<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        self.pattern.replace_all(text, |found: &bytes::Captures<'_>| {
            let mut out = Vec::new();
            for piece in &self.parts {
                match piece {
                    Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                    Piece::Group(group) => {
                        out.extend_from_slice(found.get(*group).map_or(b"", |m| m.as_bytes()));
                    }
                }
            }
            out
        })
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Regex {}

impl PartialEq for Substitution {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.replacement == other.replacement
    }
}

impl Eq for Substitution {}

fn compile(written: &str, translated: &str) -> Result<bytes::Regex, NotARegex> {
    bytes::Regex::new(translated).map_err(|error| {
        // The engine draws the place of the mistake over several lines; its last line is the reason.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        NotARegex::Malformed { pattern: written.into(), why: why.into() }
    })
}

fn pieces(replacement: &str) -> Result<Box<[Piece]>, NotARegex> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('\\') => text.push('\\'),
            Some(digit) if digit.is_ascii_digit() => {
                if !text.is_empty() {
                    parts.push(Piece::Text(std::mem::take(&mut text).into()));
                }
                parts.push(Piece::Group(digit as usize - '0' as usize));
            }
            _ => return Err(NotARegex::Replacement(replacement.into())),
        }
    }
    if !text.is_empty() {
        parts.push(Piece::Text(text.into()));
    }
    Ok(parts.into())
}

/// A pattern of RE2's language in that of `regex`.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    // How deep in a class, and whether its first character is still to come.
    let mut class: Option<bool> = None;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let first = class == Some(true);
        if class.is_some() && !(first && c == '^') {
            class = Some(false);
        }
        rest = match c {
            '\\' => escape(&mut out, after),
            '[' if class.is_none() => {
                class = Some(true);
                out.push(c);
                after
            }
            '[' if !after.starts_with(':') => {
                out.push_str(r"\[");
                after
            }
            '[' => {
                let end = after.find(":]").map_or(after.len(), |at| at + 2);
                out.push('[');
                out.push_str(after.get(..end).unwrap_or_default());
                after.get(end..).unwrap_or_default()
            }
            ']' if first => {
                out.push_str(r"\]");
                after
            }
            ']' => {
                class = None;
                out.push(c);
                after
            }
            '&' | '~' if class.is_some() => {
                out.push('\\');
                out.push(c);
                after
            }
            '-' if class.is_some() && after.starts_with('-') => {
                out.push_str(r"\-");
                after
            }
            '{' if class.is_none() && !repeats(after) => {
                out.push_str(r"\{");
                after
            }
            _ => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// Whether what follows a brace is `n}`, `n,}` or `n,m}`.
fn repeats(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match inside.split_once(',') {
        None => digits(inside),
        Some((least, most)) => digits(least) && (most.is_empty() || digits(most)),
    }
}

/// Writes what an escape means; returns what is left of the pattern.
fn escape<'a>(out: &mut String, after: &'a str) -> &'a str {
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let rest = after.get(c.len_utf8()..).unwrap_or_default();
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' => out.push_str(r"(?-u:\b)"),
        'B' => out.push_str(r"(?-u:\B)"),
        'Q' => {
            let (quoted, rest) = rest.split_once(r"\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return rest;
        }
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    rest
}

#[cfg(test)]
mod tests;
