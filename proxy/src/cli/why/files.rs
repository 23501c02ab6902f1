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
    },
    object::Objects,
    problem::Problem,
    source::files,
};
use culvert_model::{http::snapshot::Snapshot as Http, locality::Locality, snapshot::Snapshot};
use culvert_policy::{
    http::why::Engine,
    why::{Elsewhere, Engines},
};
use culvert_xds::envoy::decode::Wrong;
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
        Ok(Self { snapshot: compiler.into_mesh().snapshot(), scene })
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
        Emitter::new(scope, &self.scene).decoded()
    }
}

impl Engines for Files {
    fn engine(&self, namespace: &Arc<str>, node: &Arc<str>) -> Result<Arc<Engine>, Elsewhere> {
        let told =
            self.told(namespace, node).map_err(|wrong| Elsewhere::Wrong(wrong.to_string()))?;
        Ok(Arc::new(Engine::of(told)))
    }
}

fn wrong(problems: &[Problem]) -> Failure {
    let failure =
        Failure::new(Exit::Found, "the manifests have problems", "mend them and ask again");
    problems.iter().fold(failure, Failure::and)
}
