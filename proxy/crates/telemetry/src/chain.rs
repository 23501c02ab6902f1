//! An error and its causes, on one line.
use std::{error::Error, fmt, iter};

/// Prints an error and its causes, outermost first.
///
/// An error's own message says what happened at its level only; this is how the rest is printed,
/// once, where the error ends.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        iter::successors(self.0.source(), |&error| error.source())
            .try_for_each(|error| write!(f, ": {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach 10.0.0.1:80")]
    struct Connect(#[source] io::Error);

    #[test]
    fn prints_every_cause_once() {
        let error = Connect(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert_eq!(
            Chain(&error).to_string(),
            "cannot reach 10.0.0.1:80: Connection refused (os error 111)"
        );
        assert_eq!(Chain(&io::Error::other("alone")).to_string(), "alone");
    }
}
