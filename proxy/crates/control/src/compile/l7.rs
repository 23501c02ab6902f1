//! What must pass L7: ports that a label asks it for.
use crate::{
    object::{meta::Meta, namespace::Namespace, spanned::Spanned},
    problem::Problem,
};
use culvert_model::{
    l7::L7Ports,
    service::{AppProtocol, Port},
};

/// On a namespace, or a service of it, which counts before.
pub(super) const LABEL: &str = "culvert.dev/l7";

/// The ports of an object in `namespace`; `told`: somebody says what L7 is to do with them.
///
/// Of those alone on which HTTP is spoken: what else there is says nothing that L7 could see, and a
/// server that speaks first is not waited for.
pub(super) fn asked_for(
    meta: &Meta,
    namespace: Option<&Namespace>,
    ports: &[Port],
    told: bool,
    notes: &mut Vec<Problem>,
) -> L7Ports {
    let (own, around) = (label(meta), namespace.and_then(|namespace| label(&namespace.meta)));
    let Some(said) = own.or(around) else { return L7Ports::default() };
    match said.value.as_str() {
        "enabled" if told => {}
        "enabled" => {
            if let Some(own) = own {
                let message = format!("label {LABEL}: nobody serves L7 here: ignored");
                let note = meta.at(own.at).warning(message);
                let fix = "name a control plane that serves it with the setting l7_control";
                notes.push(note.with_fix(fix));
            }
            return L7Ports::default();
        }
        "disabled" => return L7Ports::default(),
        other => {
            if let Some(own) = own {
                let message = format!("label {LABEL} is `{other}`: ignored");
                notes.push(meta.at(own.at).warning(message).with_fix("write enabled or disabled"));
            }
            return L7Ports::default();
        }
    }
    let is_http = |port: &&Port| {
        matches!(port.protocol, AppProtocol::Http1 | AppProtocol::Http2 | AppProtocol::Grpc)
    };
    ports.iter().filter(is_http).map(|port| port.port).collect()
}

fn label(meta: &Meta) -> Option<&Spanned<String>> {
    meta.labels.get(LABEL)
}
