//! The codecs against other people's: hyper, h2, curl, nghttp; and the pool and the way of a
//! request over them.
#[cfg(test)]
mod engine;
#[cfg(test)]
mod forward;
#[cfg(test)]
mod h1_client;
#[cfg(test)]
mod h2_both;
#[cfg(test)]
mod manager;
#[cfg(test)]
mod nginx;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod upstream_checks;
#[cfg(test)]
mod upstream_laws;
#[cfg(test)]
mod upstream_names;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod world;
