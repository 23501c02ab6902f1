//! What is served to nodes, and to whom.
use super::Access;
use crate::{
    ca::CertificateService,
    serve::{
        gate::{DiscoveryGate, Doorkeeper, ReportsGate},
        l7::desk::L7Desk,
    },
};
use culvert_runtime::{drain::Worker, publish::View};
use culvert_xds::{
    server::Worlds,
    transport::{
        discovery::Discovery,
        engines::Engines,
        followers::Followers,
        nodes::Nodes,
        reports::{Event, Reports},
    },
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::service::Routes;

/// Who answers, as engines are told.
const FROM: &str = concat!("culvert ", env!("CARGO_PKG_VERSION"));

/// What is served, and to whom.
pub(super) struct Services<'a> {
    pub(super) doorkeeper: Arc<Doorkeeper>,
    pub(super) access: Access,
    /// Who tells engines.
    pub(super) desk: Arc<L7Desk>,
    pub(super) followers: &'a Followers,
    pub(super) worker: &'a Worker,
}

impl Services<'_> {
    pub(super) fn routes(
        self,
        worlds: &View<Worlds>,
        nodes: &Nodes,
        certificates: CertificateService,
    ) -> (Routes, mpsc::Receiver<Event>) {
        let Self { doorkeeper, access, desk, followers, worker } = self;
        let reports_gate = Arc::new(ReportsGate(Arc::clone(&doorkeeper)));
        let gate = Arc::new(DiscoveryGate { doorkeeper, access });
        let (reports, events) = Reports::new(reports_gate, worker.clone());
        let engines = Engines::new(desk, followers.clone(), FROM, worker.clone());
        let discovery = Discovery::new(worlds.clone(), nodes.clone(), gate, worker.clone());
        let discovery = discovery.with_engines(engines);
        let routes = Routes::new(discovery.into_route())
            .add_service(reports.into_route())
            .add_service(certificates.into_route());
        (routes, events)
    }
}
