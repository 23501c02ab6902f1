//! What is shown to a control plane or a CA: the one token that is in a file.
//!
//! A join token is shown without the roots that stand behind it; anything else must look like a
//! bearer token of whoever else made it: a file that was named by mistake, such as a key, is shown
//! to nobody.
use crate::join::{self, JoinError, Token};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Of a file: a join token, with its roots, is no longer.
const LONGEST_FILE: u64 = join::LONGEST as u64;

/// Of what is shown: it goes along with the headers of a call, for which there is a bound.
const LONGEST: usize = 16 * 1024;

/// Why there is no token to show.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    #[error("cannot read the token {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("{} is no token: it is too long", .0.display())]
    Long(PathBuf),
    #[error(
        "{} is no token: want one word, as `culvert token NODE` prints it or Kubernetes projects it",
        .0.display()
    )]
    Form(PathBuf),
    #[error("the join token {} is no good", .0.display())]
    Join(PathBuf, #[source] JoinError),
}

/// The token in `file`.
///
/// Blocks its thread for the time a few kilobytes take.
///
/// # Errors
///
/// When there is none.
pub fn read(file: &Path) -> Result<String, BearerError> {
    let read = |error| BearerError::Read(file.to_owned(), error);
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(read)?;
    opened.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(read)?;
    if LONGEST_FILE < bytes.len() as u64 {
        return Err(BearerError::Long(file.to_owned()));
    }
    let text = str::from_utf8(&bytes).map_err(|_bytes| BearerError::Form(file.to_owned()))?;
    parse(file, text.trim())
}

/// The same, if anything need be shown: not while `is_proven` says that who we are is known by
/// something else, and there is none.
///
/// # Errors
///
/// When there is none, and nothing else.
pub fn shown(file: &Path, is_proven: impl FnOnce() -> bool) -> Result<Option<String>, BearerError> {
    match read(file) {
        Ok(token) => Ok(Some(token)),
        Err(_) if is_proven() => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(file: &Path, text: &str) -> Result<String, BearerError> {
    if join::is_ours(text) {
        let token = Token::parse(text).map_err(|why| BearerError::Join(file.to_owned(), why))?;
        return Ok(token.bearer().to_owned());
    }
    let may = |c: u8| c.is_ascii_alphanumeric() || b"-._~+/=".contains(&c);
    match text.bytes().all(may) && !text.is_empty() {
        true if text.len() <= LONGEST => Ok(text.to_owned()),
        true => Err(BearerError::Long(file.to_owned())),
        false => Err(BearerError::Form(file.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ca::Authority,
        clock::{Clock as _, SystemClock},
        join::{Claims, Key},
    };
    use proptest::prelude::*;
    use std::{fs, time::Duration};

    fn of(text: &[u8]) -> Result<String, BearerError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn only_what_proves_something_is_shown() {
        let now = SystemClock.now();
        let authority = Authority::new_root("td", now).unwrap();
        let claims = Claims::new("td", "a", now, Duration::from_secs(60));
        let join = Key::of(&[7; 32]).mint(&claims, authority.roots()).unwrap();
        let shown = of(format!("{join}\n").as_bytes()).unwrap();
        assert!(join.starts_with(&shown) && shown.len() < 200, "{shown}");
        let cut = of(&join.as_bytes()[..join.len() - 20]);
        assert!(matches!(cut, Err(BearerError::Join(..))), "{cut:?}");
        assert_eq!(of(b" eyJhbGciOi.eyJhdWQi.c2ln_-\n").unwrap(), "eyJhbGciOi.eyJhdWQi.c2ln_-");
        let whole = "a".repeat(LONGEST);
        assert_eq!(of(whole.as_bytes()).unwrap(), whole);
        let long = vec![b'a'; LONGEST + 1];
        let endless = vec![b'\n'; join::LONGEST + 1];
        for (wrong, why) in [
            (&b""[..], "want one word"),
            (b" \n", "want one word"),
            (b"two words", "want one word"),
            (b"-----BEGIN PRIVATE KEY-----\nMIG=\n-----END PRIVATE KEY-----\n", "want one word"),
            (b"\xff\xfe", "want one word"),
            (&long, "too long"),
            (&endless, "too long"),
        ] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let nowhere = read(Path::new("/nowhere/token")).unwrap_err().to_string();
        assert_eq!(nowhere, "cannot read the token /nowhere/token");
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_what_is_shown_is_a_short_word_of_it(bytes: Vec<u8>) {
            if let Ok(shown) = of(&bytes) {
                prop_assert!(!shown.is_empty() && shown.len() <= LONGEST);
                prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(String::from_utf8(bytes).unwrap().contains(&shown));
            }
        }
    }
}
