//! Names for the pods: services of the mesh are answered here, everything else is asked of the
//! resolver that the pod meant.
pub mod answer;

pub mod message;

#[cfg(test)]
mod sample;
