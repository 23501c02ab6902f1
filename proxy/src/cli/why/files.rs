//! The mesh that manifests make, with the engines that they ask for.
use crate::{
    config::Config,
    failure::{Exit, Failure},
};
use culvert_control::{
    compile::{
        Settings,
        http::emit::{Emitter, Scope, scene::Scene},
        incremental::Compiler,
        mesh::Mesh as Compiled,
    },
    object::Objects,
    problem::Problem,
    source::files,
};
use culvert_model::{
    http::snapshot::{Resource, Snapshot as Http},
    locality::Locality,
    snapshot::{Mesh, Snapshot, build::Builder},
};
use culvert_policy::{
    http::why::Engine,
    why::{Elsewhere, Engines},
};
use culvert_xds::envoy::{
    decode::{self, Nothing, Wrong},
    kind::Kind,
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// All of it as it would be with every enrolled pod captured.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) snapshot: Snapshot,
    /// What engines are told.
    scene: Scene,
}

impl Files {
    /// # Errors
    ///
    /// When something is wrong with them.
    pub(super) fn read(paths: &[PathBuf], config: &Config) -> Result<Self, Failure> {
        let objects = files::load(paths).map_err(|problems| wrong(&problems))?;
        let settings = Settings {
            node_name: "".into(),
            cluster: config.cluster.as_str().into(),
            trust_domain: config.trust_domain.as_str().into(),
            ambient: config.ambient,
            l7: true,
        };
        Self::of(&objects, settings).map_err(|problems| wrong(&problems))
    }

    /// # Errors
    ///
    /// Everything that is wrong with the objects.
    pub(super) fn of(objects: &Objects, settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler::new(settings);
        compiler.apply(objects)?;
        let scene = compiler.scene().clone();
        Ok(Self { snapshot: snapshot(&compiler.into_mesh()), scene })
    }

    /// What the engine of a namespace on a node is told.
    pub(super) fn told(&self, namespace: &Arc<str>, node: &Arc<str>) -> Result<Http, Wrong> {
        let scope = Scope {
            namespace: Arc::clone(namespace),
            node: Arc::clone(node),
            locality: Locality::default(),
            gateway: None,
            labels: BTreeMap::new(),
            api: false,
        };
        let mut told = Http::default();
        for resource in Emitter::new(scope, &self.scene).resources().values() {
            let (name, bytes) = (Arc::clone(&resource.name), &resource.any.value);
            let version = Arc::clone(&resource.version);
            match resource.kind {
                Kind::Cluster => {
                    let value = Arc::new(decode::cluster(bytes, &Nothing)?);
                    told.clusters_mut().insert(name, Resource { version, value });
                }
                Kind::Endpoint => {
                    let value = Arc::new(decode::assignment(bytes)?);
                    told.assignments_mut().insert(name, Resource { version, value });
                }
                Kind::Listener => {
                    let value = Arc::new(decode::listener(bytes, &Nothing)?);
                    told.listeners_mut().insert(name, Resource { version, value });
                }
                Kind::Route => {
                    let value = Arc::new(decode::routes(bytes, &Nothing)?);
                    told.routes_mut().insert(name, Resource { version, value });
                }
                // Engines of nodes are told none of these.
                Kind::Secret | Kind::Extension | Kind::Runtime => {}
            }
        }
        Ok(told)
    }
}

impl Engines for Files {
    fn engine(&self, namespace: &Arc<str>, node: &Arc<str>) -> Result<Arc<Engine>, Elsewhere> {
        let told =
            self.told(namespace, node).map_err(|wrong| Elsewhere::Wrong(wrong.to_string()))?;
        Ok(Arc::new(Engine::of(told)))
    }
}

/// What every node knows of it.
fn snapshot(mesh: &Compiled) -> Snapshot {
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
    builder.build()
}

fn wrong(problems: &[Problem]) -> Failure {
    let failure =
        Failure::new(Exit::Found, "the manifests have problems", "mend them and ask again");
    problems.iter().fold(failure, Failure::and)
}
