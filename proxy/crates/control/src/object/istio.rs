//! Objects of Istio's APIs that L7 is made of, and what they have in common.
//!
//! Reading order: [`time`], [`percent`], [`text_match`], [`domain`], [`headers`] (values that are
//! parsed once), [`destination`] (where something leads), then the kinds.

pub mod time;

pub mod percent;

pub mod text_match;

pub mod domain;

pub mod headers;

pub mod destination;

pub mod virtual_service;

pub mod destination_rule;

pub mod gateway;

pub mod target;

pub mod workload_group;

pub mod request_authentication;

pub mod telemetry;
