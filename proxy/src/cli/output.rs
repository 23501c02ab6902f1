//! What is printed: tables and JSON on standard output, words on standard error.
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt,
    io::{self, Write as _},
};

/// `-o`: how a list is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Text,
    /// One stable JSON document.
    Json,
}

/// Prints `text` with a line end; a reader that went away (`| head`) is nobody's error.
pub(crate) fn print(text: impl fmt::Display) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// Says `text` on standard error.
pub(crate) fn say(text: impl fmt::Display) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Prints a document.
pub(crate) fn json(value: &impl Serialize) {
    // Plain structs with string keys always serialize.
    print(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints rows under heads, columns aligned.
pub(crate) fn table<const N: usize>(heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    print(render(heads, rows));
}

/// Rows under heads as aligned lines; never wrapped, because they are grepped and copied.
pub(crate) fn render<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let lines: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
    });
    let aligned = lines.iter().map(|line| {
        let cells: String =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        cells.trim_end().to_owned()
    });
    aligned.collect::<Vec<_>>().join("\n")
}

/// What the kernel can do, in words: `kernel 6.1.0, tcx, no netns cookie`.
pub(crate) fn capabilities(found: &Value) -> String {
    let Value::Object(found) = found else { return String::new() };
    let words = found.iter().map(|(name, value)| {
        let name = name.replace('_', " ");
        match value {
            Value::Bool(true) => name,
            Value::Bool(false) | Value::Null => format!("no {name}"),
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Array(_) | Value::Object(_) => format!("{name} {value}"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_without_blanks_at_the_end() {
        let rows = [["a".to_owned(), "b".to_owned()], ["long one".to_owned(), String::new()]];
        assert_eq!(render(["NAME", "VALUE"], rows), "NAME      VALUE\na         b\nlong one");
    }
}
