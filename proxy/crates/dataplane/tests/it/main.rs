//! Component tests: real sockets in this process.
#[cfg(test)]
mod copy;
