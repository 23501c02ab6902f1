//! How answers of our own look.
use super::super::{
    Around, Got, Path,
    access_log::{filter as log_filter, log_format},
    basic::{data, each, must, number, some, status},
    mutation::plain,
};
use culvert_model::http::{
    access_log::LogFilter,
    format::Format,
    manager::{LocalReplies, ReplyBody, ReplyMapper},
    mutation::{HeaderMutations, Mutation},
};
use culvert_proto::api::envoy::{
    config::core::v3::SubstitutionFormatString,
    extensions::filters::network::http_connection_manager::v3 as pb,
};

pub(super) fn replies(
    value: &Option<pb::LocalReplyConfig>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<LocalReplies> {
    let Some(value) = value else { return Ok(LocalReplies::default()) };
    let path = path.field("local_reply_config");
    let mappers = each(&value.mappers, &path.field("mappers"), |value, path| {
        let at = path.field("filter");
        let filter: LogFilter = log_filter(must(&value.filter, &at)?, &at)?;
        let text = match &value.body {
            Some(source) => Some(data(source, &path.field("body"), around)?.into()),
            None => None,
        };
        let headers = plain(&value.headers_to_add, &path.field("headers_to_add"))?;
        Ok(ReplyMapper {
            filter,
            status: match number(&value.status_code) {
                Some(code) => Some(status(code, &path.field("status_code"))?),
                None => None,
            },
            text,
            body: body(&value.body_format_override, "body_format_override", path, around)?,
            headers: HeaderMutations(headers.into_iter().map(Mutation::Set).collect()),
        })
    })?;
    Ok(LocalReplies { mappers, body: body(&value.body_format, "body_format", &path, around)? })
}

fn body(
    value: &Option<SubstitutionFormatString>,
    name: &str,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Option<ReplyBody>> {
    let Some(value) = value else { return Ok(None) };
    let format = log_format(value, &path.field(name), around)?;
    let is_json = matches!(*format.format, Format::Json(_));
    let default = is_json.then(|| "application/json".into());
    Ok(Some(ReplyBody { format, content_type: some(&value.content_type).or(default) }))
}
