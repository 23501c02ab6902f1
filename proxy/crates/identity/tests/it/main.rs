//! Handshakes between real ends over memory, and the keeper with issuers that fail on purpose.
//!
//! Time is tokio's paused clock: a wait passes at once, and certificates age by it.
#[cfg(test)]
mod channel;
#[cfg(test)]
mod crl;
#[cfg(test)]
mod keeper;
#[cfg(test)]
mod openssl;
#[cfg(test)]
mod own;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod world;
