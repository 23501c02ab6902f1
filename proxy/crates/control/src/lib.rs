//! The control plane: manifests in; resources, certificates and orders out.
//!
//! Knows nothing of the kernel and of connections of pods: it runs anywhere.
//!
//! Reading order: [`problem`] (what is wrong, and where), [`object`] (text to typed objects),
//! [`source`] (where texts come from), [`compile`] (objects to what the mesh is to be; pure),
//! [`check`] (what is wrong with files, offline), [`announce`] (what of it everybody is told when; pure), [`ca`] and [`serve`] (certificates, and
//! who comes in), [`manifests`] (read, and again on every change), [`control`] (all of it,
//! running), [`local`] (manifests of one node's pods only), [`status`], `standing` (what becomes of
//! objects of Istio), [`gateways`] (what is made for them, and their status), [`clerk`] (who writes that into the Kubernetes API) and [`admission`] (what is refused there).

pub mod problem;

pub mod object;

pub mod source;

pub mod compile;

pub mod check;

pub mod announce;

pub mod serve;

pub mod ca;

pub mod status;

pub(crate) mod standing;

pub mod gateways;

pub mod clerk;

pub mod admission;

pub mod manifests;

pub mod local;

pub mod control;
