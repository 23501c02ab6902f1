//! Routing netlink.
