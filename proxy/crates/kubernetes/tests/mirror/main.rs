//! A mirror, and an API server that behaves as badly as one can.

#[cfg(test)]
mod api;

#[cfg(test)]
mod heard;

#[cfg(test)]
mod trouble;

#[cfg(test)]
mod definitions;

#[cfg(test)]
mod chosen;
