//! Certificates of all cases, made once and kept below `target/gateway`: what is recorded says
//! their hashes.
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name, authority, DNS names, URIs.
const LEAVES: &[(&str, &str, &[&str], &[&str])] = &[
    ("server", "ca", &["case.test", "*.case.test", "localhost"], &[]),
    ("other", "ca", &["other.test"], &[]),
    ("client", "ca", &["client.test"], &["spiffe://case.test/ns/a/sa/client"]),
    ("second", "ca", &[], &["spiffe://case.test/ns/b/sa/second"]),
    ("stranger", "strange", &["client.test"], &["spiffe://case.test/ns/a/sa/client"]),
];

/// The folder with `NAME.pem`, `NAME.key` and the authorities.
pub(crate) fn folder(target: &Path) -> PathBuf {
    let folder = target.join("certificates");
    if !folder.join("done").exists() {
        let draft = target.join(format!("certificates.{}", std::process::id()));
        make(&draft);
        // Whoever comes second uses what the first one made.
        if fs::rename(&draft, &folder).is_err() {
            fs::remove_dir_all(&draft).unwrap();
        }
    }
    folder
}

/// Names all files by what they hold.
pub(crate) fn hash(folder: &Path) -> String {
    let mut hash = Sha256::new();
    for (name, ..) in LEAVES {
        hash.update(fs::read(folder.join(format!("{name}.pem"))).unwrap());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn make(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let authorities = ["ca", "strange"].map(|name| (name, authority(name)));
    for (name, authority) in &authorities {
        fs::write(folder.join(format!("{name}.pem")), authority.pem()).unwrap();
    }
    for (name, by, names, uris) in LEAVES {
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(DnType::CommonName, *name);
        leaf.distinguished_name.push(DnType::OrganizationName, "cases");
        leaf.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let dns = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
        let uri = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        leaf.subject_alt_names = dns.chain(uri).collect();
        let key = KeyPair::generate().unwrap();
        let (_, issuer) = authorities.iter().find(|(name, _)| name == by).unwrap();
        let certificate = leaf.signed_by(&key, issuer).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    fs::write(folder.join("done"), "").unwrap();
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}
