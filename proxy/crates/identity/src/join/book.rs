//! Which join tokens are good at the moment: made with the key of the day, and not made void.
//!
//! Both are files of the control plane's, which replicas share, looked at every second: whoever
//! came in by a token that is void by now is no longer let be.
use super::{Claims, JoinError, Key, KeyError};
use culvert_runtime::{
    drain::Worker,
    publish::{self, Publisher, View},
};
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::{self, MissedTickBehavior};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// More than a hundred thousand lines: somebody else's file.
const LARGEST: u64 = 16 << 20;

/// What decides of tokens at one moment.
pub struct Book {
    key: Key,
    /// Up to when the tokens of a node are void.
    void: BTreeMap<String, UnixTime>,
}

/// The books of a control plane, kept in files; cheap to clone.
#[derive(Clone, Debug)]
pub struct Books(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    /// What tokens are made with; made anew when it is removed.
    key: PathBuf,
    /// Lines of a node and a second; there need not be one.
    void: PathBuf,
    state: Mutex<State>,
    view: View<Arc<Book>>,
}

struct State {
    publisher: Publisher<Arc<Book>>,
    seen: Texts,
    /// The last failure: told once.
    failure: Option<String>,
}

/// What is in the two files.
#[derive(PartialEq, Eq)]
struct Texts {
    key: String,
    void: String,
}

/// Why the books cannot be read, or nothing can be written down in them.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Node(#[from] JoinError),
    #[error("cannot read which join tokens are void in {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("cannot write down in {} that join tokens are void", .0.display())]
    Write(PathBuf, #[source] io::Error),
    #[error("{}: line {line} is no node and a second; mend or remove it", .path.display())]
    Line { path: PathBuf, line: usize },
}

impl Book {
    /// Makes a token as [`Key::mint`] does; good though tokens of its node were made void in the
    /// same second.
    ///
    /// # Errors
    ///
    /// As it has.
    pub fn mint(&self, claims: Claims, roots: &[CertificateDer<'_>]) -> Result<String, JoinError> {
        let after = |void: &UnixTime| {
            UnixTime::since_unix_epoch(Duration::from_secs(void.as_secs().saturating_add(1)))
        };
        let earliest = self.void.get(&claims.node).map(after);
        let issued = earliest.map_or(claims.issued, |earliest| earliest.max(claims.issued));
        self.key.mint(&Claims { issued, ..claims }, roots)
    }

    /// The node that whoever shows `bearer` is.
    ///
    /// # Errors
    ///
    /// As [`Key::verify`] has, and when it was made void.
    pub fn verify(
        &self,
        bearer: &str,
        trust_domain: &str,
        now: UnixTime,
    ) -> Result<Claims, JoinError> {
        let claims = self.key.verify(bearer, trust_domain, now)?;
        match self.void.get(&claims.node) {
            Some(until) if claims.issued <= *until => Err(JoinError::Void(claims.node)),
            Some(_) | None => Ok(claims),
        }
    }
}

impl Books {
    /// Reads the files; makes a key first where there is none.
    ///
    /// # Errors
    ///
    /// When one cannot be used.
    pub fn open(key: &Path, void: &Path) -> Result<Self, BookError> {
        let seen = Texts::read(key, void)?;
        let (publisher, view) = publish::channel(Arc::new(seen.book(key, void)?));
        let state = Mutex::new(State { publisher, seen, failure: None });
        let (key, void) = (key.to_owned(), void.to_owned());
        Ok(Self(Arc::new(Shelf { key, void, state, view })))
    }

    /// What is in them at the moment.
    pub fn view(&self) -> View<Arc<Book>> {
        self.0.view.clone()
    }

    /// Looks at the files every second, until the drain; what cannot be used changes nothing.
    pub fn follow(&self, worker: &Worker) {
        let (books, owner) = (self.clone(), worker.clone());
        worker.spawn(async move {
            let mut ticks = time::interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = owner.finishing() => return,
                }
                let Err(error) = books.look() else { continue };
                let said = error.to_string();
                let mut state = books.0.state.lock();
                if state.failure.as_ref() != Some(&said) {
                    tracing::warn!(error = said, "join tokens are judged as before");
                    state.failure = Some(said);
                }
            }
        });
    }

    /// Makes all tokens of `node` void that were made up to `now`.
    ///
    /// Blocks its thread until that is on disk.
    ///
    /// # Errors
    ///
    /// When it cannot be written down, or no node can be called so.
    pub fn make_void(&self, node: &str, now: UnixTime) -> Result<(), BookError> {
        super::checked(node)?;
        let write = |error| BookError::Write(self.0.void.clone(), error);
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.append(true).create(true).mode(0o600).open(&self.0.void).map_err(write)?;
        // In one piece: other replicas write there too.
        file.write_all(format!("{node} {}\n", now.as_secs()).as_bytes()).map_err(write)?;
        file.sync_all().map_err(write)?;
        self.look()
    }

    /// Goes by what is in the files now.
    fn look(&self) -> Result<(), BookError> {
        let Shelf { key, void, state, .. } = &*self.0;
        let mut state = state.lock();
        let now = Texts::read(key, void)?;
        if now != state.seen {
            let book = now.book(key, void)?;
            if now.key != state.seen.key {
                tracing::info!("another key of join tokens: all that were made are void");
            }
            state.seen = now;
            state.publisher.publish(Arc::new(book));
        }
        state.failure = None;
        Ok(())
    }
}

impl Texts {
    fn read(key: &Path, void: &Path) -> Result<Self, BookError> {
        let read = |error| BookError::Read(void.to_owned(), error);
        let text = match fs::metadata(void) {
            Ok(meta) if LARGEST < meta.len() => {
                return Err(read(io::Error::other("it is too large")));
            }
            Ok(_) => fs::read_to_string(void).map_err(read)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(read(error)),
        };
        Ok(Self { key: Key::text(key)?, void: text })
    }

    fn book(&self, key: &Path, void: &Path) -> Result<Book, BookError> {
        let mut until = BTreeMap::new();
        for (index, text) in self.void.lines().enumerate() {
            let (node, second) = line(text)
                .ok_or_else(|| BookError::Line { path: void.to_owned(), line: index + 1 })?;
            let entry = until.entry(node.to_owned()).or_insert(second);
            *entry = second.max(*entry);
        }
        Ok(Book { key: Key::read(&self.key, key)?, void: until })
    }
}

/// A node, and up to when its tokens are void.
fn line(text: &str) -> Option<(&str, UnixTime)> {
    let (node, second) = text.split_once(' ')?;
    super::checked(node).ok()?;
    Some((node, UnixTime::since_unix_epoch(Duration::from_secs(second.parse().ok()?))))
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").field("void", &self.void).finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
