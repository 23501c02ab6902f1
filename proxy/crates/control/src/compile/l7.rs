//! The label that asks for L7 without any rule, for what it tells.
use crate::{
    object::{meta::Meta, spanned::Spanned},
    problem::Problem,
};

/// On a namespace, or a service of it, which counts before.
pub(super) const LABEL: &str = "culvert.dev/l7";

/// Whether an object asks, or else its namespace.
pub(super) fn is_asked(own: Option<&Meta>, namespace: Option<&Meta>) -> bool {
    let said = own.and_then(label).or_else(|| namespace.and_then(label));
    said.is_some_and(|said| said.value == "enabled")
}

/// What is to be told of an object's label; `served`: somebody says what L7 is to do.
pub(super) fn notes(meta: &Meta, served: bool) -> Option<Problem> {
    let said = label(meta)?;
    let at = meta.at(said.at);
    match said.value.as_str() {
        "disabled" => None,
        "enabled" if served => None,
        "enabled" => {
            let note = at.warning(format!("label {LABEL}: nobody serves L7 here: ignored"));
            Some(note.with_fix("name a control plane that serves it with the setting l7_control"))
        }
        other => {
            let note = at.warning(format!("label {LABEL} is `{other}`: ignored"));
            Some(note.with_fix("write enabled or disabled"))
        }
    }
}

fn label(meta: &Meta) -> Option<&Spanned<String>> {
    meta.labels.get(LABEL)
}
