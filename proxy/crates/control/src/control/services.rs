//! What is served to nodes, and to whom.
use super::Access;
use crate::{
    ca::CertificateService,
    serve::gate::{DiscoveryGate, Doorkeeper, ReportsGate},
};
use culvert_runtime::{drain::Worker, publish::View};
use culvert_xds::{
    server::Worlds,
    transport::{
        discovery::Discovery,
        nodes::Nodes,
        reports::{Event, Reports},
    },
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::service::Routes;

/// What is served, and to whom.
pub(super) struct Services<'a> {
    pub(super) doorkeeper: Arc<Doorkeeper>,
    pub(super) access: Access,
    pub(super) worker: &'a Worker,
}

impl Services<'_> {
    pub(super) fn routes(
        self,
        worlds: &View<Worlds>,
        nodes: &Nodes,
        certificates: CertificateService,
    ) -> (Routes, mpsc::Receiver<Event>) {
        let Self { doorkeeper, access, worker } = self;
        let reports_gate = Arc::new(ReportsGate(Arc::clone(&doorkeeper)));
        let gate = Arc::new(DiscoveryGate { doorkeeper, access });
        let (reports, events) = Reports::new(reports_gate, worker.clone());
        let discovery = Discovery::new(worlds.clone(), nodes.clone(), gate, worker.clone());
        let routes = Routes::new(discovery.into_route())
            .add_service(reports.into_route())
            .add_service(certificates.into_route());
        (routes, events)
    }
}
