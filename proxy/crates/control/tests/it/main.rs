//! The control plane on real folders.

#[cfg(test)]
mod story;

#[cfg(test)]
mod changes;

#[cfg(test)]
mod corpora;

#[cfg(test)]
mod bookinfo;

#[cfg(test)]
mod ambient;

#[cfg(test)]
mod fields;

#[cfg(test)]
mod schema;
