//! Requests of HTTP, one after another, and who answered how.
use crate::{
    message::{Client, Message},
    say,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Instant,
};

/// How many answers of each kind there were.
#[derive(Debug, Default)]
struct Tally {
    statuses: BTreeMap<String, u64>,
    /// By the name that a server says of itself.
    names: BTreeMap<String, u64>,
    /// How often another one answered than before.
    turns: u64,
    bodies: BTreeSet<String>,
    errors: BTreeMap<String, u64>,
    last: Option<Message>,
}

/// Asks `server` so many times for `path`, on one connection for as long as it lasts.
pub(crate) fn run(server: &str, path: &str, times: u64, headers: &[&str]) -> io::Result<()> {
    let (mut tally, mut client, begun) = (Tally::default(), None, Instant::now());
    for _ in 0..times {
        let connected = client.take().map_or_else(|| Client::connect(server), Ok);
        let asked = connected.and_then(|mut client| {
            let answer = client.get(path, headers)?;
            Ok((client, answer))
        });
        match asked {
            Ok((kept, answer)) => {
                client = (answer.field("connection") != Some("close")).then_some(kept);
                tally.add(answer);
            }
            Err(error) => *tally.errors.entry(format!("{error:?}")).or_default() += 1,
        }
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    say(&tally.report(millis));
    Ok(())
}

impl Tally {
    fn add(&mut self, answer: Message) {
        let count = |of: &mut BTreeMap<String, u64>, what: &str| {
            *of.entry(what.to_owned()).or_default() += 1;
        };
        count(&mut self.statuses, answer.second());
        let name = answer.field("x-name").unwrap_or_default();
        count(&mut self.names, name);
        let before = self.last.as_ref().map(|last| last.field("x-name").unwrap_or_default());
        self.turns += u64::from(before.is_some_and(|before| before != name));
        self.bodies.insert(answer.body.clone());
        self.last = Some(answer);
    }

    fn report(self, millis: u64) -> Value {
        let Self { statuses, names, turns, bodies, errors, last } = self;
        let fields = last.iter().flat_map(Message::fields);
        let fields: serde_json::Map<_, _> =
            fields.map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({
            "ok": errors.is_empty(),
            "statuses": statuses,
            "names": names,
            "turns": turns,
            "bodies": bodies,
            "errors": errors,
            "headers": fields,
            "millis": millis,
        })
    }
}
