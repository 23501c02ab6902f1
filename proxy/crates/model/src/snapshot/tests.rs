//! Snapshots, built at once and step by step.
