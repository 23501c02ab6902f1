//! Who a workload is, proven: keys, certificates, and the TLS that shows and checks them.
//!
//! Private keys of workloads are made here, stay in memory, and leave in no form; what others get
//! are TLS configurations and [`Signer`](signer::Signer)s. The crate does not decide who may have
//! a certificate: whoever asks [`Authority`](ca::Authority) for one has authorised it before.
//!
//! Reading order: [`clock`], [`csr`] (what is asked for), [`issue`] (who is asked), [`ca`] (who
//! signs), [`certificate`] (what comes back, checked), [`trust`] and [`crl`] (whom we believe),
//! [`verify`] (whether a peer is who it must be), [`signer`], [`tls`] (handshakes), [`channel`] (what tunnels speak
//! after them), [`renew`]
//! (when to ask again), [`keeper`] (who asks), [`store`] (where connections find it). Then how nodes
//! and the control plane meet: [`node`] (their names), [`join`] (a node's first proof), [`bearer`]
//! (what is shown of it), [`upstream`] (the way to the control plane), [`istio`] (certificates from
//! there), [`serving`] (its own end). Apart from all that: [`edge`] (TLS as Envoy's resources ask for it).

pub mod clock;

pub mod armor;

pub mod csr;

pub mod issue;

pub mod ca;

pub mod certificate;

pub mod trust;

pub mod crl;

pub mod verify;

pub mod signer;

pub mod tls;

pub mod channel;

pub mod renew;

pub mod keeper;

pub mod store;

pub mod node;

pub mod join;

pub mod bearer;

pub mod secret;

pub mod upstream;

pub mod istio;

pub mod serving;

pub mod edge;

mod follow;
