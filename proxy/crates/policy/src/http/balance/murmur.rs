//! `MurmurHash2` of 64 bits: `std::hash` of the C++ library that rings of old were made with.

const SEED: u64 = 0xc70f_6907;
const M: u64 = 0xc6a4_a793_5bd1_e995;

/// The hash, with that library's seed.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut hash = SEED ^ length.wrapping_mul(M);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let word = mix(u64::from_le_bytes(word).wrapping_mul(M)).wrapping_mul(M);
        hash = (hash ^ word).wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(M);
    }
    mix(mix(hash).wrapping_mul(M))
}

const fn mix(word: u64) -> u64 {
    word ^ word >> 47
}
