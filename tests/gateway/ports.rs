//! Ports that this process alone uses, below those that the kernel gives to clients.
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    path::Path,
};

const FIRST: u16 = 16_000;
const LAST: u16 = 31_000;
const BLOCK: u16 = 25;

/// A block of ports, ours while this lives.
#[derive(Debug)]
pub(crate) struct Ports {
    _lock: File,
    free: Vec<u16>,
    named: BTreeMap<String, u16>,
}

impl Ports {
    /// The first block that nobody holds, with files below `folder` as locks.
    pub(crate) fn take(folder: &Path) -> Self {
        let folder = folder.join("ports");
        fs::create_dir_all(&folder).unwrap();
        let blocks: Vec<u16> = (FIRST..LAST).step_by(usize::from(BLOCK)).collect();
        // Begin somewhere else in every process: what just ended may have left TIME_WAIT.
        let start = std::process::id() as usize * 7 % blocks.len();
        for at in (0..blocks.len()).map(|n| blocks[(start + n) % blocks.len()]) {
            let lock = File::create(folder.join(at.to_string())).unwrap();
            if lock.try_lock().is_err() {
                continue;
            }
            let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
            let free: Vec<u16> = (at..at + BLOCK).rev().filter(is_free).collect();
            if free.len() == usize::from(BLOCK) {
                return Self { _lock: lock, free, named: BTreeMap::new() };
            }
        }
        panic!("no {BLOCK} free ports in a row between {FIRST} and {LAST}");
    }

    /// The port of this name.
    pub(crate) fn of(&mut self, name: &str) -> u16 {
        if let Some(port) = self.named.get(name) {
            return *port;
        }
        let port = self.free.pop().expect("a case has fewer ports");
        self.named.insert(name.to_owned(), port);
        port
    }

    /// All that have names.
    pub(crate) fn named(&self) -> &BTreeMap<String, u16> {
        &self.named
    }
}
