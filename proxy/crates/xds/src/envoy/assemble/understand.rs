//! A resource's bytes in the words of the model.
use super::{Assembler, Decoded, Incoming, Made};
use crate::envoy::{
    decode::{self, Around, Asking, Before, Wrong},
    kind::Kind,
    references,
};
use std::sync::Arc;

impl Assembler {
    /// Understands what came as a resource of `kind`, if nobody has yet.
    pub(super) fn make(
        &self,
        kind: Kind,
        incoming: Incoming,
    ) -> Result<Arc<Made>, Box<(Incoming, Wrong)>> {
        let url = &incoming.any.type_url;
        if Kind::of(url) != Some(kind) {
            let wrong = Wrong::whole(format!("is of type {url:?}, want {}", kind.type_url()));
            return Err(Box::new((incoming, wrong)));
        }
        if let Some(made) = self.common.as_ref().and_then(|common| common.find(&incoming)) {
            return match self.look_at(&made.decoded) {
                Ok(()) => Ok(made),
                Err(wrong) => Err(Box::new((incoming, wrong))),
            };
        }
        let around = Asking::of(&*self.around);
        let decoded = self.decode(kind, &incoming, &around);
        let decoded = decoded.and_then(|decoded| self.look_at(&decoded).map(|()| decoded));
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(wrong) => return Err(Box::new((incoming, wrong))),
        };
        let Incoming { name, any, .. } = incoming;
        let made = Arc::new(Made { name, any, decoded, alone: !around.has_asked() });
        if let Some(common) = &self.common {
            common.remember(&made);
        }
        Ok(made)
    }

    /// What the same bytes may be here, and not with others.
    fn look_at(&self, decoded: &Decoded) -> Result<(), Wrong> {
        let Decoded::Route(table) = decoded else { return Ok(()) };
        references::of_table(table, |name| self.knows_cluster(name)).map_or(Ok(()), Err)
    }

    fn decode(
        &self,
        kind: Kind,
        incoming: &Incoming,
        around: &dyn Around,
    ) -> Result<Decoded, Wrong> {
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
        let held = self.held.get(&(Kind::Route, Arc::clone(name)))?;
        let made = Some(&held.made).filter(|made| made.alone)?;
        match &made.decoded {
            Decoded::Route(table) => Some(Before { bytes: &made.any.value, table }),
            Decoded::Cluster(_)
            | Decoded::Endpoint(_)
            | Decoded::Listener(_)
            | Decoded::Secret(_)
            | Decoded::Extension(_)
            | Decoded::Runtime(_) => None,
        }
    }
}
