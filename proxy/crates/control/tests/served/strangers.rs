//! Who is turned away, and that it harms nobody.
use crate::plane::{NAMESPACE, Plane, Seen as _, id, pod, upstream, way, who};
