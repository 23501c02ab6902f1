//! Who may do what, in both of its forms, for requests and connections.
use super::{
    Got, Path, Wrong,
    basic::{each, inner, known, must, network, open, port},
    header::{header, url_path},
    text::string,
    tree::tree,
    value::metadata_match,
};
use culvert_model::http::{
    matcher::ValueRange,
    rbac::{Action, Engine, Permission, Policies, Policy, Principal, Rbac, Verdict},
    value::MetadataMatch,
};
use culvert_proto::api::{
    envoy::{
        config::{
            core::v3::TypedExtensionConfig,
            rbac::v3::{self as rbac, permission::Rule, principal::Identifier, rbac as rbac_mod},
        },
        extensions::filters::{http::rbac::v3 as http_pb, network::rbac::v3 as network_pb},
        r#type::matcher::v3::filter_state_matcher::Matcher as FilterState,
    },
    xds::{core::v3 as xds, r#type::matcher::v3::Matcher},
};

pub(super) fn http(value: &http_pb::Rbac, path: &Path<'_>) -> Got<Rbac> {
    let same = network_pb::Rbac {
        rules: value.rules.clone(),
        matcher: value.matcher.clone(),
        shadow_rules: value.shadow_rules.clone(),
        shadow_matcher: value.shadow_matcher.clone(),
        shadow_rules_stat_prefix: value.shadow_rules_stat_prefix.clone(),
        ..network_pb::Rbac::default()
    };
    Ok(Rbac {
        rules_prefix: value.rules_stat_prefix.as_str().into(),
        track_rules: value.track_per_rule_stats,
        ..connections(&same, path)?
    })
}

pub(super) fn connections(value: &network_pb::Rbac, path: &Path<'_>) -> Got<Rbac> {
    Ok(Rbac {
        rules: engine(&value.rules, &value.matcher, ["rules", "matcher"], path)?,
        shadow: engine(
            &value.shadow_rules,
            &value.shadow_matcher,
            ["shadow_rules", "shadow_matcher"],
            path,
        )?,
        shadow_prefix: value.shadow_rules_stat_prefix.as_str().into(),
        rules_prefix: "".into(),
        track_rules: false,
    })
}

fn engine(
    rules: &Option<rbac::Rbac>,
    matcher: &Option<Matcher>,
    [rules_name, matcher_name]: [&str; 2],
    path: &Path<'_>,
) -> Got<Option<Engine>> {
    match (rules, matcher) {
        (_, Some(matcher)) => {
            let path = path.field(matcher_name);
            tree(matcher, &path, &verdict).map(Engine::Tree).map(Some)
        }
        (Some(rules), None) => {
            policies(rules, &path.field(rules_name)).map(Engine::Policies).map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn verdict(value: &xds::TypedExtensionConfig, path: &Path<'_>) -> Got<Verdict> {
    let path = path.field("typed_config");
    let (kind, bytes) = open(must(&value.typed_config, &path)?, &path)?;
    if kind != "envoy.config.rbac.v3.Action" {
        return Err(Wrong::at(&path, format!("{kind} is no action of RBAC")));
    }
    let value: rbac::Action = inner(&bytes, &path)?;
    Ok(Verdict {
        name: value.name.as_str().into(),
        action: action(value.action, &path.field("action"))?,
    })
}

fn action(value: i32, path: &Path<'_>) -> Got<Action> {
    Ok(match known(value, path)? {
        rbac_mod::Action::Allow => Action::Allow,
        rbac_mod::Action::Deny => Action::Deny,
        rbac_mod::Action::Log => Action::Log,
    })
}

fn policies(value: &rbac::Rbac, path: &Path<'_>) -> Got<Policies> {
    let audits = value.audit_logging_options.iter().flat_map(|options| &options.logger_configs);
    if audits.into_iter().any(|logger| !logger.is_optional) {
        let what = "audit logging is not supported; leave it out, or say is_optional";
        return Err(Wrong::at(&path.field("audit_logging_options"), what));
    }
    let at = path.field("policies");
    let policies = value
        .policies
        .iter()
        .map(|(name, value)| Ok((name.as_str().into(), policy(value, &at.key(name))?)));
    Ok(Policies {
        action: action(value.action, &path.field("action"))?,
        policies: policies.collect::<Got<_>>()?,
    })
}

fn policy(value: &rbac::Policy, path: &Path<'_>) -> Got<Policy> {
    if value.condition.is_some() || value.checked_condition.is_some() {
        // One that is passed over would let somebody in.
        return Err(Wrong::at(&path.field("condition"), "CEL comes later"));
    }
    Ok(Policy {
        permissions: each(&value.permissions, &path.field("permissions"), permission)?,
        principals: each(&value.principals, &path.field("principals"), principal)?,
    })
}

fn permission(value: &rbac::Permission, path: &Path<'_>) -> Got<Permission> {
    let set = |set: &rbac::permission::Set, name: &str| {
        let path = path.field(name);
        each(&set.rules, &path.field("rules"), permission)
    };
    Ok(match must(&value.rule, path)? {
        Rule::Any(_) => Permission::Any,
        Rule::AndRules(rules) => Permission::And(set(rules, "and_rules")?),
        Rule::OrRules(rules) => Permission::Or(set(rules, "or_rules")?),
        Rule::NotRule(rule) => {
            Permission::Not(Box::new(permission(rule, &path.field("not_rule"))?))
        }
        Rule::Header(value) => Permission::Header(header(value, &path.field("header"))?),
        Rule::UrlPath(value) => Permission::UrlPath(url_path(value, &path.field("url_path"))?),
        Rule::DestinationIp(value) => {
            Permission::DestinationIp(network(value, &path.field("destination_ip"))?)
        }
        Rule::DestinationPort(value) => {
            Permission::DestinationPort(port(*value, &path.field("destination_port"))?)
        }
        Rule::DestinationPortRange(range) => {
            let path = path.field("destination_port_range");
            let bound = |value: i32, name: &str| {
                u32::try_from(value)
                    .map_err(|_negative| Wrong::at(&path.field(name), "must not be negative"))
            };
            let (start, end) = (bound(range.start, "start")?, bound(range.end, "end")?);
            Permission::DestinationPorts(ValueRange { start, end })
        }
        Rule::Metadata(value) => {
            Permission::Metadata(metadata_match(value, &path.field("metadata"))?)
        }
        Rule::SourcedMetadata(value) => {
            Permission::Metadata(sourced(value, &path.field("sourced_metadata"))?)
        }
        Rule::RequestedServerName(value) => {
            Permission::ServerName(string(value, &path.field("requested_server_name"))?)
        }
        Rule::Matcher(value) => return Err(extension(value, &path.field("matcher"))),
        Rule::UriTemplate(value) => return Err(extension(value, &path.field("uri_template"))),
    })
}

fn principal(value: &rbac::Principal, path: &Path<'_>) -> Got<Principal> {
    let set = |set: &rbac::principal::Set, name: &str| {
        let path = path.field(name);
        each(&set.ids, &path.field("ids"), principal)
    };
    Ok(match must(&value.identifier, path)? {
        Identifier::Any(_) => Principal::Any,
        Identifier::AndIds(ids) => Principal::And(set(ids, "and_ids")?),
        Identifier::OrIds(ids) => Principal::Or(set(ids, "or_ids")?),
        Identifier::NotId(id) => Principal::Not(Box::new(principal(id, &path.field("not_id"))?)),
        Identifier::Authenticated(value) => {
            let path = path.field("authenticated");
            Principal::Authenticated(match &value.principal_name {
                Some(name) => Some(string(name, &path.field("principal_name"))?),
                None => None,
            })
        }
        Identifier::SourceIp(value) => {
            Principal::SourceIp(network(value, &path.field("source_ip"))?)
        }
        Identifier::DirectRemoteIp(value) => {
            Principal::DirectRemoteIp(network(value, &path.field("direct_remote_ip"))?)
        }
        Identifier::RemoteIp(value) => {
            Principal::RemoteIp(network(value, &path.field("remote_ip"))?)
        }
        Identifier::Header(value) => Principal::Header(header(value, &path.field("header"))?),
        Identifier::UrlPath(value) => Principal::UrlPath(url_path(value, &path.field("url_path"))?),
        Identifier::Metadata(value) => {
            Principal::Metadata(metadata_match(value, &path.field("metadata"))?)
        }
        Identifier::SourcedMetadata(value) => {
            Principal::Metadata(sourced(value, &path.field("sourced_metadata"))?)
        }
        Identifier::FilterState(value) => {
            let path = path.field("filter_state");
            match must(&value.matcher, &path)? {
                FilterState::StringMatch(text) => Principal::FilterState(
                    value.key.as_str().into(),
                    string(text, &path.field("string_match"))?,
                ),
                FilterState::AddressMatch(_) => {
                    let what = "only string_match is supported";
                    return Err(Wrong::at(&path.field("address_match"), what));
                }
            }
        }
        Identifier::Custom(value) => return Err(extension(value, &path.field("custom"))),
    })
}

fn sourced(value: &rbac::SourcedMetadata, path: &Path<'_>) -> Got<MetadataMatch> {
    if value.metadata_source != i32::from(rbac::MetadataSource::Dynamic) {
        let what = "only DYNAMIC is supported";
        return Err(Wrong::at(&path.field("metadata_source"), what));
    }
    let path = path.field("metadata_matcher");
    metadata_match(must(&value.metadata_matcher, &path)?, &path)
}

fn extension(value: &TypedExtensionConfig, path: &Path<'_>) -> Wrong {
    let kind = value.typed_config.as_ref().map_or("", |any| &any.type_url);
    let kind = culvert_proto::descriptors::full_name(kind);
    Wrong::at(path, format!("no extension {kind} is known here"))
}
