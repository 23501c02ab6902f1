//! Links over loopback, with real TLS.
mod attack;
mod bulk;
mod closing;
mod hostile;
mod links;
mod world;
