//! Access logs, their filters and formats; answers of our own have the same formats.
use super::{
    Around, Got, Path, Wrong,
    basic::{data, each, flag, fraction, inner, known, must, open, some},
    header::header,
    text::template,
    value::metadata_match,
};
use culvert_model::http::{
    access_log::{AccessLog, Comparison, ComparisonOp, LogFilter, LogFormat, LogSink},
    format::{DEFAULT_LINE, Format, JsonTemplate, Template},
    matcher::{Fraction, RuntimeFraction, RuntimeNumber},
    value::Value,
};
use culvert_proto::api::{
    envoy::{
        config::{
            accesslog::v3::{
                self as log, access_log_filter::FilterSpecifier, comparison_filter::Op,
            },
            core::v3::{SubstitutionFormatString, substitution_format_string::Format as Text},
        },
        data::accesslog::v3::AccessLogType,
        extensions::access_loggers::{
            file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
            stream::v3::{StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log},
        },
    },
    google::protobuf::Struct,
};
use std::sync::Arc;

/// Logs whose service comes later are left out, as they change nothing for requests.
pub(super) fn logs(
    values: &[log::AccessLog],
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Arc<[AccessLog]>> {
    let all: Vec<_> = each(values, path, |value, path| decode(value, path, around))?;
    Ok(all.into_iter().flatten().collect())
}

fn decode(value: &log::AccessLog, path: &Path<'_>, around: &dyn Around) -> Got<Option<AccessLog>> {
    let filter = match &value.filter {
        Some(value) => Some(filter(value, &path.field("filter"))?),
        None => None,
    };
    let path = path.field("typed_config");
    let Some(log::access_log::ConfigType::TypedConfig(any)) = &value.config_type else {
        return Err(Wrong::at(&path, "not set"));
    };
    let (kind, bytes) = open(any, &path)?;
    let sink = match &*kind {
        "envoy.extensions.access_loggers.file.v3.FileAccessLog" => {
            file(&inner(&bytes, &path)?, &path, around)?
        }
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" => {
            let log: StdoutAccessLog = inner(&bytes, &path)?;
            let format = log.access_log_format.map(|format| match format {
                stdout_access_log::AccessLogFormat::LogFormat(format) => format,
            });
            LogSink::Stdout(line(&format, &path, around)?)
        }
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog" => {
            let log: StderrAccessLog = inner(&bytes, &path)?;
            let format = log.access_log_format.map(|format| match format {
                stderr_access_log::AccessLogFormat::LogFormat(format) => format,
            });
            LogSink::Stderr(line(&format, &path, around)?)
        }
        kind if kind.starts_with("envoy.extensions.access_loggers.") => {
            let last = kind.split('.').nth(3).unwrap_or(kind);
            let what = format!("access logs of kind {last} come later; file, stdout, stderr work");
            return Err(Wrong::at(&path, what));
        }
        kind => return Err(Wrong::at(&path, format!("no access log {kind} is known"))),
    };
    Ok(Some(AccessLog { filter, sink }))
}

fn file(value: &FileAccessLog, path: &Path<'_>, around: &dyn Around) -> Got<LogSink> {
    let text = |format| LogFormat { format: Arc::new(Format::Text(format)), omit_empty: false };
    let json = |value: &Struct, path: &Path<'_>| {
        let format = Arc::new(Format::Json(json_fields(value, path)?));
        Ok(LogFormat { format, omit_empty: false })
    };
    let format = match &value.access_log_format {
        None => text(default_line(path)?),
        Some(AccessLogFormat::Format(format)) if format.is_empty() => text(default_line(path)?),
        Some(AccessLogFormat::Format(format)) => text(template(format, &path.field("format"))?),
        Some(AccessLogFormat::JsonFormat(value)) => json(value, &path.field("json_format"))?,
        Some(AccessLogFormat::TypedJsonFormat(value)) => {
            json(value, &path.field("typed_json_format"))?
        }
        Some(AccessLogFormat::LogFormat(format)) => {
            log_format(format, &path.field("log_format"), around)?
        }
    };
    Ok(LogSink::File { path: value.path.as_str().into(), format })
}

fn line(
    format: &Option<SubstitutionFormatString>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<LogFormat> {
    match format {
        Some(format) => log_format(format, &path.field("log_format"), around),
        None => {
            let format = Arc::new(Format::Text(default_line(path)?));
            Ok(LogFormat { format, omit_empty: false })
        }
    }
}

fn default_line(path: &Path<'_>) -> Got<Template> {
    template(DEFAULT_LINE, path)
}

pub(super) fn log_format(
    value: &SubstitutionFormatString,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<LogFormat> {
    for (i, formatter) in value.formatters.iter().enumerate() {
        let path = path.field("formatters");
        let path = path.index(i);
        let path = path.field("typed_config");
        let (kind, _) = open(must(&formatter.typed_config, &path)?, &path)?;
        // Their operators are always there.
        let is_there = ["metadata.v3.Metadata", "req_without_query.v3.ReqWithoutQuery"];
        if !is_there.iter().any(|name| kind.ends_with(name)) {
            return Err(Wrong::at(&path, format!("no formatter {kind} is known")));
        }
    }
    let format = match must(&value.format, path)? {
        Text::TextFormat(text) => Format::Text(template(text, &path.field("text_format"))?),
        Text::TextFormatSource(source) => {
            let path = path.field("text_format_source");
            let text = String::from_utf8(data(source, &path, around)?)
                .map_err(|_binary| Wrong::at(&path, "is not text"))?;
            Format::Text(template(&text, &path)?)
        }
        Text::JsonFormat(fields) => Format::Json(json_fields(fields, &path.field("json_format"))?),
    };
    Ok(LogFormat { format: Arc::new(format), omit_empty: value.omit_empty_values })
}

fn json_fields(value: &Struct, path: &Path<'_>) -> Got<JsonTemplate> {
    json(&super::value::structure(value), path)
}

fn json(value: &Value, path: &Path<'_>) -> Got<JsonTemplate> {
    Ok(match value {
        Value::Null => JsonTemplate::Null,
        Value::Bool(value) => JsonTemplate::Bool(*value),
        Value::Number(number) => JsonTemplate::Number(*number),
        Value::String(text) => JsonTemplate::Text(template(text, path)?),
        Value::List(items) => JsonTemplate::List(each(items, path, json)?),
        Value::Struct(fields) => {
            let fields = fields.iter();
            let fields =
                fields.map(|(key, value)| Ok((Arc::clone(key), json(value, &path.field(key))?)));
            JsonTemplate::Struct(fields.collect::<Got<_>>()?)
        }
    })
}

#[expect(clippy::too_many_lines, reason = "one field after the other")]
pub(super) fn filter(value: &log::AccessLogFilter, path: &Path<'_>) -> Got<LogFilter> {
    Ok(match must(&value.filter_specifier, path)? {
        FilterSpecifier::StatusCodeFilter(filter) => {
            LogFilter::Status(comparison(&filter.comparison, &path.field("status_code_filter"))?)
        }
        FilterSpecifier::DurationFilter(filter) => {
            LogFilter::Duration(comparison(&filter.comparison, &path.field("duration_filter"))?)
        }
        FilterSpecifier::NotHealthCheckFilter(_) => LogFilter::NotHealthCheck,
        FilterSpecifier::TraceableFilter(_) => LogFilter::Traceable,
        FilterSpecifier::RuntimeFilter(filter) => {
            let path = path.field("runtime_filter");
            let default = match &filter.percent_sampled {
                Some(value) => fraction(value, &path.field("percent_sampled"))?,
                None => Fraction::NEVER,
            };
            LogFilter::Runtime {
                fraction: RuntimeFraction { default, key: some(&filter.runtime_key) },
                independent: filter.use_independent_randomness,
            }
        }
        FilterSpecifier::AndFilter(and) => {
            let path = path.field("and_filter");
            LogFilter::And(each(&and.filters, &path.field("filters"), filter)?)
        }
        FilterSpecifier::OrFilter(or) => {
            let path = path.field("or_filter");
            LogFilter::Or(each(&or.filters, &path.field("filters"), filter)?)
        }
        FilterSpecifier::HeaderFilter(filter) => {
            let path = path.field("header_filter");
            let path = path.field("header");
            LogFilter::Header(header(must(&filter.header, &path)?, &path)?)
        }
        FilterSpecifier::ResponseFlagFilter(filter) => {
            LogFilter::ResponseFlag(filter.flags.iter().map(|flag| flag.as_str().into()).collect())
        }
        FilterSpecifier::GrpcStatusFilter(filter) => LogFilter::GrpcStatus {
            statuses: filter.statuses.iter().map(|status| status.unsigned_abs()).collect(),
            exclude: filter.exclude,
        },
        FilterSpecifier::MetadataFilter(filter) => {
            let path = path.field("metadata_filter");
            let matches = match &filter.matcher {
                Some(matcher) => Some(metadata_match(matcher, &path.field("matcher"))?),
                None => None,
            };
            let if_missing = flag(&filter.match_if_key_not_found, true);
            LogFilter::Metadata { matches, if_missing }
        }
        FilterSpecifier::LogTypeFilter(filter) => {
            let path = path.field("log_type_filter");
            let types = each(&filter.types, &path.field("types"), |kind, path| {
                let kind: AccessLogType = known(*kind, path)?;
                Ok(kind.as_str_name().into())
            })?;
            LogFilter::LogType { types, exclude: filter.exclude }
        }
        FilterSpecifier::ExtensionFilter(filter) => {
            let what = format!("no access log filter {} is known", filter.name);
            return Err(Wrong::at(&path.field("extension_filter"), what));
        }
    })
}

fn comparison(value: &Option<log::ComparisonFilter>, path: &Path<'_>) -> Got<Comparison> {
    let path = path.field("comparison");
    let comparison = must(value, &path)?;
    let op = match known(comparison.op, &path.field("op"))? {
        Op::Eq => ComparisonOp::Equal,
        Op::Ge => ComparisonOp::AtLeast,
        Op::Le => ComparisonOp::AtMost,
        Op::Ne => ComparisonOp::NotEqual,
    };
    let value = must(&comparison.value, &path.field("value"))?;
    let value = RuntimeNumber { default: value.default_value, key: some(&value.runtime_key) };
    Ok(Comparison { op, value })
}
