//! What the connection maps hold, and that the counts of pods say the same.
use crate::{traffic::eventually, world::World};
use aya::maps::{HashMap, Map, MapData};
use culvert_common::conn::{OrigDst, PendingKey, Tuple};
use culvert_kernel::Enrolled;

/// Entries of the connection maps of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) pending: usize,
    pub(crate) bypass: usize,
    pub(crate) egress: usize,
}

impl Held {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            pending: entries::<PendingKey, OrigDst>(world, "PENDING"),
            bypass: entries::<Tuple, u32>(world, "BYPASS"),
            egress: entries::<Tuple, u32>(world, "EGRESS_OK"),
        }
    }
}

/// Waits until neither maps nor counts have anything of the only pod.
pub(crate) fn nothing_is_held(world: &World, pod: &Enrolled) {
    eventually(|| counted(pod) == (0, 0) && Held::of(world) == Held::default());
}

/// Asserts that the only pod's counts are what the maps hold, and returns it.
pub(crate) fn held(world: &World, pod: &Enrolled) -> Held {
    let held = Held::of(world);
    assert_eq!(counted(pod), (held.pending, held.bypass + held.egress));
    held
}

fn counted(pod: &Enrolled) -> (usize, usize) {
    let stats = pod.stats();
    (stats.pending.try_into().unwrap(), stats.tuples.try_into().unwrap())
}

fn entries<K: aya::Pod, V: aya::Pod>(world: &World, name: &str) -> usize {
    let data = MapData::from_pin(world.instance.pins().join(name)).unwrap();
    let map: HashMap<_, K, V> = HashMap::try_from(Map::HashMap(data)).unwrap();
    map.keys().count()
}
