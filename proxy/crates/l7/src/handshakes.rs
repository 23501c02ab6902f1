//! What is counted of the TLS handshakes of a listener or a cluster, as `ssl.*`.
use crate::stats::{Counter, Late, Scope};
use culvert_identity::{edge::facts::TlsFacts, tls::HandshakeError, verify::VerifyError};
use parking_lot::Mutex;
use std::collections::HashMap;

#[derive(Debug)]
pub(crate) struct Handshakes {
    scope: Scope,
    handshakes: Late<Counter>,
    resumed: Late<Counter>,
    anonymous: Late<Counter>,
    errors: Late<Counter>,
    no_certificate: Late<Counter>,
    other_name: Late<Counter>,
    other_pin: Late<Counter>,
    unverified: Late<Counter>,
    pub(crate) updated: Late<Counter>,
    pub(crate) unready: Late<Counter>,
    /// By the end of their names: ciphers, versions, curves.
    kinds: Mutex<HashMap<(&'static str, Box<str>), Counter>>,
}

impl Handshakes {
    pub(crate) fn new(whose: &Scope) -> Self {
        let scope = whose.scope("ssl");
        let side = whose.scope("server_ssl_socket_factory");
        Self {
            handshakes: scope.late("handshake"),
            resumed: scope.late("session_reused"),
            anonymous: scope.late("no_certificate"),
            errors: scope.late("connection_error"),
            no_certificate: scope.late("fail_verify_no_cert"),
            other_name: scope.late("fail_verify_san"),
            other_pin: scope.late("fail_verify_cert_hash"),
            unverified: scope.late("fail_verify_error"),
            updated: side.late("ssl_context_update_by_sds"),
            unready: side.late("downstream_context_secrets_not_ready"),
            kinds: Mutex::default(),
            scope,
        }
    }

    pub(crate) fn shaken(&self, facts: &TlsFacts) {
        self.handshakes.inc();
        if facts.resumed {
            self.resumed.inc();
        }
        if facts.peer.is_none() {
            self.anonymous.inc();
        }
        self.kind("ciphers", facts.cipher.as_deref().unwrap_or_default());
        self.kind("versions", facts.version);
        self.kind("curves", facts.group);
    }

    pub(crate) fn failed(&self, error: &HandshakeError) {
        match error {
            HandshakeError::Peer(VerifyError::NoCertificate) => self.no_certificate.inc(),
            HandshakeError::Peer(VerifyError::OtherName(_) | VerifyError::NoName) => {
                self.other_name.inc();
            }
            HandshakeError::Peer(VerifyError::NoPin) => self.other_pin.inc(),
            HandshakeError::Peer(_) => self.unverified.inc(),
            HandshakeError::Refused(_) | HandshakeError::Tls(_) => self.errors.inc(),
            // Nothing of TLS's doing.
            HandshakeError::Io(_) => {}
        }
    }

    fn kind(&self, what: &'static str, value: &str) {
        if value.is_empty() {
            return;
        }
        let mut kinds = self.kinds.lock();
        let new = || self.scope.counter(&format!("{what}.{value}"));
        kinds.entry((what, value.into())).or_insert_with(new).inc();
    }
}
