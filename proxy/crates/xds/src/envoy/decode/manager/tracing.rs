//! Which requests are traced, and with which tags.
use super::super::{
    Got, Path,
    basic::{each, flag, must, number, percent},
    header::name,
    text::template,
};
use culvert_model::http::{
    manager::{CustomTag, TagValue, Tracing},
    matcher::Fraction,
};
use culvert_proto::api::envoy::{
    extensions::filters::network::http_connection_manager::v3::http_connection_manager as hcm,
    r#type::tracing::v3::{CustomTag as TagPb, custom_tag},
};

pub(super) fn tracing(value: &hcm::Tracing, path: &Path<'_>) -> Got<Tracing> {
    Ok(Tracing {
        client: percent(&value.client_sampling, Fraction::ALWAYS),
        random: percent(&value.random_sampling, Fraction::ALWAYS),
        overall: percent(&value.overall_sampling, Fraction::ALWAYS),
        verbose: value.verbose,
        max_path_tag_length: number(&value.max_path_tag_length).unwrap_or(256),
        spawn_upstream_span: flag(&value.spawn_upstream_span, false),
        no_propagation: value.no_context_propagation,
        tags: each::<_, _, Vec<_>>(&value.custom_tags, &path.field("custom_tags"), tag)?
            .into_iter()
            .flatten()
            .collect(),
    })
}

/// Tags of metadata are left out: exporters come later.
fn tag(value: &TagPb, path: &Path<'_>) -> Got<Option<CustomTag>> {
    let tag = match must(&value.r#type, path)? {
        custom_tag::Type::Literal(of) => TagValue::Literal(of.value.as_str().into()),
        custom_tag::Type::Environment(of) => TagValue::Environment {
            name: of.name.as_str().into(),
            default: of.default_value.as_str().into(),
        },
        custom_tag::Type::RequestHeader(of) => {
            let path = path.field("request_header");
            TagValue::RequestHeader {
                name: name(&of.name, &path.field("name"))?,
                default: of.default_value.as_str().into(),
            }
        }
        custom_tag::Type::Value(text) => TagValue::Template(template(text, &path.field("value"))?),
        custom_tag::Type::Metadata(_) => return Ok(None),
    };
    Ok(Some(CustomTag { name: value.tag.as_str().into(), value: tag }))
}
