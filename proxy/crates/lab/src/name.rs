//! What things of a lab are called.
use crate::error::LabError;

/// What the proxy of a node is called; unique on the machine.
pub(crate) fn instance_name(lab: &str, node: &str) -> String {
    format!("lab-{lab}-{node}")
}

/// Checks a part of a name: without a dash, parts joined by dashes are never mistaken.
pub(crate) fn check_name(name: &str, max: usize) -> Result<(), LabError> {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=max).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(LabError::Name { name: name.to_owned(), max })
}
