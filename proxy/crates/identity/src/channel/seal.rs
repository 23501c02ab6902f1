//! Encrypting, in place.
use super::{
    keys::{Keys, Traffic},
    record::{self, ALERT, DATA, HANDSHAKE, HEADER, KEY_UPDATE, TAG, TRAILER},
};
use aws_lc_rs::aead::{Aad, Nonce, TlsProtocolId, TlsRecordSealingKey};
use rustls::{AlertDescription, Error};
use std::{fmt, io};

/// How many records one key may seal. Half of what AES-GCM bears (RFC 8446 §5.5).
const NUMBER_MAX: u64 = 1 << 23;

/// How bad an alert is.
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// The half that writes.
pub struct Sealer {
    key: TlsRecordSealingKey,
    iv: [u8; 12],
    /// How many records were sealed with this key.
    number: u64,
    keys: Keys,
}

impl Sealer {
    pub(super) fn new(traffic: &Traffic, number: u64, keys: Keys) -> Result<Self, Error> {
        let (key, iv) = sealing(traffic)?;
        Ok(Self { key, iv, number, keys })
    }

    /// Seals a record of content where it is: [`HEADER`] bytes, the content,
    /// [`TRAILER`] bytes.
    ///
    /// # Errors
    ///
    /// When it can have no content of that size, or the key has sealed as much as it may.
    pub fn seal(&mut self, record: &mut [u8]) -> io::Result<()> {
        self.seal_as(DATA, record)
    }

    /// Whether the key is to be replaced before more is sealed.
    pub fn is_worn(&self) -> bool {
        NUMBER_MAX <= self.number
    }

    /// Replaces the key, and tells the peer in a record that is appended to `out`.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn renew(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.append(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], out)?;
        let next = self.keys.next_to_seal().and_then(|traffic| sealing(&traffic));
        (self.key, self.iv) = next.map_err(io::Error::other)?;
        self.number = 0;
        Ok(())
    }

    /// Says in a record that is appended to `out` that nothing more will be sent.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub fn close(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.append(ALERT, &[WARNING, u8::from(AlertDescription::CloseNotify)], out)
    }

    /// Says in a record that is appended to `out` why the peer's records are not understood.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub fn complain(&mut self, why: &io::Error, out: &mut Vec<u8>) -> io::Result<()> {
        let tls = why.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let alert = match tls {
            // Who has told us is not told.
            Some(Error::AlertReceived(_)) | None => return Ok(()),
            Some(Error::DecryptError) => AlertDescription::BadRecordMac,
            Some(Error::PeerSentOversizedRecord) => AlertDescription::RecordOverflow,
            Some(_) => AlertDescription::UnexpectedMessage,
        };
        self.append(ALERT, &[FATAL, u8::from(alert)], out)
    }

    fn append(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let begin = out.len();
        out.extend_from_slice(&[0; HEADER]);
        out.extend_from_slice(content);
        out.extend_from_slice(&[0; TRAILER]);
        self.seal_as(kind, &mut out[begin..])
    }

    fn seal_as(&mut self, kind: u8, record: &mut [u8]) -> io::Result<()> {
        let failed = || io::Error::new(io::ErrorKind::InvalidInput, Error::EncryptError);
        let sealed = record.len().checked_sub(HEADER).ok_or_else(failed)?;
        if !(TRAILER..=record::PLAIN_MAX + TRAILER).contains(&sealed)
            || 2 * NUMBER_MAX <= self.number
        {
            return Err(failed());
        }
        let (head, body) = record.split_at_mut(HEADER);
        head.copy_from_slice(&record::header(sealed));
        let (plain, tag) = body.split_at_mut(sealed - TAG);
        if let Some(last) = plain.last_mut() {
            *last = kind;
        }
        let nonce = Nonce::assume_unique_for_key(record::nonce(&self.iv, self.number));
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(&*head), plain);
        tag.copy_from_slice(sealed.map_err(|_unspecified| failed())?.as_ref());
        self.number += 1;
        Ok(())
    }
}

fn sealing(traffic: &Traffic) -> Result<(TlsRecordSealingKey, [u8; 12]), Error> {
    let Traffic { algorithm, key, iv } = traffic;
    let key = TlsRecordSealingKey::new(algorithm, TlsProtocolId::TLS13, key.as_ref());
    Ok((key.map_err(|_unspecified| Error::EncryptError)?, *iv))
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("number", &self.number).finish_non_exhaustive()
    }
}
