//! What must pass L7, off the wire: an extension of our own on workloads and services.
use super::{DecodeError, Problem, at, each, port, workload::decode_policy};
use culvert_model::{l7::L7Ports, name::ObjectName};
use culvert_proto::{Any, Message as _, culvert::l7::v1::MustPass, istio::workload::Extension};
use std::sync::Arc;

/// The extension's name.
pub(crate) const NAME: &str = "culvert.dev/l7";

/// What it holds.
pub(crate) const TYPE_URL: &str = "type.googleapis.com/culvert.l7.v1.MustPass";

/// What of ours begins with.
const OWN: &str = "culvert.dev/";

/// Takes in what extensions ask for; those of others are none of ours.
///
/// # Errors
///
/// On one of our own that this version does not know or cannot read.
pub(super) fn decode(extensions: &[Extension]) -> Result<L7Ports, DecodeError> {
    let mut found = None;
    let own = extensions.iter().enumerate().filter(|(_, one)| one.name.starts_with(OWN));
    for (i, Extension { name, config }) in own {
        let field = format!("extensions[{i}]");
        if name != NAME {
            return Err(at(field, Problem::Unsupported));
        }
        let ports = must_pass(config.as_ref()).map_err(|error| error.within(&field))?;
        if found.replace(ports).is_some() {
            return Err(at(field, Problem::Unsupported));
        }
    }
    Ok(found.unwrap_or_default())
}

fn must_pass(config: Option<&Any>) -> Result<L7Ports, DecodeError> {
    let config = config.ok_or_else(|| at("config", Problem::Missing))?;
    if config.type_url != TYPE_URL {
        return Err(at("config", Problem::OtherType(config.type_url.clone())));
    }
    let read = MustPass::decode(&*config.value);
    let MustPass { ports, namespaces, policies } =
        read.map_err(|error| at("config", Problem::Bytes(error)))?;
    let ports: L7Ports =
        each("config.ports", ports, |number| port(number).map_err(DecodeError::whole))?;
    let policies: Vec<ObjectName> = each("config.policies", policies, |name| decode_policy(&name))?;
    Ok(ports.only_for(namespaces.into_iter().map(Arc::from)).deciding(policies))
}
