//! Which requests are traced, and with which tags.
use super::super::{
    Got, Path,
    basic::{each, flag, must, number},
    header::name,
    text::template,
};
use culvert_model::http::{
    manager::{CustomTag, Sampling, TagValue, Tracing},
    matcher::{Denominator, Fraction},
};
use culvert_proto::api::envoy::{
    extensions::filters::network::http_connection_manager::v3::http_connection_manager as hcm,
    r#type::tracing::v3::{CustomTag as TagPb, custom_tag},
    r#type::v3::Percent,
};

pub(super) fn tracing(value: &hcm::Tracing, path: &Path<'_>) -> Got<Tracing> {
    Ok(Tracing {
        sampling: Sampling {
            client: share(&value.client_sampling),
            random: share(&value.random_sampling),
            overall: share(&value.overall_sampling),
        },
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

/// Of ten thousand, as identifiers are compared with it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
fn share(value: &Option<Percent>) -> Fraction {
    value.as_ref().map_or(Fraction::ALWAYS, |percent| Fraction {
        numerator: (percent.value.clamp(0.0, 100.0) * 100.0).round() as u32,
        denominator: Denominator::TenThousand,
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
