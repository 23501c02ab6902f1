//! Whatever is shown as a service account's token, or kept as an authority: it is read without a panic.
#![no_main]
use culvert_identity::ca::bundle;
use culvert_kubernetes::token::Claims;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(Claims::parse(bytes));
    if let Ok(text) = str::from_utf8(bytes) {
        drop(Claims::read(text));
    }
    let mut parts = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let names = [bundle::CHAIN, bundle::KEY, bundle::ROOTS];
    let texts = names.iter().filter_map(|name| Some(((*name).to_owned(), parts.next()?)));
    drop(bundle::read("cluster.local", &texts.collect()));
});
