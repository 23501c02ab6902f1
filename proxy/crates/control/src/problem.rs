//! What is wrong with a manifest, and where.
use serde::Serialize;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

mod code;

mod field;

pub use code::Code;

/// Characters of a source line shown around the place of a problem.
const SNIPPET_WIDTH: usize = 100;

/// A text that objects were read from.
#[derive(Debug)]
pub struct Source {
    name: Box<str>,
    text: Arc<str>,
    /// It is one object in JSON that nobody wrote so: places in it are fields, not lines.
    is_object: bool,
    /// Where its lines begin; found when the first problem is shown, for there may be thousands.
    lines: OnceLock<Box<[usize]>>,
}

/// A place in a [`Source`]; line and column count from 1, columns in characters. In an object of
/// an API there is no line (0), and the column is the number of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
}

/// Where something was written.
#[derive(Clone)]
pub struct Origin {
    source: Arc<Source>,
    mark: Mark,
}

/// Something a person has to know of a manifest.
///
/// `Display` prints `file:line:column: message`, the source line with a caret, and the fix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    pub file: String,
    /// 0: it is an object of an API, and has no lines.
    pub line: u32,
    pub column: u32,
    /// Which one, where there are no lines: `spec.rules[0].from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub severity: Severity,
    pub code: Code,
    /// `Kind/namespace/name` of the object, as far as it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Whether a set with this problem can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The whole set is refused.
    Error,
    /// The set is used; it may not mean what its author thinks.
    Warning,
    /// Nothing is wrong; it is worth knowing.
    Info,
}

/// What is printed under a problem's first line.
struct Below<'a>(&'a Problem);

/// The part of a source line that is worth showing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Snippet {
    pub text: String,
    /// Which character of `text` is meant, from 0.
    pub caret: usize,
}

impl Source {
    pub fn new(name: impl Into<Box<str>>, text: impl Into<Arc<str>>) -> Arc<Self> {
        let (name, text, lines) = (name.into(), text.into(), OnceLock::new());
        Arc::new(Self { name, text, is_object: false, lines })
    }

    /// One object of an API, in JSON.
    pub fn object(name: impl Into<Box<str>>, json: Arc<str>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: json, is_object: true, lines: OnceLock::new() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn line(&self, index: usize) -> Option<&str> {
        let ends = || self.text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = self.lines.get_or_init(|| [0].into_iter().chain(ends()).collect());
        self.text.get(*starts.get(index)?..)?.lines().next()
    }

    fn snippet(&self, mark: Mark) -> Option<Snippet> {
        let line = self.line(usize::try_from(mark.line).ok()?.checked_sub(1)?)?;
        // A Secret that is written in one line: whatever is meant, its content is beside it.
        if line.contains("Secret") && line.contains("ata") {
            return None;
        }
        let column = usize::try_from(mark.column).ok()?.saturating_sub(1);
        // A manifest of one line of JSON is shown around the place, not whole.
        let start = if column < SNIPPET_WIDTH { 0 } else { column - SNIPPET_WIDTH / 2 };
        let shown = line.trim_end().chars().skip(start).take(SNIPPET_WIDTH);
        let text = printable(&shown.collect::<String>());
        Some(Snippet { text, caret: column - start })
    }
}

impl Mark {
    /// The beginning of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// A value of an object of an API, by its number.
    pub(crate) fn value(number: u32) -> Self {
        Self { line: 0, column: number }
    }
}

impl Origin {
    pub fn new(source: &Arc<Source>, mark: Mark) -> Self {
        Self { source: Arc::clone(source), mark }
    }

    /// The same file, elsewhere.
    #[must_use]
    pub fn at(&self, mark: Mark) -> Self {
        Self { source: Arc::clone(&self.source), mark }
    }

    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The line of the text.
    pub(crate) fn line_text(&self) -> Option<&str> {
        self.source.line(usize::try_from(self.mark.line).ok()?.checked_sub(1)?)
    }

    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// All of the text.
    pub(crate) fn text(&self) -> &str {
        self.source.text()
    }

    pub fn line(&self) -> u32 {
        self.mark.line
    }

    /// Whether a place is a line: not so in an object of an API.
    pub(crate) fn has_lines(&self) -> bool {
        !self.source.is_object
    }

    /// The field, in an object that has no lines; of the whole there is none.
    fn field(&self) -> Option<String> {
        if self.has_lines() || self.mark.column == 0 {
            return None;
        }
        let field = field::of_value(&self.source.text, self.mark.column)?;
        // Who is named is said anyway.
        (!field.is_empty() && field != "metadata.name").then_some(field)
    }

    pub fn column(&self) -> u32 {
        self.mark.column
    }

    /// An error here.
    pub fn error(&self, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file().to_owned(),
            line: self.line(),
            column: self.column(),
            field: self.field(),
            severity: Severity::Error,
            code: Code::Rule,
            object: None,
            message: printable(&message.into()),
            snippet: self.source.snippet(self.mark),
            fix: None,
        }
    }

    /// A warning here.
    pub fn warning(&self, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..self.error(message) }
    }

    /// Something worth knowing here.
    pub(crate) fn info(&self, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Info, ..self.error(message) }
    }
}

impl Severity {
    /// As JSON says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl Problem {
    #[must_use]
    pub fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(printable(&fix.into())), ..self }
    }

    /// Of this kind; unless said, a rule of the object's kind is broken.
    #[must_use]
    pub(crate) fn coded(self, code: Code) -> Self {
        Self { code, ..self }
    }

    #[must_use]
    pub fn of(self, object: impl fmt::Display) -> Self {
        Self { object: Some(object.to_string()), ..self }
    }

    /// For a log: the place, what is wrong, and what to do about it.
    pub fn in_one_line(&self) -> String {
        let Self { message, .. } = self;
        let fix = self.fix.as_ref().map_or(String::new(), |fix| format!("; {fix}"));
        format!("{}: {message}{fix}", self.place())
    }

    /// For whoever knows which object it is: the field, what is wrong, and what to do about it.
    pub(crate) fn without_place(&self) -> String {
        let Self { message, .. } = self;
        let field = self.field.as_ref().map_or(String::new(), |field| format!("{field}: "));
        let fix = self.fix.as_ref().map_or(String::new(), |fix| format!("; {fix}"));
        format!("{field}{message}{fix}")
    }

    /// For who collects them: severity and code behind the place.
    pub fn in_full(&self) -> String {
        let Self { severity, code, .. } = self;
        format!(
            "{}: {}[{}]: {}{}",
            self.place(),
            severity.word(),
            code.name(),
            self.message,
            Below(self)
        )
    }

    /// `file:line:column`, or the object and its field.
    fn place(&self) -> String {
        let Self { file, line, column, field, .. } = self;
        match (line, field) {
            (0, Some(field)) => format!("{file}, {field}"),
            (0, None) => file.clone(),
            (_, _) => format!("{file}:{line}:{column}"),
        }
    }

    /// Without the source line, which may hold what must not be printed.
    #[must_use]
    pub(crate) fn without_snippet(self) -> Self {
        Self { snippet: None, ..self }
    }

    /// A problem of a file as a whole, which has no line to show.
    pub(crate) fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        let Mark { line, column } = Mark::START;
        Self {
            file: file.into(),
            line,
            column,
            field: None,
            severity: Severity::Error,
            code: Code::Unreadable,
            object: None,
            message: printable(&message.into()),
            snippet: None,
            fix: None,
        }
    }
}

/// `file:line`, or the object and its field.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field() {
            Some(field) => write!(f, "{}, {field}", self.file()),
            None if !self.has_lines() => f.write_str(self.file()),
            None => write!(f, "{}:{}", self.file(), self.line()),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file(), self.line(), self.column())
    }
}

/// Two origins are equal when they say the same place; the text is not compared.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        (self.file(), self.mark) == (other.file(), other.mark)
    }
}

impl Eq for Origin {}

impl PartialOrd for Origin {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Origin {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.file(), self.mark).cmp(&(other.file(), other.mark))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place())?;
        match self.severity {
            Severity::Error => {}
            Severity::Warning | Severity::Info => write!(f, "{}: ", self.severity.word())?,
        }
        write!(f, "{}{}", self.message, Below(self))
    }
}

/// The source line with a caret, and the fix.
impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, snippet, fix, .. } = self.0;
        let gutter = line.to_string().len();
        if let Some(Snippet { text, caret }) = snippet {
            write!(f, "\n {line} | {text}\n {:gutter$} | {:caret$}^", "", "")?;
        }
        match fix {
            Some(fix) => write!(f, "\n {:gutter$} = {fix}", ""),
            None => Ok(()),
        }
    }
}

/// Manifests are quoted to people: control characters would act on their terminal and break lines
/// of the log.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
