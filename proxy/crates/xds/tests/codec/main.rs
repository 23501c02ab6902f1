//! What is encoded is decoded as the same, and what is not understood is refused by its field.
#![expect(clippy::unwrap_used, reason = "tests")]

mod any;
mod refused;
mod same;
