//! `culvert why`
use super::{
    cluster::{Cluster, crew::Crew},
    door::{Door, DoorArgs, Whom, there::There},
    output,
    start::{Start, whole},
};
use crate::{
    admin::{
        view,
        why::{self, Unanswered},
    },
    config::{Config, raw::Layer, settings::Role, sources::Variables},
    failure::{Exit, Failure},
};
use culvert_control::{
    compile::{self, Settings},
    problem::Problem,
    source::files,
};
use culvert_kubernetes::path::escape;
use culvert_model::snapshot::{Mesh, Snapshot, build::Builder};
use culvert_policy::why::{Party, Question};
use std::{path::PathBuf, rc::Rc, sync::Arc};

/// Say whether one workload may reach another, by which way, and by which rule.
///
/// From the running node, that of a cluster on which the source runs, or with -f from manifests. All answer as connections are decided:
/// policy, rule, the condition that fails, file and line. Where an ALLOW is missing, the rule that
/// came closest and what it lacked.
/// Exit code 0 permitted, 1 denied or depending on what is chosen.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert why pod/shop/web-0 cart.shop:80
  culvert why shop/web-0 cart.shop:80 --kubernetes      as the node of web-0 decides
  culvert why sa/shop/web 10.0.0.7:8080 -f manifests/
  culvert why 192.0.2.1 pod/shop/cart-0:8080 -o json | jq '.ways[].arrivals[].rule'")]
pub(crate) struct Why {
    /// Who opens the connection: a pod as NAMESPACE/NAME, sa/NAMESPACE/NAME, or an address.
    #[arg(value_name = "SRC")]
    from: String,
    /// Whom it is to reach: a pod as NAMESPACE/NAME, sa/NAMESPACE/NAME, an address or a service's
    /// host name.
    #[arg(value_name = "DST[:PORT]")]
    to: String,
    /// A manifest, or a folder of manifests, instead of a running node; may be repeated.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1..)]
    files: Vec<PathBuf>,
    /// With -f: the settings file of the control plane, for trust domain and cluster [default: the
    /// one that `CULVERT_CONFIG` names].
    #[arg(long, value_name = "FILE", requires = "files")]
    config: Option<PathBuf>,
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Why {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let Self { from, to, files, config, door, output } = self;
        let answer = if files.is_empty() {
            let door = match door.cluster()? {
                Some(cluster) => Door::There(of_source(&cluster, &door, &from)?),
                None => door.door(variables, Whom::Node)?,
            };
            let document = door.get(&format!("/why?from={}&to={}", escape(&from), escape(&to)))?;
            door.read::<view::Why>(&document)?
        } else {
            let files: Vec<_> = files.into_iter().map(whole).collect();
            let start = Start::of(config);
            // Nothing is shown, so there are settings.
            let Some((config, _)) = start.settings(Role::Control, variables, Layer::new())? else {
                return Ok(Exit::Done);
            };
            let snapshot = of_manifests(&files, &config)?;
            why::ask(&snapshot, &from, &to).map_err(|error| not_asked(&error))?
        };
        match output {
            output::Format::Json => output::json(&answer),
            output::Format::Text => output::print(answer.text.trim_end()),
        }
        Ok(if answer.is_permitted() { Exit::Done } else { Exit::Found })
    }
}

/// The node that knows the source best: its own, unless one is named; any of those that are ready
/// for a source that is no pod.
fn of_source(cluster: &Rc<Cluster>, door: &DoorArgs, from: &str) -> Result<There, Failure> {
    let crew = Crew::of(cluster)?;
    if door.names_one() {
        return door.there(cluster, &crew, Whom::Node);
    }
    let node = match Question::parse(from, "none") {
        Ok(Question { source: Party::Pod(pod), .. }) => {
            cluster.node_of(&pod.namespace, &pod.name)?
        }
        Ok(_) | Err(_) => None,
    };
    let pod = match node.and_then(|node| Some(crew.of_node(&node).ok()?.to_owned())) {
        Some(pod) => pod,
        None => crew.any_node()?.to_owned(),
    };
    Ok(There { cluster: Rc::clone(cluster), pod })
}

/// The mesh as it would be with every enrolled pod captured.
fn of_manifests(paths: &[PathBuf], config: &Config) -> Result<Snapshot, Failure> {
    let objects = files::load(paths).map_err(|problems| wrong(&problems))?;
    let settings = Settings {
        node_name: "".into(),
        cluster: config.cluster.as_str().into(),
        trust_domain: config.trust_domain.as_str().into(),
        ambient: config.ambient,
        l7: true,
    };
    let mesh = compile::mesh(&objects, &settings).map_err(|problems| wrong(&problems))?;
    let mut builder = Builder::new(Mesh {
        network: Arc::clone(&mesh.config.network),
        outbound: mesh.config.outbound,
        node: "".into(),
    });
    for wanted in mesh.members.values() {
        builder.set_member(wanted.announced(true));
    }
    for offered in mesh.services.values() {
        builder.set_service(Arc::clone(&offered.service));
    }
    for policy in mesh.policies.values() {
        builder.set_policy(Arc::clone(policy));
    }
    Ok(builder.build())
}

fn wrong(problems: &[Problem]) -> Failure {
    let failure =
        Failure::new(Exit::Found, "the manifests have problems", "mend them and ask again");
    problems.iter().fold(failure, Failure::and)
}

fn not_asked(error: &Unanswered) -> Failure {
    Failure::of(Exit::Usage, error, "`culvert why --help` shows how to ask")
}
