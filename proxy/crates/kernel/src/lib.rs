//! kernel
pub mod netlink;
pub mod netns;
