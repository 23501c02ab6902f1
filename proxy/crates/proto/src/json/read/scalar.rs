//! Numbers, texts, names of enums.
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{EnumDescriptor, Kind, Value as Proto};
use serde_json::Value as Json;

/// Either alphabet, with or without padding.
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LOOSE);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LOOSE);
const LOOSE: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Reads what is neither message nor enum.
pub(super) fn scalar(kind: &Kind, json: &Json) -> Result<Proto, String> {
    match kind {
        Kind::Bool => match json {
            Json::Bool(value) => Ok(Proto::Bool(*value)),
            Json::String(text) if matches!(&*text.to_ascii_lowercase(), "yes" | "on" | "true") => {
                Ok(Proto::Bool(true))
            }
            Json::String(text) if matches!(&*text.to_ascii_lowercase(), "no" | "off" | "false") => {
                Ok(Proto::Bool(false))
            }
            other => Err(want("true or false", other)),
        },
        Kind::String => match json {
            Json::String(text) => Ok(Proto::String(text.clone())),
            Json::Number(_) | Json::Bool(_) => {
                Err(format!("{}; put it in quotes", want("text", json)))
            }
            other => Err(want("text", other)),
        },
        Kind::Bytes => bytes(json).map(|bytes| Proto::Bytes(bytes.into())),
        Kind::Double => float(json).map(Proto::F64),
        #[expect(clippy::cast_possible_truncation, reason = "a float is what the field holds")]
        Kind::Float => float(json).map(|value| Proto::F32(value as f32)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(json).map(Proto::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(json).map(Proto::I64),
        Kind::Uint32 | Kind::Fixed32 => integer(json).map(Proto::U32),
        Kind::Uint64 | Kind::Fixed64 => integer(json).map(Proto::U64),
        Kind::Message(_) | Kind::Enum(_) => Err("neither text nor number".to_owned()),
    }
}

/// Reads the value of an enum, by its name in any case or by its number.
pub(super) fn enumerated(descriptor: &EnumDescriptor, json: &Json) -> Result<Proto, String> {
    let names = || {
        let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
        names.join(", ")
    };
    match json {
        Json::String(name) => {
            let wanted = name.replace('-', "_");
            let found =
                descriptor.values().find(|value| value.name().eq_ignore_ascii_case(&wanted));
            found
                .map(|value| Proto::EnumNumber(value.number()))
                .ok_or_else(|| format!("{name:?} is none of {}", names()))
        }
        Json::Number(_) => integer(json).map(Proto::EnumNumber),
        Json::Null if descriptor.full_name() == "google.protobuf.NullValue" => {
            Ok(Proto::EnumNumber(0))
        }
        other => Err(want(&format!("one of {}", names()), other)),
    }
}

/// What there is, in words.
pub(super) fn found(json: &Json) -> String {
    match json {
        Json::Null => "nothing".to_owned(),
        Json::Bool(value) => format!("{value}"),
        Json::Number(value) => format!("the number {value}"),
        Json::String(text) if text.chars().count() > 40 => "text".to_owned(),
        Json::String(text) => format!("the text {text:?}"),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "fields".to_owned(),
    }
}

pub(super) fn want(what: &str, json: &Json) -> String {
    format!("want {what}, got {}", found(json))
}

/// A whole number, also one that is written `1e3`, `5.0` or as text.
fn integer<T: TryFrom<i128>>(json: &Json) -> Result<T, String> {
    let number = match json {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        other => return Err(want("a whole number", other)),
    };
    let whole = number.parse::<i128>().ok().or_else(|| whole(number.parse().ok()?));
    whole
        .ok_or_else(|| want("a whole number", json))
        .and_then(|whole| T::try_from(whole).map_err(|_range| format!("{whole} is out of range")))
}

#[expect(clippy::cast_possible_truncation, reason = "within what a float holds exactly")]
fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() < 1e18).then_some(number as i128)
}

fn float(json: &Json) -> Result<f64, String> {
    let number = match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match &**text {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    };
    number.ok_or_else(|| want("a number", json))
}

fn bytes(json: &Json) -> Result<Vec<u8>, String> {
    let Json::String(text) = json else { return Err(want("base64", json)) };
    let decoded = STANDARD.decode(text).or_else(|_other| URL_SAFE.decode(text));
    decoded.map_err(|_neither| want("base64", json))
}
