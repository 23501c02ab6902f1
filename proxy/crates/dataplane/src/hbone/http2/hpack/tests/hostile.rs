//! Blocks that are wrong, or want to be expensive.
use super::*;

#[test]
fn a_block_that_is_wrong_is_refused_with_what_is() {
    for (hex, why) in [
        // Numbers: for nothing, beyond the tables, too large, too long, unfinished.
        ("80", HpackError::Index),
        ("be", HpackError::Index),
        ("7f 80 01 01 61", HpackError::Index),
        ("ff ff ff ff ff ff 7f", HpackError::Integer),
        ("ff 80 80 80 80 80 00", HpackError::Integer),
        ("ff ff ff ff ff 0f", HpackError::Integer),
        ("ff 80 80", HpackError::Truncated),
        ("ff", HpackError::Truncated),
        // Texts: longer than the block, or missing.
        ("40", HpackError::Truncated),
        ("40 01", HpackError::Truncated),
        ("40 01 61", HpackError::Truncated),
        ("40 01 61 02 62", HpackError::Truncated),
        ("40 7f ff ff ff 07 61", HpackError::Truncated),
        // Sizes: more than was allowed, and in the middle.
        ("3f e2 1f", HpackError::TableSize),
        ("3f ff ff ff ff 0f", HpackError::Integer),
        ("82 20", HpackError::LateResize),
        // Codes: the end itself, padding that is none, and more of it than there can be.
        ("00 01 61 84 ff ff ff ff", HpackError::Huffman),
        ("00 01 61 81 18", HpackError::Huffman),
        ("00 01 61 82 1f ff", HpackError::Huffman),
        ("00 01 61 81 ff", HpackError::Huffman),
    ] {
        assert_eq!(decoded(&mut Decoder::new(0), &bytes(hex)), Err(why), "{hex}");
        assert_eq!(Decoder::new(0).skip(&bytes(hex)), Err(why), "{hex}");
    }
}

#[test]
fn what_is_odd_and_allowed_is_read() {
    for (hex, said) in [
        ("", &[][..]),
        // Padding of seven bits, a code of nothing, and no name.
        ("00 01 61 84 18 c6 31 ff", &[("a", "aaaaa")]),
        ("00 01 61 80", &[("a", "")]),
        ("00 80 00", &[("", "")]),
        // A number with more bytes than it needs, and sizes as many as there are.
        ("20 20 3f e1 9f 80 00 82", &[(":method", "GET")]),
    ] {
        assert_eq!(decoded(&mut Decoder::new(0), &bytes(hex)), Ok(list(said)), "{hex}");
    }
}

#[test]
fn a_list_that_is_too_long_is_told_up_to_the_limit_and_spoils_nothing() {
    let mut decoder = Decoder::new(0);
    // One header of 4 KB, which 60,000 bytes then ask for again and again.
    let mut bomb = bytes("40 01 61 7f a1 1e");
    bomb.extend([b'x'; 4000]);
    bomb.extend([0xbe; 60_000]);
    let (mut told, mut bytes_told) = (0, 0);
    let outcome = decoder.decode(&bomb, 64 << 10, &mut |name, value| {
        told += 1;
        bytes_told += name.len() + value.len();
    });
    assert_eq!(outcome, Err(HpackError::TooLong));
    assert!(!HpackError::TooLong.is_link_fault());
    assert_eq!(told, (64 << 10) / 4033);
    assert!(bytes_told < 64 << 10);
    // What it put into the table is there.
    let next = decoded(&mut decoder, &[0xbe]).unwrap();
    assert_eq!(next, list(&[("a", &"x".repeat(4000))]));
}

#[test]
fn a_name_outlives_the_entry_that_it_is_taken_from() {
    let mut decoder = Decoder::new(0);
    let mut block = bytes("40 7f a1 1e");
    block.extend([b'n'; 4000]);
    block.push(0);
    // Each of these has the name again, and pushes out the one before.
    block.extend(bytes("7e 00").repeat(30_000));
    assert_eq!(decoder.decode(&block, 1000, &mut |_, _| {}), Err(HpackError::TooLong));
    assert_eq!(decoded(&mut decoder, &[0xbe]), Ok(list(&[(&"n".repeat(4000), "")])));
}

#[test]
fn a_table_never_holds_more_than_was_said() {
    let mut decoder = Decoder::new(0);
    for value in 0..1000_u32 {
        let mut block = bytes("40 01 61 0a");
        block.extend(format!("{value:010}").bytes());
        decoder.skip(&block).unwrap();
    }
    // 43 bytes each.
    let there = |index: usize| {
        let mut block = Vec::new();
        integer::write(index, 7, 0x80, &mut block);
        block
    };
    let oldest = 61 + TABLE_DEFAULT / 43;
    assert!(decoded(&mut decoder, &there(oldest)).is_ok());
    assert_eq!(decoded(&mut decoder, &there(oldest + 1)), Err(HpackError::Index));
    // What does not fit empties it, and is told all the same.
    let mut large = bytes("40 01 61 7f 82 1f");
    large.extend([b'x'; 4097]);
    assert_eq!(decoded(&mut decoder, &large).unwrap().len(), 1);
    assert_eq!(decoded(&mut decoder, &there(62)), Err(HpackError::Index));
}

#[test]
fn a_larger_table_is_the_peers_to_use_if_it_was_offered() {
    let resize = bytes("3f e2 1f");
    assert_eq!(Decoder::new(4097).skip(&resize), Ok(()));
    assert_eq!(Decoder::new(4096).skip(&resize), Err(HpackError::TableSize));
    // Less than it has from the start cannot be taken from it without its knowing.
    assert_eq!(Decoder::new(0).skip(&bytes("3f e1 1f")), Ok(()));
}
