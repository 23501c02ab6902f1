//! However what comes is cut into pieces, it is the same.
use super::*;
use crate::hbone::http2::frame::write;
use proptest::prelude::*;

/// What was found, with data put together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    data: Vec<(u32, Vec<u8>, bool)>,
    others: Vec<String>,
}

impl<'p> Taker<'p> for Found {
    fn begins(&mut self, _: Head) -> Result<(), Fault> {
        Ok(())
    }

    fn data_begins(&mut self, head: Head, part: DataPart) -> Result<(), Fault> {
        self.others.push(format!("{} {}", head.stream, part.padding));
        self.data.push((head.stream, Vec::new(), false));
        Ok(())
    }

    fn data(&mut self, bytes: &'p [u8]) {
        self.data.last_mut().unwrap().1.extend_from_slice(bytes);
    }

    fn data_ends(&mut self, head: Head) -> Result<(), Fault> {
        self.data.last_mut().unwrap().2 = head.flags.has(Flags::END_STREAM);
        Ok(())
    }

    fn wrong(&mut self, fault: Fault) -> Result<(), Fault> {
        Err(fault)
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        self.others.push(format!("{frame:?}"));
        Ok(())
    }
}

/// One frame, as a peer may send it.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let data = (1..9_u32, prop::collection::vec(any::<u8>(), 0..300), any::<bool>());
    let padded = (1..9_u32, prop::collection::vec(any::<u8>(), 0..30), any::<u8>());
    prop_oneof![
        data.prop_map(|(stream, bytes, end)| {
            let length = u32::try_from(bytes.len()).unwrap();
            [&Head::data(stream, length, end).write()[..], &bytes].concat()
        }),
        padded.prop_map(|(stream, bytes, pad)| {
            let length = u32::try_from(bytes.len()).unwrap() + 1 + u32::from(pad);
            let head = Head { flags: Flags::PADDED, ..Head::data(stream, length, false) };
            [&head.write()[..], &[pad], &bytes, &vec![0; usize::from(pad)]].concat()
        }),
        any::<[u8; 8]>().prop_map(|said| {
            let mut out = Vec::new();
            write::ping(said, &mut out);
            out
        }),
        Just(()).prop_map(|()| {
            let mut out = Vec::new();
            write::settings_ack(&mut out);
            out
        }),
        (1..9_u32, prop::collection::vec(any::<u8>(), 0..100)).prop_map(|(stream, block)| {
            let mut out = Vec::new();
            write::headers(stream, &block, true, 40, &mut out);
            out
        }),
        (0..20_usize).prop_map(|length| {
            let kind = Kind::Unknown(77);
            let length = u32::try_from(length).unwrap();
            let head = Head { length, kind, flags: Flags::NONE, stream: 3 };
            [&head.write()[..], &vec![9; length as usize]].concat()
        }),
    ]
}

proptest! {
    #[test]
    fn cuts_make_no_difference(
        frames in prop::collection::vec(frame(), 0..20),
        cuts in prop::collection::vec(1..60_usize, 1..50),
        preface in any::<bool>(),
    ) {
        let mut bytes = if preface { PREFACE.to_vec() } else { Vec::new() };
        bytes.extend(frames.concat());
        let (mut whole, mut framer) = (Found::default(), Framer::new(preface));
        framer.feed(&bytes, &mut whole).unwrap();
        prop_assert_eq!(framer.has_begun(), true);

        let (mut cut, mut framer) = (Found::default(), Framer::new(preface));
        let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            framer.feed(now, &mut cut).unwrap();
            rest = later;
        }
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn whatever_comes_is_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let mut found = Found::default();
        let fed = Framer::new(false).feed(&bytes, &mut found);
        prop_assert!(fed.is_ok() || !bytes.is_empty());
        let taken: usize = found.data.iter().map(|(_, bytes, _)| bytes.len()).sum();
        prop_assert!(taken <= bytes.len());
    }
}

#[test]
fn who_does_not_begin_with_the_preface_is_refused_at_once() {
    let mut found = Found::default();
    assert!(Framer::new(true).feed(b"PRI * HTTP/2.1", &mut found).is_err());
    let mut framer = Framer::new(true);
    framer.feed(b"PRI * HTTP/2", &mut found).unwrap();
    assert!(!framer.has_begun());
}
