//! Chains of clients that were verified a while ago, under the trust that still holds.
//!
//! Whoever opens many connections shows one certificate each time, and its chain is a good part of a
//! handshake's arithmetic. That its key is the client's is verified in every handshake, and so are
//! the times of all that was shown; another trust, revocations included, begins with nothing.
use super::{Side, VerifyError, chain};
use crate::{certificate::Validity, trust::Trust};
use aws_lc_rs::digest::{Context, SHA256};
use culvert_runtime::publish::{Generation, Published};
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::HashMap;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The clients of one server that are known at once; with more, it begins anew.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Believed(Mutex<Known>);

/// Chains by their bytes, and when all of each is valid.
#[derive(Debug, Default)]
struct Known {
    /// Of the trust that they were verified under.
    trust: Option<Generation>,
    chains: HashMap<[u8; 32], Validity>,
}

impl Believed {
    /// Whether a client's chain leads to a root, as [`chain`] says it.
    pub(super) fn verify(
        &self,
        trust: &Published<Trust>,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        let key = key(leaf, intermediates);
        if key.is_some_and(|key| self.knows(trust.generation, &key, now)) {
            return Ok(());
        }
        chain(&trust.value, leaf, intermediates, Side::Client, now)?;
        if let (Some(key), Some(validity)) = (key, validity(leaf, intermediates)) {
            self.learn(trust.generation, key, validity);
        }
        Ok(())
    }

    fn knows(&self, trust: Generation, key: &[u8; 32], now: UnixTime) -> bool {
        let known = self.0.lock();
        let found = known.chains.get(key).filter(|_| known.trust == Some(trust));
        found.is_some_and(|valid| valid.not_before <= now && now <= valid.not_after)
    }

    fn learn(&self, trust: Generation, key: [u8; 32], validity: Validity) {
        let mut known = self.0.lock();
        // What was found under an earlier trust says nothing any more.
        if known.trust.is_some_and(|newest| trust < newest) {
            return;
        }
        if known.trust != Some(trust) || known.chains.len() >= MOST {
            known.chains.clear();
            known.trust = Some(trust);
        }
        known.chains.insert(key, validity);
    }
}

/// Tells chains apart.
fn key(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Option<[u8; 32]> {
    let mut digest = Context::new(&SHA256);
    for certificate in std::iter::once(leaf).chain(intermediates) {
        digest.update(&u64::try_from(certificate.len()).ok()?.to_be_bytes());
        digest.update(certificate);
    }
    digest.finish().as_ref().try_into().ok()
}

/// When all of it is valid.
fn validity(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Option<Validity> {
    let of = |der: &CertificateDer<'_>| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Validity::of(&certificate))
    };
    intermediates.iter().try_fold(of(leaf)?, |all, one| {
        let one = of(one)?;
        Some(Validity {
            not_before: all.not_before.max(one.not_before),
            not_after: all.not_after.min(one.not_after),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa,
        KeyPair, date_time_ymd,
    };
    use std::time::Duration;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// Valid through 2026, of a client.
    fn client(by: &CertifiedIssuer<'static, KeyPair>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().clone()
    }

    fn under(by: &CertifiedIssuer<'static, KeyPair>, generation: Generation) -> Published<Trust> {
        let value = Trust::new(&[by.der().clone()]).unwrap();
        Published { generation, value }
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    const NEW_YEAR: u64 = 1_767_225_600;
    const YEAR: u64 = 365 * 24 * 60 * 60;

    #[test]
    fn what_was_believed_is_believed_while_it_is_valid() {
        let (ca, believed) = (authority(), Believed::default());
        let (leaf, trust) = (client(&ca), under(&ca, Generation::FIRST));
        let verify = |now| believed.verify(&trust, &leaf, &[], at(now));
        for now in [NEW_YEAR, NEW_YEAR + 60, NEW_YEAR + YEAR] {
            assert_eq!(verify(now), Ok(()), "{now}");
        }
        assert_eq!(believed.0.lock().chains.len(), 1);
        assert!(matches!(verify(NEW_YEAR + YEAR + 1), Err(VerifyError::Expired { .. })));
        assert!(matches!(verify(NEW_YEAR - 1), Err(VerifyError::NotYetValid { .. })));
    }

    #[test]
    fn another_trust_believes_nobody_who_was_believed_before() {
        let (old, new, believed) = (authority(), authority(), Believed::default());
        let leaf = client(&old);
        let before = under(&old, Generation::FIRST);
        let after = under(&new, Generation::FIRST.next());
        let verify = |trust| believed.verify(trust, &leaf, &[], at(NEW_YEAR));
        assert_eq!(verify(&before), Ok(()));
        assert!(verify(&after).is_err());
        // One of the new trust makes the others forgotten; a handshake that began before it learns
        // nothing.
        assert_eq!(believed.verify(&after, &client(&new), &[], at(NEW_YEAR)), Ok(()));
        assert_eq!(verify(&before), Ok(()));
        assert!(verify(&after).is_err());
        assert_eq!(believed.0.lock().chains.len(), 1);
    }

    #[test]
    fn every_byte_counts() {
        let (ca, believed) = (authority(), Believed::default());
        let (leaf, trust) = (client(&ca), under(&ca, Generation::FIRST));
        assert_eq!(believed.verify(&trust, &leaf, &[], at(NEW_YEAR)), Ok(()));
        let mut forged = leaf.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert!(believed.verify(&trust, &forged.into(), &[], at(NEW_YEAR)).is_err());
        // And so does what is shown beside it.
        let shown = [ca.der().clone()];
        assert_eq!(believed.verify(&trust, &leaf, &shown, at(NEW_YEAR + YEAR)), Ok(()));
        assert_eq!(believed.0.lock().chains.len(), 2);
    }
}
