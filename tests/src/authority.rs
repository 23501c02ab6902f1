//! A certificate authority of a test's own, made by openssl.
use crate::programs::of_machine;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A root and what it signs, in a folder with the names of Istio's `cacerts`.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

/// A certificate and its key, as files.
#[derive(Debug)]
pub struct Proof {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Makes a new root in `folder`.
    #[track_caller]
    pub fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder for an authority");
        let authority = Self { folder: folder.to_owned() };
        authority.openssl(
            "openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt \
             -out ca-key.pem && chmod 600 ca-key.pem && \
             openssl req -x509 -new -key ca-key.pem -subj /O=test -days 30 -out ca-cert.pem \
             -addext basicConstraints=critical,CA:TRUE \
             -addext keyUsage=critical,keyCertSign,cRLSign && cp ca-cert.pem root-cert.pem",
        );
        authority
    }

    /// The folder, as the setting `ca_folder` takes it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root-cert.pem")
    }

    /// Certifies whoever `uri` names, for so many days; less than one: it has expired.
    #[track_caller]
    pub fn certify(&self, name: &str, uri: &str, days: i32) -> Proof {
        self.certify_as(name, &format!("URI:{uri}"), days)
    }

    /// The same for any kind of name, as openssl writes it: `DNS:a.example`.
    #[track_caller]
    pub fn certify_as(&self, name: &str, subject: &str, days: i32) -> Proof {
        // `x509 -not_after` came late to openssl; `ca` has had dates for ever.
        let sign = if days > 0 {
            format!(
                "openssl x509 -req -in {name}.csr -CA ca-cert.pem -CAkey ca-key.pem \
                 -CAcreateserial -days {days} -extfile {name}.ext -out {name}.pem"
            )
        } else {
            format!(
                "mkdir -p old && : > old/index && echo 01 > old/serial && \
                 openssl ca -batch -notext -config old.conf -extfile {name}.ext \
                 -startdate 20200101000000Z -enddate 20200102000000Z -in {name}.csr -out {name}.pem"
            )
        };
        fs::write(self.folder.join("old.conf"), OLD).expect("a file of openssl's");
        self.openssl(&format!(
            "openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt \
             -out {name}.key && openssl req -new -key {name}.key -subj / -out {name}.csr && \
             printf 'subjectAltName=critical,{subject}\\nextendedKeyUsage=serverAuth,clientAuth\\n\
             keyUsage=digitalSignature\\n' > {name}.ext && {sign}"
        ));
        let file = |extension| self.folder.join(format!("{name}.{extension}"));
        Proof { certificate: file("pem"), key: file("key") }
    }

    /// The list of those that are revoked, by serial number in hexadecimal.
    #[track_caller]
    pub fn revoke(&self, serials: &[String]) -> PathBuf {
        let revoked = |serial: &String| {
            let serial = serial.replace(':', "").to_uppercase();
            format!("R\t400101000000Z\t200101000000Z\t{serial}\tunknown\t/\n")
        };
        let index: String = serials.iter().map(revoked).collect();
        fs::create_dir_all(self.folder.join("old")).expect("a folder of openssl's");
        fs::write(self.folder.join("old/index"), index).expect("a file of openssl's");
        fs::write(self.folder.join("old.conf"), OLD).expect("a file of openssl's");
        self.openssl(
            "test -e old/crlnumber || echo 01 > old/crlnumber; \
             openssl ca -config old.conf -gencrl -crldays 30 -out crl.new && mv crl.new crl.pem",
        );
        self.folder.join("crl.pem")
    }

    #[track_caller]
    fn openssl(&self, script: &str) {
        // Named first, so that its absence is told as such.
        drop(of_machine("openssl", "openssl"));
        let done =
            of_machine("sh", "dash").args(["-ec", script]).current_dir(&self.folder).output();
        let done = done.expect("a shell");
        assert!(done.status.success(), "{script}\n{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// What `openssl ca` needs to sign with dates of the past.
const OLD: &str = "\
[ca]
default_ca = own
[own]
database = old/index
serial = old/serial
new_certs_dir = old
certificate = ca-cert.pem
private_key = ca-key.pem
default_md = sha256
policy = any
crlnumber = old/crlnumber
unique_subject = no
[any]
commonName = optional
";
