//! Any path, normalised in every way: no panic, and what is normal stays as it is.
#![no_main]
use culvert_model::http::manager::{EscapedSlashes, PathOptions};
use culvert_policy::http::path::{Normalized, normalize};
use libfuzzer_sys::fuzz_target;

const OPTIONS: [EscapedSlashes; 4] = [
    EscapedSlashes::Keep,
    EscapedSlashes::Reject,
    EscapedSlashes::UnescapeAndRedirect,
    EscapedSlashes::UnescapeAndForward,
];

fn once(path: &str) {
    for escaped_slashes in OPTIONS {
        for flags in 0..4 {
            let (normalize_too, merge_slashes) = (flags & 1 == 0, flags & 2 == 0);
            let options = PathOptions { normalize: normalize_too, merge_slashes, escaped_slashes };
            let (Normalized::Changed(new) | Normalized::Redirect(new)) = normalize(path, options)
            else {
                continue;
            };
            if normalize_too {
                let bare = new.split('?').next().unwrap_or_default();
                assert!(bare.starts_with('/'), "{path:?} became {new:?}");
                assert!(
                    bare.split('/').all(|segment| segment != "." && segment != ".."),
                    "{path:?} became {new:?}"
                );
            }
        }
    }
}

fuzz_target!(|path: &str| once(path));
