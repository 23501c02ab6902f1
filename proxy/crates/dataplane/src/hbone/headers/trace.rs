//! W3C trace context, as far as a connection needs it.
use culvert_model::tunnel::Trace;

/// Reads a `traceparent`; later versions may have more at the end.
pub fn trace(text: &str) -> Option<Trace> {
    let mut parts = text.split('-');
    let (version, trace_id, span_id, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let [version] = hex::<1>(version)?;
    let [_flags] = hex::<1>(flags)?;
    if version == 0xff || version == 0 && parts.next().is_some() {
        return None;
    }
    let trace = Trace { trace_id: hex(trace_id)?, span_id: hex(span_id)? };
    (trace.trace_id != [0; 16] && trace.span_id != [0; 8]).then_some(trace)
}

/// As the header has it; not sampled, for nobody here records spans.
pub fn traceparent(trace: Trace) -> String {
    format!("00-{trace}-00")
}

/// Exactly that many bytes in lower-case digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
