//! Responses.
use super::{
    hpack::{Decoder, Encoder},
    message::{self, BlockError, Fields, Malformed, Pseudo},
};
use http::{HeaderMap, StatusCode};

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

impl Response {
    /// Reads a block of an answer, of which at most `limit` bytes are wanted.
    ///
    /// # Errors
    ///
    /// When it is no answer; [`BlockError::fault`] says what has to end.
    pub fn decode(decoder: &mut Decoder, block: &[u8], limit: usize) -> Result<Self, BlockError> {
        let mut fields = Fields::decode(decoder, block, limit)?;
        Ok(Self::of(&mut fields)?)
    }

    fn of(fields: &mut Fields) -> Result<Self, Malformed> {
        let status = fields.pseudo(Pseudo::Status).ok_or(Malformed::Missing(":status"))?;
        let status = StatusCode::from_bytes(status.as_bytes());
        let status = status.map_err(|_bad| Malformed::Bad(":status"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            // It is HTTP/1.1's (RFC 9113, 8.6).
            return Err(Malformed::Bad(":status"));
        }
        fields.nothing_more()?;
        Ok(Self { status, headers: std::mem::take(&mut fields.headers) })
    }

    /// Whether the answer is yet to come.
    pub fn is_interim(&self) -> bool {
        self.status.is_informational()
    }
}

/// Appends the block of an answer.
pub fn write(encoder: &mut Encoder, status: StatusCode, headers: &HeaderMap, out: &mut Vec<u8>) {
    encoder.encode(b":status", status.as_str().as_bytes(), out);
    message::write(encoder, headers, out);
}
