//! The control plane and a real API server.

#[cfg(test)]
mod plane;

#[cfg(test)]
#[path = "../shared/until.rs"]
mod until;

#[cfg(test)]
mod shop;

#[cfg(test)]
mod same;

#[cfg(test)]
mod life;

#[cfg(test)]
mod permission;

#[cfg(test)]
mod shipped;

#[cfg(test)]
mod replica;

#[cfg(test)]
mod nodes;

#[cfg(test)]
mod large;

#[cfg(test)]
mod authority;

#[cfg(test)]
mod writes;

#[cfg(test)]
mod routes;

#[cfg(test)]
mod pods;

#[cfg(test)]
mod admission;

#[cfg(test)]
mod accounts;

#[cfg(test)]
mod deploys;

#[cfg(test)]
mod gateway;

#[cfg(test)]
mod secrets;
