mod go;
mod hostile;
mod rfc;

use super::*;
use crate::hbone::http2::{fuzz, settings::Settings};
use proptest::prelude::*;

type List = Vec<(String, String)>;

/// The text of hexadecimal digits, blanks apart.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    let (pairs, []) = digits.as_chunks::<2>() else { panic!("half a byte") };
    pairs.iter().map(byte).collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<List, HpackError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut list = List::new();
    decoder
        .decode(block, 1 << 16, &mut |name, value| list.push((text(name), text(value))))
        .map(|()| list)
}

fn encoded(encoder: &mut Encoder, list: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in list {
        encoder.encode(name.as_bytes(), value.as_bytes(), &mut block);
    }
    block
}

fn list(of: &[(&str, &str)]) -> List {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_a_link_says_again_takes_a_byte_each() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(0));
    let request = list(&[
        (":method", "CONNECT"),
        (":authority", "10.0.0.1:8080"),
        ("baggage", "k8s.namespace.name=shop,service.name=cart"),
    ]);
    assert_eq!(decoded(&mut decoder, &encoded(&mut encoder, &request)), Ok(request.clone()));
    let again = encoded(&mut encoder, &request);
    assert_eq!(again.len(), 3);
    assert_eq!(decoded(&mut decoder, &again), Ok(request));
}

#[test]
fn what_is_secret_or_passes_is_not_kept() {
    let mut encoder = Encoder::default();
    for (name, first) in [("traceparent", 0x00), ("forwarded", 0x00), ("cookie", 0x1f)] {
        let said = list(&[(name, "x")]);
        let once = encoded(&mut encoder, &said);
        assert_eq!(once[0], first, "{name}");
        assert_eq!(encoded(&mut encoder, &said), once, "{name}");
    }
    let mut block = Vec::new();
    encoder.encode_secret(b"baggage", b"x", &mut block);
    assert_eq!(block[0], 0x10);
    encoder.encode(b"baggage", b"x", &mut block);
    block.clear();
    encoder.encode_secret(b"baggage", b"x", &mut block);
    // By the name that is known, and still with its value.
    assert_eq!(block, bytes("1f 2f 01 78"));
}

#[test]
fn a_value_that_would_push_everything_out_is_not_kept() {
    let mut encoder = Encoder::default();
    let small = list(&[("baggage", "x")]);
    encoded(&mut encoder, &small);
    encoded(&mut encoder, &list(&[("baggage", &"y".repeat(3000))]));
    assert_eq!(encoded(&mut encoder, &small).len(), 1);
}

#[test]
fn a_peer_without_a_table_is_told_that_there_is_none() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(0));
    let said = list(&[("baggage", "x")]);
    let first = encoded(&mut encoder, &said);
    decoded(&mut decoder, &first).unwrap();
    let size = |size| Settings { header_table_size: Some(size), ..Settings::default() };
    encoder.apply(&size(0));
    let block = encoded(&mut encoder, &said);
    assert_eq!(block[0], 0x20);
    assert_eq!(decoded(&mut decoder, &block).as_ref(), Ok(&said));
    // Nothing stays in a table of nothing, so it is written out each time.
    assert_eq!(encoded(&mut encoder, &said), block[1..]);
    // Smaller and larger again: both are said, for what was in it is gone.
    encoder.apply(&size(100));
    encoder.apply(&size(64));
    encoder.apply(&size(1 << 30));
    let block = encoded(&mut encoder, &said);
    assert!(block.starts_with(&bytes("3f 21 3f e1 1f")), "{block:02x?}");
    assert_eq!(decoded(&mut decoder, &block), Ok(said));
}

fn a_header() -> impl Strategy<Value = (String, String)> {
    // Few of each, so that they come again.
    let name = prop_oneof![
        Just(":method".to_owned()),
        Just(":authority".to_owned()),
        Just("cookie".to_owned()),
        Just("forwarded".to_owned()),
        "[a-c]{1,3}",
    ];
    let value = prop_oneof!["[a-c]{0,2}", "\\PC{0,200}", "(GET|CONNECT)", "x{1900,2100}"];
    (name, value)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        blocks in prop::collection::vec(
            (prop::option::of(0..6000_u32), prop::collection::vec(a_header(), 0..8)), 1..12)
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(0));
        for (resize, said) in blocks {
            encoder.apply(&Settings { header_table_size: resize, ..Settings::default() });
            let block = encoded(&mut encoder, &said);
            prop_assert_eq!(decoded(&mut decoder, &block), Ok(said));
        }
    }

    #[test]
    fn integers_are_read_as_they_were_written(
        value in prop_oneof![0..600_usize, 0..=u32::MAX as usize], prefix in 4..8_u32, more: Vec<u8>
    ) {
        let mut out = Vec::new();
        integer::write(value, prefix, 0, &mut out);
        out.extend(&more);
        let mut rest = &out[..];
        prop_assert_eq!(integer::read(&mut rest, prefix), Ok(value));
        prop_assert_eq!(rest, more);
    }

    #[test]
    fn a_huffman_code_says_one_thing_and_one_code_says_it(text: Vec<u8>, code: Vec<u8>) {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        huffman::encode(&text, &mut there);
        huffman::decode(&there, &mut back).unwrap();
        prop_assert_eq!(&back, &text);
        back.clear();
        if huffman::decode(&code, &mut back).is_ok() {
            let mut again = Vec::new();
            huffman::encode(&back, &mut again);
            prop_assert_eq!(again, code);
        }
    }

    #[test]
    fn the_laws_hold_for_any_bytes(bytes: Vec<u8>) {
        fuzz::hpack(&bytes);
        fuzz::messages(&bytes);
    }

    /// Bytes that are more often right than those by chance.
    #[test]
    fn the_laws_hold_for_blocks_with_a_mistake(
        lists in prop::collection::vec(prop::collection::vec(a_header(), 0..6), 1..6),
        at: prop::sample::Index, to: u8
    ) {
        let (mut encoder, mut bytes) = (Encoder::default(), Vec::new());
        for said in lists {
            let block = encoded(&mut encoder, &said);
            for part in block.chunks(255) {
                bytes.push(u8::try_from(part.len()).unwrap());
                bytes.extend(part);
            }
        }
        fuzz::hpack(&bytes);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = to;
            fuzz::hpack(&bytes);
        }
    }
}
