//! Decrypting, in place.
use super::{
    keys::{Keys, Traffic},
    record::{
        self, ALERT, DATA, HANDSHAKE, HEADER, KEY_UPDATE, NEW_SESSION_TICKET, PLAIN_MAX,
        SEALED_MAX, TAG,
    },
};
use aws_lc_rs::aead::{Aad, Nonce, TlsProtocolId, TlsRecordOpeningKey};
use rustls::{AlertDescription, Error, InvalidMessage, PeerMisbehaved};
use std::{fmt, io, ops::Range};

/// How many records without content may follow each other, and how many changes of keys: who sends
/// more wants to keep us busy.
const FRUITLESS_MAX: u8 = 32;

/// The longest message of a handshake that is waited for after it; tickets are shorter.
const MESSAGE_MAX: usize = 64 << 10;

/// Alerts that end the connection as it should end, or mean nothing.
const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// The half that reads.
pub struct Opener {
    key: TlsRecordOpeningKey,
    iv: [u8; 12],
    /// How many records were opened with this key.
    number: u64,
    keys: Keys,
    /// The beginning of a message that is not there as a whole.
    message: Vec<u8>,
    /// Records in a row that were of no use.
    fruitless: u8,
    closed: bool,
}

/// What a record was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Content: where it is in what was opened; maybe empty.
    Data(Range<usize>),
    /// Nothing that the caller needs to know of.
    Kept,
    /// The peer has new keys and wants us to have new ones too: [`Sealer::renew`](super::Sealer).
    Renew,
    /// The peer will send nothing more.
    Closed,
}

impl Opener {
    pub(super) fn new(traffic: &Traffic, number: u64, keys: Keys) -> Result<Self, Error> {
        let (key, iv) = opening(traffic)?;
        let (message, fruitless, closed) = (Vec::new(), 0, false);
        Ok(Self { key, iv, number, keys, message, fruitless, closed })
    }

    /// Opens the record that `bytes` begin with; says what it was, and how long. `None`: it is not
    /// there as a whole.
    ///
    /// # Errors
    ///
    /// When it is none of the peer's, or one that must not be; the connection is over then.
    pub fn open(&mut self, bytes: &mut [u8]) -> io::Result<Option<(usize, Record)>> {
        self.next(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn next(&mut self, bytes: &mut [u8]) -> Result<Option<(usize, Record)>, Error> {
        if self.closed {
            // Whatever follows is not looked at (RFC 8446 §6.1).
            return Ok((!bytes.is_empty()).then_some((bytes.len(), Record::Kept)));
        }
        let Some(length) = record::length(bytes) else { return Ok(None) };
        if HEADER + SEALED_MAX < length {
            return Err(Error::PeerSentOversizedRecord);
        }
        let Some(whole) = bytes.get_mut(..length) else { return Ok(None) };
        let (kind, content) = self.decrypt(whole)?;
        if kind != HANDSHAKE && !self.message.is_empty() {
            // Nothing may come between the parts of a message (RFC 8446 §5.1).
            return Err(InvalidMessage::UnexpectedMessage("amid a message").into());
        }
        let record = match kind {
            DATA => {
                self.fruit(!content.is_empty())?;
                Record::Data(content)
            }
            HANDSHAKE => {
                self.fruit(false)?;
                self.message.extend_from_slice(&whole[content]);
                self.messages()?
            }
            ALERT => self.alert(&whole[content])?,
            _ => return Err(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec.into()),
        };
        Ok(Some((length, record)))
    }

    /// The true type of a record, and where its content is.
    fn decrypt(&mut self, whole: &mut [u8]) -> Result<(u8, Range<usize>), Error> {
        let (header, sealed) = whole.split_at_mut(HEADER);
        if header[0] != DATA {
            return Err(InvalidMessage::InvalidContentType.into());
        }
        if sealed.len() <= TAG {
            return Err(Error::DecryptError);
        }
        let nonce = Nonce::assume_unique_for_key(record::nonce(&self.iv, self.number));
        let opened = self.key.open_in_place(nonce, Aad::from(&*header), sealed);
        let plain = opened.map_err(|_unspecified| Error::DecryptError)?;
        self.number = self.number.checked_add(1).ok_or(Error::DecryptError)?;
        // Zeros after the type are padding.
        let at = plain.iter().rposition(|byte| *byte != 0);
        let at = at.ok_or(Error::InvalidMessage(InvalidMessage::InvalidContentType))?;
        if PLAIN_MAX < at {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok((plain[at], HEADER..HEADER + at))
    }

    fn fruit(&mut self, useful: bool) -> Result<(), Error> {
        self.fruitless = if useful { 0 } else { self.fruitless + 1 };
        match self.fruitless {
            0..=FRUITLESS_MAX => Ok(()),
            _ => Err(PeerMisbehaved::TooManyEmptyFragments.into()),
        }
    }

    /// Reads the messages that are there.
    fn messages(&mut self) -> Result<Record, Error> {
        let (mut record, mut at) = (Record::Kept, 0);
        while let [kind, a, b, c, rest @ ..] = &self.message[at..] {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if MESSAGE_MAX < length {
                return Err(InvalidMessage::HandshakePayloadTooLarge.into());
            }
            let Some(body) = rest.get(..length) else { break };
            match (*kind, body) {
                // Nothing is ever resumed.
                (NEW_SESSION_TICKET, _) if self.keys.is_client() => {}
                (KEY_UPDATE, [asked @ (0 | 1)]) => {
                    // The next record is under other keys: no message may go beyond this one.
                    if 1 < rest.len() {
                        return Err(PeerMisbehaved::KeyEpochWithPendingFragment.into());
                    }
                    if *asked == 1 {
                        record = Record::Renew;
                    }
                    (self.key, self.iv) = opening(&self.keys.next_to_open()?)?;
                    self.number = 0;
                }
                _ => return Err(InvalidMessage::UnexpectedMessage("after the handshake").into()),
            }
            at += 4 + length;
        }
        if at == self.message.len() {
            self.message = Vec::new();
        } else {
            drop(self.message.drain(..at));
        }
        Ok(record)
    }

    fn alert(&mut self, content: &[u8]) -> Result<Record, Error> {
        match content {
            [_, CLOSE_NOTIFY] => {
                self.closed = true;
                Ok(Record::Closed)
            }
            [_, USER_CANCELED] => {
                self.fruit(false)?;
                Ok(Record::Kept)
            }
            [_, alert] => Err(Error::AlertReceived(AlertDescription::from(*alert))),
            _ => Err(InvalidMessage::MessageTooShort.into()),
        }
    }
}

fn opening(traffic: &Traffic) -> Result<(TlsRecordOpeningKey, [u8; 12]), Error> {
    let Traffic { algorithm, key, iv } = traffic;
    let key = TlsRecordOpeningKey::new(algorithm, TlsProtocolId::TLS13, key.as_ref());
    Ok((key.map_err(|_unspecified| Error::DecryptError)?, *iv))
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("number", &self.number).finish_non_exhaustive()
    }
}
