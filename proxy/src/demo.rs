//! The demonstration: two nodes with pods on this machine, real traffic, and what it shows.
//!
//! Reading order: [`stage`] (namespaces, manifests), [`process`] (a role's life), [`node`] (one
//! node's proxy, asked for evidence), [`tap`] (what is on the wire), [`clients`] (what pods ask),
//! [`books`] (the second application, over HTTP), [`edge`] (its gateway), [`peer`] (the built-in applications of the pods),
//! [`story`] (the checks in order), [`report`] (how they are told), [`stop`] (the interruption that ends all of it).
pub(crate) mod peer;

mod books;

mod clients;

mod edge;

mod error;

mod node;

mod process;

mod report;

mod stage;

mod stop;

mod story;

mod tap;

use crate::{
    failure::{Exit, Failure},
    ground::no_kernel,
};
use culvert_kernel::probe;
use culvert_lab::LabError;
use error::StageError;
use report::Report;
use stage::Stage;
use stop::Stop;

/// Runs the demonstration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demo {
    /// Print one JSON document instead of a table.
    pub(crate) json: bool,
    /// Stay up until interrupted.
    pub(crate) keep: bool,
}

impl Demo {
    /// Builds the stage, tells the story, prints the report and removes everything.
    ///
    /// # Errors
    ///
    /// When the stage cannot be built or was interrupted; a check that fails is no error but
    /// [`Exit::Found`].
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        probe().map_err(|error| no_kernel(&error))?;
        let stop = Stop::on_signals().map_err(|error| cannot(&error))?;
        let mut report = Report::new(self.json);
        let mut stage = Stage::build(&stop).map_err(|error| no_stage(&error))?;
        let told = story::tell(&mut stage, &mut report);
        if let Err(error) = &told {
            report.aborted(error);
            stage.last_words(&mut report);
        }
        if self.keep && !stop.is_set() {
            report.kept(stage.nodes());
            stop.wait();
        }
        let removed = stage.remove();
        report.check("nothing is left behind", "namespaces, pins, cgroups, run folders", removed);
        report.print();
        Ok(if report.all_ok() { Exit::Done } else { Exit::Found })
    }
}

fn no_stage(error: &StageError) -> Failure {
    if let StageError::Lab(LabError::Busy { .. }) = error {
        let what = "another demonstration runs on this machine";
        return Failure::new(Exit::Cannot, what, "wait until it has ended, or end it with Ctrl-C");
    }
    cannot(error)
}

fn cannot(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(
        Exit::Cannot,
        "the demonstration cannot run here",
        "run it as root on a machine with cgroup v2 and IPv6; `culvert version` shows what the kernel lacks",
    )
    .because(error)
}
