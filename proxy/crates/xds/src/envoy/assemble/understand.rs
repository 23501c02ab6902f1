//! A resource's bytes in the words of the model.
use super::{Assembler, Decoded, Incoming};
use crate::envoy::{
    decode::{self, Around, Before, Wrong},
    kind::Kind,
    references,
};
use std::sync::Arc;

impl Assembler {
    /// Understands what came as a resource of `kind`.
    pub(super) fn decode(
        &self,
        kind: Kind,
        incoming: &Incoming,
        around: &dyn Around,
    ) -> Result<Decoded, Wrong> {
        let url = &incoming.any.type_url;
        if Kind::of(url) != Some(kind) {
            return Err(Wrong::whole(format!("is of type {url:?}, want {}", kind.type_url())));
        }
        let bytes = &*incoming.any.value;
        let named = |name: &str, decoded| {
            if *name == *incoming.name {
                Ok(decoded)
            } else {
                Err(Wrong::whole(format!("the resource says that it is {name:?}")))
            }
        };
        match kind {
            Kind::Cluster => {
                let cluster = decode::cluster(bytes, around)?;
                named(&Arc::clone(&cluster.name), Decoded::Cluster(Arc::new(cluster)))
            }
            Kind::Endpoint => {
                let assignment = decode::assignment(bytes)?;
                named(&Arc::clone(&assignment.name), Decoded::Endpoint(Arc::new(assignment)))
            }
            // A listener without a name is called by whoever names it.
            Kind::Listener => {
                let mut listener = decode::listener(bytes, around)?;
                if listener.name.is_empty() {
                    listener.name = Arc::clone(&incoming.name);
                }
                named(&Arc::clone(&listener.name), Decoded::Listener(Arc::new(listener)))
            }
            Kind::Route => {
                let table = match self.table_before(&incoming.name) {
                    Some(before) => decode::changed_routes(bytes, before, around)?,
                    None => decode::routes(bytes, around)?,
                };
                references::of_table(&table, |name| self.knows_cluster(name))
                    .map_or(Ok(()), Err)?;
                named(&Arc::clone(&table.name), Decoded::Route(Arc::new(table)))
            }
            Kind::Secret => {
                let (name, secret) = decode::secret(bytes, around)?;
                named(&name, Decoded::Secret(Arc::new(secret)))
            }
            Kind::Extension => {
                let (name, filter) = decode::extension(bytes, around)?;
                named(&name, Decoded::Extension(Arc::new(filter)))
            }
            Kind::Runtime => {
                let layer = decode::runtime(bytes)?;
                named(&Arc::clone(&layer.name), Decoded::Runtime(Arc::new(layer)))
            }
        }
    }

    /// The route table that is held, if it was made of its bytes alone.
    fn table_before(&self, name: &Arc<str>) -> Option<Before<'_>> {
        let held = self.held.get(&(Kind::Route, Arc::clone(name))).filter(|held| held.alone)?;
        match &held.decoded {
            Decoded::Route(table) => Some(Before { bytes: &held.any.value, table }),
            Decoded::Cluster(_)
            | Decoded::Endpoint(_)
            | Decoded::Listener(_)
            | Decoded::Secret(_)
            | Decoded::Extension(_)
            | Decoded::Runtime(_) => None,
        }
    }
}
