//! The control plane and a real API server.

#[cfg(test)]
mod plane;

#[cfg(test)]
mod shop;

#[cfg(test)]
mod same;

#[cfg(test)]
mod life;

#[cfg(test)]
mod permission;

#[cfg(test)]
mod large;
