use super::*;
use crate::csr::Key;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

const NOW: u64 = 1_800_000_000;

fn authority() -> Authority {
    Authority::new_root("td", at(NOW)).unwrap()
}

fn cart() -> Identity {
    Identity::try_new("td", "shop", "cart").unwrap()
}

/// Signs what `edit` made of an ordinary request.
fn signs(
    key: &KeyPair,
    edit: impl FnOnce(&mut CertificateParams),
) -> Result<Issued, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(cart().to_string().try_into().unwrap())];
    edit(&mut params);
    let csr = Csr::from_der(params.serialize_request(key).unwrap().der().clone());
    authority().sign(&cart(), &csr, DAY, at(NOW))
}

fn p256() -> KeyPair {
    KeyPair::generate().unwrap()
}

#[test]
fn certifies_one_identity_for_both_sides_and_nothing_else() {
    let csr = Key::generate().unwrap().request(&cart()).unwrap();
    let (authority, other) = (authority(), authority());
    let issued = authority.sign(&cart(), &csr, DAY, at(NOW)).unwrap();
    let leaf = &issued.chain[0];
    assert_eq!(verify::identities(leaf).unwrap(), [cart()]);
    let (_, read) = X509Certificate::from_der(leaf).unwrap();
    assert_eq!(read.subject().iter().count(), 0);
    assert!(!read.is_ca());
    let validity = Validity::of(&read);
    assert_eq!(validity.not_before, at(NOW - 120));
    assert_eq!(validity.not_after, at(NOW + DAY.as_secs()));
    for side in [Side::Client, Side::Server] {
        let leads_to = |roots| verify::chain(&Trust::new(roots).unwrap(), leaf, &[], side, at(NOW));
        assert_eq!(leads_to(&issued.roots), Ok(()));
        assert_eq!(leads_to(other.roots()), Err(VerifyError::UnknownIssuer));
    }
}

#[test]
fn what_else_a_request_asks_for_is_refused_or_passed_over() {
    let alien = SanType::URI("spiffe://td/ns/shop/sa/admin".try_into().unwrap());
    let refused = signs(&p256(), |csr| csr.subject_alt_names.push(alien.clone())).unwrap_err();
    assert!(matches!(refused, AuthorityError::OtherName(_)), "{refused}");
    let refused = signs(&p256(), |csr| csr.subject_alt_names = vec![alien]).unwrap_err();
    assert!(matches!(refused, AuthorityError::OtherName(_)), "{refused}");
    let refused = signs(&p256(), |csr| csr.subject_alt_names.clear()).unwrap_err();
    assert!(matches!(refused, AuthorityError::OtherName(_)), "{refused}");

    let issued = signs(&p256(), |csr| {
        csr.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        csr.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    let leaf = issued.unwrap().chain.remove(0);
    let (_, read) = X509Certificate::from_der(&leaf).unwrap();
    assert!(!read.is_ca());
    assert!(!read.key_usage().unwrap().unwrap().value.key_cert_sign());
}

#[test]
fn refuses_other_keys_and_requests_that_were_tampered_with() {
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let refused = signs(&p384, |_| {}).unwrap_err();
    assert!(matches!(refused, AuthorityError::NotP256), "{refused}");

    let csr = Key::generate().unwrap().request(&cart()).unwrap();
    let mut der = csr.der().to_vec();
    let name = der.windows(4).position(|four| four == b"cart").unwrap();
    der[name..name + 4].copy_from_slice(b"carl");
    let carl = Identity::try_new("td", "shop", "carl").unwrap();
    let refused = authority().sign(&carl, &Csr::from_der(der), DAY, at(NOW)).unwrap_err();
    assert!(matches!(refused, AuthorityError::Request(_)), "{refused}");
}

#[test]
fn signs_for_its_own_trust_domain_only() {
    let other = Identity::try_new("elsewhere", "shop", "cart").unwrap();
    let csr = Key::generate().unwrap().request(&other).unwrap();
    let refused = authority().sign(&other, &csr, DAY, at(NOW)).unwrap_err();
    assert!(matches!(refused, AuthorityError::OtherTrustDomain { .. }), "{refused}");
}

#[test]
fn no_certificate_outlives_the_authority() {
    let (authority, csr) = (authority(), Key::generate().unwrap().request(&cart()).unwrap());
    let end = authority.validity().not_after.as_secs();
    let issued = authority.sign(&cart(), &csr, DAY, at(end - 60)).unwrap();
    let (_, read) = X509Certificate::from_der(&issued.chain[0]).unwrap();
    assert_eq!(Validity::of(&read).not_after, at(end));
    let refused = authority.sign(&cart(), &csr, DAY, at(end + 1)).unwrap_err();
    assert!(matches!(refused, AuthorityError::NotValidNow), "{refused}");
}

#[test]
fn an_intermediate_sends_itself_along() {
    let (root_key, key) = (p256(), p256());
    let mut root = params(at(NOW), DAY * 30).unwrap();
    root.distinguished_name.push(DnType::CommonName, "root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut between = root.clone();
    between.distinguished_name.push(DnType::CommonName, "between");
    let root_certificate = root.self_signed(&root_key).unwrap();
    let between = between.signed_by(&key, &Signing::from_params(&root, &root_key)).unwrap();

    let made = |key: &KeyPair, chain: &str| {
        let roots = root_certificate.pem();
        Authority::from_pem("td", &key.serialize_pem(), chain.as_bytes(), roots.as_bytes())
    };
    let authority = made(&key, &between.pem()).unwrap();
    let csr = Key::generate().unwrap().request(&cart()).unwrap();
    let issued = authority.sign(&cart(), &csr, DAY, at(NOW)).unwrap();
    assert_eq!(issued.chain.len(), 2);
    let trust = Trust::new(&issued.roots).unwrap();
    let chain = |rest| verify::chain(&trust, &issued.chain[0], rest, Side::Server, at(NOW));
    assert_eq!(chain(&issued.chain[1..]), Ok(()));
    assert_eq!(chain(&[]), Err(VerifyError::UnknownIssuer));

    assert!(matches!(made(&root_key, &between.pem()), Err(AuthorityError::OtherKey)));
    let leaf = armor::write(&issued.chain[..1]);
    assert!(matches!(made(&key, &leaf), Err(AuthorityError::NotACa)));
}

#[test]
fn does_not_print_its_key() {
    let authority = authority();
    let shown = format!("{authority:?}");
    assert!(shown.starts_with("Authority { trust_domain: \"td\", roots: 1"), "{shown}");
}
