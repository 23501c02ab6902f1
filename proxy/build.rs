//! Hashes of the eBPF objects that end up in the binary, for `culvert version`.
use sha2::{Digest as _, Sha256};
use std::{fs, path::Path};

fn main() {
    for name in ["node", "pod", "guard"] {
        let path = Path::new("../ebpf/prebuilt").join(name).with_extension("o");
        println!("cargo::rerun-if-changed={}", path.display());
        // Without the objects the kernel crate does not build, and says so itself.
        let hash = fs::read(&path).map(|object| format!("{:x}", Sha256::digest(object)));
        println!("cargo::rustc-env=SHA256_{}={}", name.to_uppercase(), hash.unwrap_or_default());
    }
}
