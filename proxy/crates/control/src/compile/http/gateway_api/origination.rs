//! TLS towards services: `BackendTLSPolicy`.
use super::{
    backend::Unresolved,
    status::{Condition, Says, Standing},
    world::{World, at},
};
use crate::{
    compile::http::plan::{
        Clients,
        traffic::{Credential, Name, Originate, Tls, Traffic, TrafficPolicy, Trust},
    },
    object::{
        gateway_api::backend_tls_policy::{BackendTlsPolicy, SubjectAltName, TargetRef},
        service::Service,
    },
};
use culvert_model::name::ServiceName;
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

/// How services are talked to, and what became of the policies that say so.
pub(super) fn plans(world: &World<'_>) -> (Vec<(ServiceName, Traffic)>, Vec<Standing>) {
    let mut traffic: BTreeMap<ServiceName, Traffic> = BTreeMap::new();
    // The oldest policy has a service, and each of its ports.
    let mut taken: BTreeMap<(ServiceName, Option<NonZeroU16>), &BackendTlsPolicy> = BTreeMap::new();
    let mut standings = Vec::new();
    for policy in &world.policies {
        let namespace = &*policy.meta.name.namespace;
        let origin = at("BackendTLSPolicy", &policy.meta);
        let (originate, wrong) = originate(world, policy);
        let mut accepted = Condition::fine("Accepted");
        let mut is_used = false;
        for target in policy.spec.target_refs.iter().map(|target| &target.value) {
            let (service, port) = match target_of(world, namespace, target) {
                Ok(found) => found,
                Err((reason, message)) => {
                    accepted = Condition::not("Accepted", reason, message);
                    continue;
                }
            };
            let host = world.host(service);
            if let Some(other) = taken.get(&(host.clone(), port)) {
                let message =
                    format!("{} is older, and says so of {}", other.meta.name, target.name);
                accepted = Condition::not("Accepted", "Conflicted", message);
                continue;
            }
            taken.insert((host.clone(), port), policy);
            is_used = true;
            let all = traffic.entry(host).or_insert_with(|| Traffic {
                at: origin.clone(),
                clients: Clients::default(),
                policy: TrafficPolicy::default(),
                ports: BTreeMap::new(),
                subsets: BTreeMap::new(),
            });
            let tls = Tls::Originate(Box::new(originate.clone()));
            match port {
                Some(port) => {
                    all.ports.insert(port, TrafficPolicy { tls, ..TrafficPolicy::default() });
                }
                None => all.policy.tls = tls,
            }
        }
        if let (Some((_, message)), true) = (&wrong, is_used) {
            accepted = Condition::not("Accepted", "NoValidCACertificate", message.clone());
        }
        let resolved = match wrong {
            Some((reason, message)) => Condition::not("ResolvedRefs", reason, message),
            None => Condition::fine("ResolvedRefs"),
        };
        let says = Says::Policy(vec![accepted, resolved]);
        standings.push(Standing { object: origin.object, says });
    }
    (traffic.into_iter().collect(), standings)
}

fn target_of<'a>(
    world: &World<'a>,
    namespace: &str,
    target: &TargetRef,
) -> Result<(&'a Service, Option<NonZeroU16>), Unresolved> {
    let TargetRef { group, kind, name, section_name } = target;
    if (&**group, &**kind) != ("", "Service") {
        return Err(("Invalid", format!("{kind} {name} is no Service")));
    }
    let service = world
        .service(namespace, name)
        .ok_or_else(|| ("TargetNotFound", format!("there is no Service {namespace}/{name}")))?;
    let Some(section) = section_name.as_deref() else { return Ok((service, None)) };
    let port = service.ports.iter().find(|port| port.name == section);
    let port = port.ok_or_else(|| {
        ("TargetNotFound", format!("Service {namespace}/{name} has no port named {section}"))
    })?;
    Ok((service, Some(port.number)))
}

/// What is asked for; where it cannot be had, roots that nobody has, so that nothing is sent.
fn originate(world: &World<'_>, policy: &BackendTlsPolicy) -> (Originate, Option<Unresolved>) {
    let namespace = &policy.meta.name.namespace;
    let validation = &policy.spec.validation.value;
    let nobody = |name: &str| {
        Trust::Only(Credential::Secret { namespace: Arc::clone(namespace), name: name.into() })
    };
    let mut wrong = None;
    let trust =
        match (validation.ca_certificate_refs.first(), &validation.well_known_ca_certificates) {
            (Some(named), _) => {
                let (group, kind, name) =
                    (&*named.value.group, &*named.value.kind, &*named.value.name);
                match (group, kind) {
                    ("", "ConfigMap") => {
                        let lacks = world.lacks_roots(namespace, name);
                        wrong = lacks.map(|lacks| ("InvalidCACertificateRef", lacks));
                        let (namespace, name) = (Arc::clone(namespace), name.into());
                        Trust::Only(Credential::ConfigMap { namespace, name })
                    }
                    ("", "Secret") => nobody(name),
                    _ => {
                        let message = format!("{kind} {name} is neither a ConfigMap nor a Secret");
                        wrong = Some(("InvalidKind", message));
                        nobody(name)
                    }
                }
            }
            (None, Some(known)) if &**known == "System" => Trust::System,
            (None, known) => {
                let name = known.as_deref().unwrap_or("nothing");
                wrong =
                    Some(("InvalidKind", format!("nobody here knows the certificates of {name}")));
                nobody(name)
            }
        };
    let name = |name: &SubjectAltName| match name {
        SubjectAltName::Hostname(host) => Name::Dns((**host).into()),
        SubjectAltName::Uri(uri) => Name::Uri((**uri).into()),
    };
    let originate = Originate {
        trust,
        revoked: None,
        client: None,
        sni: Some((*validation.hostname).into()),
        names: validation.subject_alt_names.iter().map(name).collect(),
        insecure: false,
    };
    (originate, wrong)
}
