//! What listener filters read: a first message of TLS, a PROXY header. More bytes change no answer.
#![no_main]
use culvert_l7::listener::{
    hello::{self, Hello},
    proxied::{self, Proxied},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (hello, proxied) = (hello::read(bytes), proxied::read(bytes));
    for end in 0..bytes.len().min(1024) {
        let part = hello::read(&bytes[..end]);
        assert!(part == Hello::Undecided || part == hello);
        let part = proxied::read(&bytes[..end]);
        assert!(part == Proxied::Undecided || part == proxied);
    }
    if let Proxied::Header(header) = proxied {
        assert!(header.length <= bytes.len());
        let extras = &bytes[header.extras];
        let told: usize = proxied::extras(extras).map(|(_, value)| value.len() + 3).sum();
        assert!(told <= extras.len());
    }
});
