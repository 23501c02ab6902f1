//! YAML, and what it means as JSON.
use serde_json::Value;
use serde_saphyr::Error;

/// Why a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotYaml(String);

/// Reads one document; JSON is YAML also.
///
/// # Errors
///
/// On bad syntax, keys given twice, and more than one document.
pub fn read(text: &str) -> Result<Value, NotYaml> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        // `name: y` is a name; fields that are true or false take `yes` all the same.
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_nodes: 10_000_000,
            max_events: 20_000_000,
            max_total_scalar_bytes: 256 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 5_000_000 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| NotYaml(said(&error)))
}

/// What is wrong, in a line.
fn said(error: &Error) -> String {
    if let Error::AliasError { error, .. } = error {
        return said(error);
    }
    if let Error::DuplicateMappingKey { key, location } = error {
        let key = key.as_deref().unwrap_or("a key");
        let (line, column) = (location.line(), location.column());
        return format!("{key} is there twice: again at line {line}, column {column}");
    }
    error.to_string().lines().next().unwrap_or("not YAML").to_owned()
}
