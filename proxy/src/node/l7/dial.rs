//! The way out of one engine.
use culvert_model::{party::Party, pod::LocalPods};
use culvert_runtime::{
    doors::{Answer, Dial, NoWay, Opened},
    publish::View,
};
use std::{fmt, net::SocketAddr, sync::Arc};

/// Opens connections for a namespace: also those that nobody has asked for, such as checks of
/// endpoints, which one of its pods makes.
pub(super) struct AsNamespace {
    mesh: Arc<dyn Dial>,
    pods: View<LocalPods>,
    namespace: Arc<str>,
}

impl AsNamespace {
    pub(super) fn new(mesh: Arc<dyn Dial>, pods: View<LocalPods>, namespace: &Arc<str>) -> Self {
        Self { mesh, pods, namespace: Arc::clone(namespace) }
    }

    fn somebody(&self) -> Option<Party> {
        self.pods.look(|now| {
            let mut pods = now.value.pods.values();
            let own = pods.find(|pod| pod.workload.name.namespace == self.namespace)?;
            Some(Party::Source(own.workload.uid.clone()))
        })
    }
}

impl Dial for AsNamespace {
    fn dial(&self, party: Option<&Party>, to: SocketAddr) -> Answer<Result<Opened, NoWay>> {
        match party {
            Some(party) => self.mesh.dial(Some(party), to),
            None => self.mesh.dial(self.somebody().as_ref(), to),
        }
    }
}

impl fmt::Debug for AsNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsNamespace").field(&self.namespace).finish()
    }
}
