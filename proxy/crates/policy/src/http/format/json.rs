//! Objects of access logs.
use culvert_model::http::{
    format::{JsonTemplate, Part, Template},
    value::Value,
};

use super::{Missing, Printed, Scene, printed::append, text, value};

/// Writes a template's value; `null` where one operator alone has none.
pub(super) fn write(
    template: &JsonTemplate,
    scene: &Scene<'_>,
    missing: Missing,
    out: &mut Vec<u8>,
) {
    match template {
        JsonTemplate::Null => out.extend_from_slice(b"null"),
        JsonTemplate::Bool(value) => append(out, value),
        // As text, which is what Envoy makes of it.
        JsonTemplate::Number(value) => quote(value.to_string().as_bytes(), out),
        JsonTemplate::Text(template) => text_value(template, scene, missing, out),
        JsonTemplate::List(all) => {
            out.push(b'[');
            let shown = all.iter().filter(|one| missing == Missing::Dash || is_there(one, scene));
            for (at, one) in shown.enumerate() {
                separate(at, out);
                write(one, scene, missing, out);
            }
            out.push(b']');
        }
        JsonTemplate::Struct(fields) => {
            out.push(b'{');
            let shown =
                fields.iter().filter(|(_, one)| missing == Missing::Dash || is_there(one, scene));
            for (at, (name, one)) in shown.enumerate() {
                separate(at, out);
                quote(name.as_bytes(), out);
                out.push(b':');
                write(one, scene, missing, out);
            }
            out.push(b'}');
        }
    }
}

fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

/// Whether it is more than one operator without a value, or an object of such.
fn is_there(template: &JsonTemplate, scene: &Scene<'_>) -> bool {
    match template {
        JsonTemplate::Text(template) => match template.parts() {
            [Part::Operator(operator, _)] => value::of(operator, scene).is_some(),
            _ => true,
        },
        JsonTemplate::Struct(fields) => fields.iter().any(|(_, one)| is_there(one, scene)),
        JsonTemplate::List(all) => all.iter().any(|one| is_there(one, scene)),
        JsonTemplate::Null | JsonTemplate::Bool(_) | JsonTemplate::Number(_) => true,
    }
}

fn text_value(template: &Template, scene: &Scene<'_>, missing: Missing, out: &mut Vec<u8>) {
    if let [Part::Operator(operator, most)] = template.parts() {
        match value::of(operator, scene) {
            None => out.extend_from_slice(b"null"),
            Some(Printed::Number(number)) => append(out, &number),
            Some(Printed::Value(value)) if !matches!(*value, Value::String(_)) => {
                append(out, &*value);
            }
            Some(value) => {
                let mut plain = Vec::new();
                value.write(*most, &mut plain);
                quote(&plain, out);
            }
        }
        return;
    }
    let mut plain = Vec::new();
    text(template, scene, missing, &mut plain);
    quote(&plain, out);
}

/// Where the bytes are no UTF-8, each that is not plain is written by its number, as Envoy does.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    let valid = std::str::from_utf8(bytes).is_ok();
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x80.. if !valid => by_number(byte, out),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => by_number(byte, out),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

fn by_number(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}
