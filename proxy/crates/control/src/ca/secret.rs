//! The authority of all replicas, in one Secret.
//!
//! Whoever comes first makes it; what counts for everybody, the maker included, is what the API
//! server has then. It is followed: another authority takes over within a moment, what cannot be
//! used changes nothing, and when the Secret is gone the same authority is put back, for certificates
//! of another one would be believed by nobody who runs. The key of join tokens is with it, so that a
//! token is good wherever it is shown.
use super::trouble::Trouble;
use culvert_identity::{
    ca::{Authority, bundle},
    clock::Clock,
    join::Key,
};
use culvert_kubernetes::named::{Change, Contents, Following, Named};
use culvert_runtime::{
    alarm,
    backoff::Backoff,
    dice::dice,
    drain::Worker,
    publish::{self, Publisher, View},
};
use std::{
    future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How soon it is made again what could not be made, and at the latest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Beside the authority: what join tokens are made with. Where there is none, each replica has its own.
const JOIN_KEY: &str = "join-key";

/// What keeps it.
struct Keeper {
    secret: Named,
    following: Following,
    trust_domain: Arc<str>,
    clock: Arc<dyn Clock>,
    trouble: Trouble,
    /// Where the key of join tokens is looked for.
    join_key: PathBuf,
    /// What is in force.
    contents: Option<Contents>,
    /// When it is to be made; `None`: it is there.
    make: Option<Instant>,
    backoff: Backoff,
}

/// The authority in `secret`, which is made where there is none, and what follows it.
///
/// Waits until there is one.
pub(crate) async fn open(
    secret: Named,
    trust_domain: &Arc<str>,
    clock: &Arc<dyn Clock>,
    (join_key, trouble): (&Path, &Trouble),
    worker: &Worker,
) -> View<Arc<Authority>> {
    let mut keeper = Keeper {
        following: secret.follow(worker),
        secret,
        trust_domain: Arc::clone(trust_domain),
        clock: Arc::clone(clock),
        trouble: trouble.clone(),
        join_key: join_key.to_owned(),
        contents: None,
        make: None,
        backoff: Backoff::new(AGAIN.0, AGAIN.1),
    };
    let (publisher, view) = publish::channel(keeper.next().await);
    worker.spawn(keeper.run(publisher, worker.clone()));
    view
}

impl Keeper {
    async fn run(mut self, mut publisher: Publisher<Arc<Authority>>, owner: Worker) {
        loop {
            tokio::select! {
                () = owner.finishing() => return,
                authority = self.next() => {
                    publisher.publish(authority);
                    tracing::info!(secret = %self.secret, "the authority was replaced");
                }
            }
        }
    }

    /// The next authority that can be used. After the drain it waits forever.
    ///
    /// Cancel safe.
    async fn next(&mut self) -> Arc<Authority> {
        loop {
            tokio::select! {
                change = self.following.next() => match change {
                    Some(change) => {
                        if let Some(authority) = self.hear(change) {
                            return authority;
                        }
                    }
                    None => future::pending().await,
                },
                () = alarm::at(self.make) => self.make().await,
            }
        }
    }

    /// What a change brings.
    fn hear(&mut self, change: Change) -> Option<Arc<Authority>> {
        let contents = match change {
            Change::Is(Ok(contents)) => contents,
            Change::Is(Err(why)) => {
                self.make = None;
                self.trouble.with(&self.secret, &why);
                return None;
            }
            Change::Absent => {
                // Sooner where there never was one.
                self.make = Some(Instant::now());
                return None;
            }
            Change::Same => {
                self.trouble.over(&self.following());
                return None;
            }
            Change::Unavailable(why) => {
                self.trouble.with(&self.following(), &why);
                return None;
            }
        };
        self.make = None;
        self.backoff.reset();
        self.trouble.over(&self.following());
        self.keep_join_key(&contents);
        match bundle::read(&self.trust_domain, &contents) {
            Ok(authority) => {
                self.trouble.over(&self.secret);
                let is_new = self.contents.as_ref() != Some(&contents);
                self.contents = Some(contents);
                is_new.then(|| Arc::new(authority))
            }
            Err(error) => {
                let stays = match self.contents {
                    Some(_) => "the authority before it stays",
                    None => "there is no authority until that is mended",
                };
                self.trouble.with(&self.secret, &format!("{error}; {stays}"));
                None
            }
        }
    }

    /// Makes the Secret; what is in it then is heard, whoever made it.
    async fn make(&mut self) {
        self.make = None;
        let made = match &self.contents {
            Some(contents) => contents.clone(),
            None => match Authority::new_root(&self.trust_domain, self.clock.now()) {
                Ok(authority) => {
                    let mut made = bundle::write(&authority);
                    let key = Key::made().map(String::into_bytes).ok();
                    made.extend(key.map(|key| (JOIN_KEY.to_owned(), key)));
                    made
                }
                Err(error) => return self.trouble.with(&self.secret, &error),
            },
        };
        match self.secret.create(&made).await {
            Ok(true) => tracing::info!(secret = %self.secret, "the authority's Secret was made"),
            // Somebody else was faster: it is heard of.
            Ok(false) => {}
            Err(fault) => {
                self.trouble.with(&self.secret, &self.secret.in_words(&fault));
                self.make = Some(Instant::now() + self.backoff.next(dice()));
            }
        }
    }

    /// Puts the key of join tokens where it is looked for; a few hundred bytes.
    fn keep_join_key(&self, contents: &Contents) {
        let Some(key) = contents.get(JOIN_KEY) else { return };
        let what = format!("{JOIN_KEY} in {}", self.secret);
        match Key::keep(&self.join_key, &String::from_utf8_lossy(key)) {
            Ok(()) => self.trouble.over(&what),
            Err(error) => self.trouble.with(&what, &error),
        }
    }

    /// What following it is called.
    fn following(&self) -> String {
        format!("changes of {}", self.secret)
    }
}
