//! What requests and responses have in common: which headers there can be (RFC 9113, 8).
use super::{
    code::{Code, Fault},
    hpack::{Decoder, Encoder, HpackError},
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Why a block is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error(transparent)]
    Hpack(#[from] HpackError),
    #[error("a malformed message: {0}")]
    Malformed(#[from] Malformed),
}

/// What is wrong with a message that could be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the name of a header cannot be one")]
    Name,
    #[error("the value of a header cannot be one")]
    Value,
    #[error("a pseudo-header that there is not")]
    UnknownPseudo,
    #[error("a pseudo-header twice")]
    Twice,
    #[error("a pseudo-header after other headers")]
    Late,
    #[error("a header that is about the connection")]
    Connection,
    #[error("{0} where it cannot be")]
    Unexpected(&'static str),
    #[error("no {0}")]
    Missing(&'static str),
    #[error("a {0} that there is not")]
    Bad(&'static str),
}

/// The headers that say what a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
}

/// A message's headers.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pseudo: [Option<HeaderValue>; 6],
    pub(super) headers: HeaderMap,
    /// Whether a header came, after which no pseudo-header may.
    begun: bool,
}

/// Reads the headers after a body. Nothing in them means anything to a tunnel.
///
/// # Errors
///
/// When they cannot be there.
pub fn trailers(decoder: &mut Decoder, block: &[u8], limit: usize) -> Result<(), BlockError> {
    Fields::decode(decoder, block, limit)?.nothing_more()?;
    Ok(())
}

/// Appends headers to a block.
pub(super) fn write(encoder: &mut Encoder, headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        let (name, secret) = (name.as_str().as_bytes(), value.is_sensitive());
        if secret {
            encoder.encode_secret(name, value.as_bytes(), out);
        } else {
            encoder.encode(name, value.as_bytes(), out);
        }
    }
}

impl BlockError {
    /// What has to end: of a message that is malformed or too long only its `stream`.
    pub const fn fault(&self, stream: u32) -> Fault {
        match self {
            Self::Hpack(HpackError::TooLong) => {
                Fault::stream(stream, Code::ENHANCE_YOUR_CALM, "the list of headers is too long")
            }
            Self::Hpack(_) => {
                Fault::link(Code::COMPRESSION_ERROR, "a block of headers cannot be read")
            }
            Self::Malformed(_) => {
                Fault::stream(stream, Code::PROTOCOL_ERROR, "a malformed message")
            }
        }
    }
}

impl Fields {
    /// Reads a block whole, and keeps the first that is wrong with it.
    pub(super) fn decode(
        decoder: &mut Decoder,
        block: &[u8],
        limit: usize,
    ) -> Result<Self, BlockError> {
        let (mut fields, mut wrong) = (Self::default(), None);
        decoder.decode(block, limit, &mut |name, value| {
            if wrong.is_none() {
                wrong = fields.take(name, value).err();
            }
        })?;
        match wrong {
            None => Ok(fields),
            Some(wrong) => Err(wrong.into()),
        }
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let value = text(value)?;
        if let [b':', ..] = name {
            if self.begun {
                return Err(Malformed::Late);
            }
            let pseudo = Pseudo::of(name).ok_or(Malformed::UnknownPseudo)?;
            return match self.pseudo[pseudo as usize].replace(value) {
                None => Ok(()),
                Some(_) => Err(Malformed::Twice),
            };
        }
        self.begun = true;
        let name = HeaderName::from_lowercase(name).map_err(|_bad| Malformed::Name)?;
        if is_of_connection(&name, &value) {
            return Err(Malformed::Connection);
        }
        // It cannot take more than 32,768; a limit that admits as many is beyond reason.
        self.headers.try_append(name, value).map(drop).map_err(|_full| Malformed::Name)
    }

    pub(super) fn pseudo(&mut self, pseudo: Pseudo) -> Option<HeaderValue> {
        self.pseudo[pseudo as usize].take()
    }

    /// Fails if there is a pseudo-header that was not taken.
    pub(super) fn nothing_more(&self) -> Result<(), Malformed> {
        match Pseudo::ALL.iter().find(|pseudo| self.pseudo[**pseudo as usize].is_some()) {
            None => Ok(()),
            Some(pseudo) => Err(Malformed::Unexpected(pseudo.name())),
        }
    }
}

impl Pseudo {
    const ALL: [Self; 6] =
        [Self::Method, Self::Scheme, Self::Authority, Self::Path, Self::Protocol, Self::Status];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Method => ":method",
            Self::Scheme => ":scheme",
            Self::Authority => ":authority",
            Self::Path => ":path",
            Self::Protocol => ":protocol",
            Self::Status => ":status",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|pseudo| pseudo.name().as_bytes() == name)
    }
}

/// A value, which neither begins nor ends with a blank (RFC 9113, 8.2.1).
fn text(value: &[u8]) -> Result<HeaderValue, Malformed> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_blank(value.first()) || is_blank(value.last()) {
        return Err(Malformed::Value);
    }
    HeaderValue::from_bytes(value).map_err(|_bad| Malformed::Value)
}

/// Whether it is about one hop's connection, which has other ways to say it (RFC 9113, 8.2.2).
fn is_of_connection(name: &HeaderName, value: &HeaderValue) -> bool {
    match name.as_str() {
        "connection" | "proxy-connection" | "keep-alive" | "transfer-encoding" | "upgrade" => true,
        "te" => value != "trailers",
        _ => false,
    }
}
