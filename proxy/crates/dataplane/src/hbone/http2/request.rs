//! Requests.
use super::{
    hpack::{Decoder, Encoder},
    message::{self, BlockError, Fields, Malformed, Pseudo},
};
use http::{HeaderMap, HeaderValue, Method};

/// A request that is one (RFC 9113, 8.3.1 and 8.5), whatever it asks for.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// As it came: whether it can be read is for whoever answers. A CONNECT without one is handed
    /// on too, for then there is somebody to say so.
    pub authority: Option<HeaderValue>,
    pub scheme: Option<HeaderValue>,
    pub path: Option<HeaderValue>,
    /// Of an extended CONNECT (RFC 8441), which has a scheme and a path as well.
    pub protocol: Option<HeaderValue>,
    pub headers: HeaderMap,
}

impl Request {
    /// Reads the first block of a stream, of which at most `limit` bytes are wanted.
    ///
    /// # Errors
    ///
    /// When it is no request; [`BlockError::fault`] says what has to end.
    pub fn decode(decoder: &mut Decoder, block: &[u8], limit: usize) -> Result<Self, BlockError> {
        let mut fields = Fields::decode(decoder, block, limit)?;
        Ok(Self::of(&mut fields)?)
    }

    fn of(fields: &mut Fields) -> Result<Self, Malformed> {
        let method = fields.pseudo(Pseudo::Method).ok_or(Malformed::Missing(":method"))?;
        let method = Method::from_bytes(method.as_bytes());
        let method = method.map_err(|_bad| Malformed::Bad(":method"))?;
        let authority = fields.pseudo(Pseudo::Authority);
        let protocol = match method {
            Method::CONNECT => fields.pseudo(Pseudo::Protocol),
            _ => None,
        };
        let (mut scheme, mut path) = (None, None);
        if method != Method::CONNECT || protocol.is_some() {
            scheme = Some(fields.pseudo(Pseudo::Scheme).ok_or(Malformed::Missing(":scheme"))?);
            let said = fields.pseudo(Pseudo::Path).filter(|path| !path.is_empty());
            path = Some(said.ok_or(Malformed::Missing(":path"))?);
        }
        // What was not taken by now should not have been there.
        fields.nothing_more()?;
        let headers = std::mem::take(&mut fields.headers);
        Ok(Self { method, authority, scheme, path, protocol, headers })
    }

    /// Whether it asks for a tunnel, and for nothing in it.
    pub fn is_connect(&self) -> bool {
        self.method == Method::CONNECT && self.protocol.is_none()
    }
}

/// Appends the block of a CONNECT to `authority`.
pub fn connect(encoder: &mut Encoder, authority: &str, headers: &HeaderMap, out: &mut Vec<u8>) {
    encoder.encode(b":method", b"CONNECT", out);
    encoder.encode(b":authority", authority.as_bytes(), out);
    message::write(encoder, headers, out);
}
