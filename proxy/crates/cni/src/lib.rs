//! How a node comes to know where its pods are: a chained CNI plugin hands over each new one, and
//! the others are found.
//!
//! The plugin is a process of its own, which lives for milliseconds and may find no node: nothing
//! here is asynchronous, logs, or knows the API server.
//!
//! Reading order: [`call`] (what a runtime asks), [`conf`] and [`result`] (what it brings along),
//! [`failure`] (what a person reads), [`message`] and [`ask`] (the way to the node), [`mod@replace`]
//! and [`enrolled`] (what decides without one), [`plugin`] (all of these); [`chain`] (an entry in a list of
//! plugins; pure), [`install`] (beside whatever CNI is there); [`cgroup`] (whose a process is;
//! pure), [`running`] (where pods are that nobody handed over).

pub mod call;

pub mod conf;

pub mod result;

pub mod failure;

pub mod message;

pub mod ask;

pub mod replace;

pub mod enrolled;

pub mod plugin;

pub mod chain;

pub mod install;

pub mod cgroup;

pub mod running;

/// What the plugin is called, in a configuration and in the folder of plugins.
pub const NAME: &str = "culvert-cni";
