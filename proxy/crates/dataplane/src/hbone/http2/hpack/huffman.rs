//! The Huffman code of headers (RFC 7541, 5.2 and appendix B).
//!
//! The code is canonical: the lengths of its words say which they are. It is read four bits at a
//! time; no word is shorter than five, so that never more than one ends in a step.
use super::decode::HpackError;

/// How many bits stand for each byte, and last for the end, which is never said.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// What stands for the end.
const END: usize = 256;

/// The longest word.
const LONGEST: u8 = 30;

/// How many beginnings of words there are, the empty one included.
const STATES: usize = 256;

/// Where four bits lead from the beginning of a word.
#[derive(Clone, Copy, Debug)]
struct Step {
    to: u8,
    /// What ended on the way.
    said: Said,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Byte(u8),
    End,
}

/// A table to read by.
struct Code {
    steps: [[Step; 16]; STATES],
    /// Whether a text may end here: after less than eight bits, all ones.
    ends: [bool; STATES],
}

static CODE: Code = Code::make();

/// Appends the bytes that `code` stands for.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    // Nothing stands in less than five bits.
    out.reserve(code.len() + code.len() * 3 / 5);
    let mut state = 0_u8;
    for byte in code {
        for bits in [byte >> 4, byte & 0xf] {
            let step = CODE.steps[usize::from(state)][usize::from(bits)];
            match step.said {
                Said::Nothing => {}
                Said::Byte(byte) => out.push(byte),
                Said::End => return Err(HpackError::Huffman),
            }
            state = step.to;
        }
    }
    if CODE.ends[usize::from(state)] { Ok(()) } else { Err(HpackError::Huffman) }
}

/// The words, each in the lowest bits.
const fn words() -> [u32; 257] {
    let mut words = [0; 257];
    let (mut word, mut length) = (0, 5);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < words.len() {
            if LENGTHS[symbol] == length {
                words[symbol] = word;
                word += 1;
            }
            symbol += 1;
        }
        word <<= 1;
        length += 1;
    }
    words
}

/// The code as a tree: two branches of each beginning of a word.
#[derive(Clone, Copy)]
enum Branch {
    Nowhere,
    To(u8),
    Symbol(u16),
}

const fn tree() -> [[Branch; 2]; STATES] {
    let (words, mut tree, mut used) = (words(), [[Branch::Nowhere; 2]; STATES], 1_u16);
    let mut symbol = 0_u16;
    while symbol as usize <= END {
        let (word, mut left) = (words[symbol as usize], LENGTHS[symbol as usize]);
        let mut at = 0_u8;
        while 1 < left {
            left -= 1;
            let bit = (word >> left & 1) as usize;
            at = match tree[at as usize][bit] {
                Branch::To(next) => next,
                Branch::Nowhere | Branch::Symbol(_) => {
                    let [_, next] = used.to_be_bytes();
                    tree[at as usize][bit] = Branch::To(next);
                    used += 1;
                    next
                }
            };
        }
        tree[at as usize][(word & 1) as usize] = Branch::Symbol(symbol);
        symbol += 1;
    }
    // A tree with as many leaves has one inner node less; else a number above would have wrapped.
    assert!(used as usize == STATES, "the code is whole");
    tree
}

impl Code {
    const fn make() -> Self {
        let tree = tree();
        let mut steps = [[Step { to: 0, said: Said::Nothing }; 16]; STATES];
        let mut state = 0;
        while state < STATES {
            let mut bits = 0;
            while bits < 16 {
                steps[state][bits] = Step::walk(&tree, state, bits);
                bits += 1;
            }
            state += 1;
        }
        let mut ends = [false; STATES];
        let (mut at, mut ones) = (0, 0);
        while ones < 8 {
            ends[at] = true;
            // No word of eight ones is complete.
            if let Branch::To(next) = tree[at][1] {
                at = next as usize;
            }
            ones += 1;
        }
        Self { steps, ends }
    }
}

impl Step {
    const fn walk(tree: &[[Branch; 2]; STATES], from: usize, bits: usize) -> Self {
        let mut step = Self { to: 0, said: Said::Nothing };
        let (mut at, mut left) = (from, 4);
        while 0 < left {
            left -= 1;
            at = match tree[at][bits >> left & 1] {
                Branch::To(next) => next as usize,
                Branch::Symbol(symbol) => {
                    let [high, byte] = symbol.to_be_bytes();
                    step.said = if high == 0 { Said::Byte(byte) } else { Said::End };
                    0
                }
                Branch::Nowhere => return Self { to: 0, said: Said::End },
            };
        }
        let [.., to] = at.to_be_bytes();
        step.to = to;
        step
    }
}

/// Appends what stands for `text`. Peers do that; we save the work, for what is long is sent once.
#[cfg(test)]
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    const WORDS: [u32; 257] = words();
    let (mut bits, mut count) = (0_u64, 0);
    for &byte in text {
        let length = LENGTHS[usize::from(byte)];
        bits = bits << length | u64::from(WORDS[usize::from(byte)]);
        count += length;
        while 8 <= count {
            count -= 8;
            out.push((bits >> count).to_be_bytes()[7]);
        }
    }
    if 0 < count {
        out.push((bits << (8 - count) | 0xff >> count).to_be_bytes()[7]);
    }
}
