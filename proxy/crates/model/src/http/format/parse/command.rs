//! One operator: its name, its parameters, its length.
use super::{NotATemplate, Read, arc, names};
use crate::http::{
    field::Field,
    format::operator::{
        Address, AddressPart, Clock, FilterStateForm, GrpcForm, Headers, MetadataOf, Moment,
        Operator, PathChoice, Precision, QueryForm, Span, TimeForm,
    },
};

/// A token: the operator, taken apart.
#[derive(Clone, Copy)]
struct Token<'a> {
    name: &'a str,
    parameters: Option<&'a str>,
    length: Option<usize>,
}

/// Reads what stood between two per cent signs.
pub(super) fn read(text: &str) -> Read {
    let token = take_apart(text)?;
    if let Some(operator) = names::plain(token.name) {
        token.bare()?;
        return Ok((operator, None));
    }
    let operator = with_parameters(token)?;
    if token.length.is_some() && !takes_length(&operator) {
        return Err(NotATemplate::Length(token.name.into()));
    }
    Ok((operator, token.length))
}

fn with_parameters(token: Token<'_>) -> Result<Operator, NotATemplate> {
    Ok(match token.name {
        "REQ" | "REQUEST_HEADER" => header(token, Headers::Request)?,
        "RESP" | "RESPONSE_HEADER" => header(token, Headers::Response)?,
        "TRAILER" | "RESPONSE_TRAILER" => header(token, Headers::Trailers)?,
        "REQ_WITHOUT_QUERY" => {
            let (name, alternative) = fields(token)?;
            Operator::HeaderWithoutQuery { name, alternative }
        }
        "QUERY_PARAM" => Operator::QueryParameter(arc(token.required()?)),
        "QUERY_PARAMS" => Operator::Query(token.choice(
            &[
                ("", QueryForm::Original),
                ("ORIG", QueryForm::Original),
                ("DECODED", QueryForm::Decoded),
            ],
            &["ORIG", "DECODED"],
        )?),
        "PATH" => path(token)?,
        "GRPC_STATUS" => Operator::GrpcStatus(token.choice(
            &[
                ("", GrpcForm::Camel),
                ("CAMEL_STRING", GrpcForm::Camel),
                ("SNAKE_STRING", GrpcForm::Snake),
                ("NUMBER", GrpcForm::Number),
            ],
            &["CAMEL_STRING", "SNAKE_STRING", "NUMBER"],
        )?),
        "RESPONSE_CODE_DETAILS" => Operator::ResponseCodeDetails {
            spaces: token
                .choice(&[("", false), ("ALLOW_WHITESPACES", true)], &["ALLOW_WHITESPACES"])?,
        },
        "REQUESTED_SERVER_NAME" => {
            token.choice(&[("", ()), ("SNI_ONLY", ())], &["SNI_ONLY"])?;
            Operator::ServerName
        }
        "COMMON_DURATION" => between(token)?,
        "ENVIRONMENT" => Operator::Environment(arc(token.required()?)),
        "DYNAMIC_METADATA" => metadata(MetadataOf::Dynamic, token.required()?),
        "CLUSTER_METADATA" => metadata(MetadataOf::Cluster, token.required()?),
        "UPSTREAM_METADATA" => metadata(MetadataOf::Upstream, token.required()?),
        "METADATA" => any_metadata(token)?,
        "FILTER_STATE" => filter_state(token, false)?,
        "UPSTREAM_FILTER_STATE" => filter_state(token, true)?,
        name => {
            if let Some(clock) = names::clock(name) {
                return time(token, clock);
            }
            if let Some(address) = names::address_without_port(name) {
                return masked(token, address);
            }
            return Err(NotATemplate::Unknown(name.into()));
        }
    })
}

fn takes_length(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Header { .. }
            | Operator::HeaderWithoutQuery { .. }
            | Operator::QueryParameter(_)
            | Operator::Query(_)
            | Operator::Path { .. }
            | Operator::Environment(_)
            | Operator::Metadata { .. }
            | Operator::FilterState { .. }
    )
}

fn header(token: Token<'_>, of: Headers) -> Result<Operator, NotATemplate> {
    let (name, alternative) = fields(token)?;
    Ok(Operator::Header { of, name, alternative })
}

fn fields(token: Token<'_>) -> Result<(Field, Option<Field>), NotATemplate> {
    let mut names = token.required()?.split('?');
    let (first, second) = (names.next().unwrap_or_default(), names.next());
    if names.next().is_some() {
        return Err(NotATemplate::Alternatives { operator: token.name.into() });
    }
    let field = |name: &str| {
        // Only `PATH` is written without its colon, for as long as Envoy has had a format.
        let name = if name.eq_ignore_ascii_case("path") { ":path" } else { name };
        let parsed = name.parse();
        parsed.map_err(|why| NotATemplate::Header { operator: token.name.into(), why })
    };
    Ok((field(first)?, second.filter(|name| !name.is_empty()).map(field).transpose()?))
}

fn path(token: Token<'_>) -> Result<Operator, NotATemplate> {
    let (query, choice) = token
        .parameters
        .unwrap_or("")
        .split_once(':')
        .unwrap_or_else(|| (token.parameters.unwrap_or(""), ""));
    let query = match query {
        "" | "WQ" => true,
        "NQ" => false,
        what => return Err(token.not_one_of(what, &["WQ", "NQ"])),
    };
    let choice = match choice {
        "" | "ORIG_OR_PATH" => PathChoice::OriginalOrPath,
        "ORIG" => PathChoice::Original,
        "PATH" => PathChoice::Path,
        what => return Err(token.not_one_of(what, &["ORIG", "PATH", "ORIG_OR_PATH"])),
    };
    Ok(Operator::Path { choice, query })
}

fn between(token: Token<'_>) -> Result<Operator, NotATemplate> {
    let mut parts = token.required()?.split(':');
    let (Some(from), Some(to), precision, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(token.malformed("give START:END:PRECISION"));
    };
    let precision = match precision {
        None | Some("ms") => Precision::Milliseconds,
        Some("us") => Precision::Microseconds,
        Some("ns") => Precision::Nanoseconds,
        Some(what) => return Err(token.not_one_of(what, &["ms", "us", "ns"])),
    };
    let moment = |name: &str| names::moment(name).unwrap_or_else(|| Moment::Named(arc(name)));
    Ok(Operator::Duration(Span::Between { from: moment(from), to: moment(to), precision }))
}

fn metadata(of: MetadataOf, parameters: &str) -> Operator {
    let mut keys = parameters.split(':').map(arc);
    let filter = keys.next().unwrap_or_else(|| arc(""));
    Operator::Metadata { of, filter, path: keys.collect() }
}

fn any_metadata(token: Token<'_>) -> Result<Operator, NotATemplate> {
    let parameters = token.required()?;
    let (of, rest) = parameters.split_once(':').unwrap_or((parameters, ""));
    let of = match of {
        "DYNAMIC" => MetadataOf::Dynamic,
        "CLUSTER" => MetadataOf::Cluster,
        "ROUTE" => MetadataOf::Route,
        "UPSTREAM_HOST" => MetadataOf::Upstream,
        "LISTENER" => MetadataOf::Listener,
        "LISTENER_FILTER_CHAIN" => MetadataOf::FilterChain,
        "VIRTUAL_HOST" => MetadataOf::VirtualHost,
        what => {
            return Err(token.not_one_of(
                what,
                &[
                    "DYNAMIC",
                    "CLUSTER",
                    "ROUTE",
                    "UPSTREAM_HOST",
                    "LISTENER",
                    "LISTENER_FILTER_CHAIN",
                    "VIRTUAL_HOST",
                ],
            ));
        }
    };
    Ok(metadata(of, rest))
}

fn filter_state(token: Token<'_>, upstream: bool) -> Result<Operator, NotATemplate> {
    let mut parts = token.required()?.splitn(3, ':');
    let (key, form, field) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if key.is_empty() {
        return Err(token.malformed("the key is empty"));
    }
    let form = match (form, field) {
        (None | Some("" | "TYPED"), None) => FilterStateForm::Typed,
        (Some("PLAIN"), None) => FilterStateForm::Plain,
        (Some("FIELD"), Some(field)) if !field.is_empty() => FilterStateForm::Field(arc(field)),
        (Some("FIELD"), _) => return Err(token.malformed("FIELD comes with a field's name")),
        (_, Some(_)) => return Err(token.malformed("only FIELD comes with a field's name")),
        (Some(what), None) => {
            return Err(token.not_one_of(what, &["PLAIN", "TYPED", "FIELD"]));
        }
    };
    Ok(Operator::FilterState { upstream, key: arc(key), form })
}

fn time(token: Token<'_>, clock: Clock) -> Result<Operator, NotATemplate> {
    let form = match token.parameters {
        None | Some("") => TimeForm::Default,
        Some(form) if form.contains('\n') || form.contains("%n") => {
            return Err(token.malformed("a time has no line's end in it"));
        }
        Some(form) => TimeForm::Strftime(arc(form)),
    };
    Ok(Operator::Time(clock, form))
}

fn masked(token: Token<'_>, address: Address) -> Result<Operator, NotATemplate> {
    let part = match token.parameters {
        None | Some("") => AddressPart::WithoutPort,
        Some(bits) => match bits.parse() {
            Ok(bits) if bits <= 128 => AddressPart::Masked(bits),
            _ => return Err(token.malformed("the mask is a number of bits, at most 128")),
        },
    };
    Ok(Operator::Address(address, part))
}

fn take_apart(text: &str) -> Result<Token<'_>, NotATemplate> {
    let Some((name, rest)) = text.split_once('(') else {
        let Some((name, length)) = text.split_once(':') else {
            return Ok(Token { name: text, parameters: None, length: None });
        };
        let length = number(name, length)?;
        return Ok(Token { name, parameters: None, length: Some(length) });
    };
    let Some((parameters, tail)) = rest.rsplit_once(')') else {
        return Err(NotATemplate::Malformed {
            operator: name.into(),
            why: "the parenthesis is not closed",
        });
    };
    let length = match tail.strip_prefix(':') {
        Some(length) => Some(number(name, length)?),
        None => None,
    };
    Ok(Token { name, parameters: Some(parameters), length })
}

fn number(name: &str, digits: &str) -> Result<usize, NotATemplate> {
    let malformed =
        NotATemplate::Malformed { operator: name.into(), why: "the length is not a number" };
    digits.parse().map_err(|_not_a_number| malformed)
}

impl<'a> Token<'a> {
    fn bare(self) -> Result<(), NotATemplate> {
        match self {
            Self { parameters: Some(_), .. } => Err(NotATemplate::Parameters(self.name.into())),
            Self { length: Some(_), .. } => Err(NotATemplate::Length(self.name.into())),
            Self { parameters: None, length: None, .. } => Ok(()),
        }
    }

    fn required(self) -> Result<&'a str, NotATemplate> {
        match self.parameters {
            None | Some("") => Err(NotATemplate::NoParameters(self.name.into())),
            Some(parameters) => Ok(parameters),
        }
    }

    fn choice<T: Copy>(
        self,
        choices: &[(&str, T)],
        allowed: &'static [&'static str],
    ) -> Result<T, NotATemplate> {
        let what = self.parameters.unwrap_or("");
        let found = choices.iter().find(|(name, _)| *name == what);
        found.map(|(_, choice)| *choice).ok_or_else(|| self.not_one_of(what, allowed))
    }

    fn not_one_of(self, what: &str, allowed: &'static [&'static str]) -> NotATemplate {
        NotATemplate::Choice { operator: self.name.into(), what: what.into(), allowed }
    }

    fn malformed(self, why: &'static str) -> NotATemplate {
        NotATemplate::Malformed { operator: self.name.into(), why }
    }
}
