//! How the checks are told.
use crate::{cli::output, demo::node::Node};
use culvert_telemetry::chain::Chain;
use serde::Serialize;
use std::{error::Error, fmt::Display};

/// The checks so far.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    checks: Vec<Check>,
    #[serde(skip)]
    json: bool,
}

/// One thing that was shown; the shape is public (`--json`).
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What was seen, or what went wrong.
    detail: String,
    /// How it was checked.
    how: &'static str,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { checks: Vec::new(), json }
    }

    /// Adds a check: what was seen, or what was seen instead.
    pub(super) fn check(
        &mut self,
        name: &'static str,
        how: &'static str,
        seen: Result<String, impl Display>,
    ) {
        let (ok, detail) = match seen {
            Ok(detail) => (true, detail),
            Err(problem) => (false, problem.to_string()),
        };
        if !self.json {
            output::say(format_args!("{} {name}", if ok { "ok  " } else { "FAIL" }));
        }
        self.checks.push(Check { name, ok, detail, how });
    }

    /// The story ended early.
    pub(super) fn aborted(&mut self, error: &(dyn Error + 'static)) {
        let why = Chain(error);
        self.check("the demonstration ran to its end", "", Err::<String, _>(why));
    }

    /// Something a person needs to understand a failure.
    pub(super) fn note(&self, text: impl Display) {
        output::say(text);
    }

    /// Tells how to look around while all of it stays up.
    pub(super) fn kept<'a>(&self, nodes: impl Iterator<Item = &'a Node>) {
        output::say("the two nodes stay up until Ctrl-C; look around with");
        for node in nodes {
            output::say(format_args!("  culvert status --instance {}", node.instance()));
        }
        output::say("  ip netns exec culvert-demo-a-client curl http://10.77.2.10:8080/");
        output::say(
            "  ip netns exec culvert-demo-edge-visitor curl --cacert /run/culvert/lab-demo-files/books.pem \
             --resolve books.example.com:443:10.77.4.1 https://books.example.com/",
        );
    }

    pub(super) fn print(&self) {
        if self.json {
            output::json(self);
            return;
        }
        let rows = self.checks.iter().map(|Check { name, ok, detail, how }| {
            let result = if *ok { "ok" } else { "FAILED" };
            [(*name).to_owned(), result.to_owned(), detail.clone(), (*how).to_owned()]
        });
        output::table(["WHAT", "RESULT", "SEEN", "CHECKED BY"], rows);
    }

    pub(super) fn all_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}
