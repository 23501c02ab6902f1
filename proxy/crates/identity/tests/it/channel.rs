//! Records in the caller's memory, with the library's as the other end.
use crate::world::{Mesh, Node, chain, id};
use culvert_identity::{
    channel::{self, Channel, HEADER, Opener, PLAIN_MAX, Record, TRAILER},
    tls::{self, HandshakeError, Secured},
};
use std::io;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(at), listener.accept());
    (one.unwrap(), other.unwrap().0)
}

/// What a channel's peer says, opened as it comes, until so many bytes or the end.
async fn hear(channel: &mut Channel, most: usize) -> io::Result<(Vec<u8>, Vec<Record>)> {
    let (mut heard, mut records) = (Vec::new(), Vec::new());
    while heard.len() < most {
        let mut at = 0;
        while let Some((length, record)) = channel.opener.open(&mut channel.early[at..])? {
            match record {
                Record::Data(place) => {
                    heard.extend_from_slice(&channel.early[at + place.start..at + place.end]);
                }
                other @ (Record::Kept | Record::Renew | Record::Closed) => records.push(other),
            }
            at += length;
        }
        channel.early.drain(..at);
        if heard.len() < most && channel.tcp.read_buf(&mut channel.early).await? == 0 {
            break;
        }
    }
    Ok((heard, records))
}

fn sealed(channel: &mut Channel, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in content.chunks(PLAIN_MAX) {
        let mut record = vec![0; HEADER + part.len() + TRAILER];
        record[HEADER..HEADER + part.len()].copy_from_slice(part);
        channel.sealer.seal(&mut record).unwrap();
        out.append(&mut record);
    }
    out
}

async fn say(channel: &mut Channel, content: &[u8]) {
    let records = sealed(channel, content);
    channel.tcp.write_all(&records).await.unwrap();
}

fn pattern(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

/// Two channels that know each other.
async fn pair(node: &Node) -> (Channel, Channel) {
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    let (one, other) = connected().await;
    let (client, server) = tokio::join!(
        channel::connect(&cart, [id("bank")].into(), one),
        channel::accept(&bank, other)
    );
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn talks_with_the_library_as_client_and_as_server_and_through_new_keys() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    let much = pattern(300_000);
    let (one, other) = connected().await;
    let (ours, theirs) =
        tokio::join!(channel::connect(&cart, [id("bank")].into(), one), tls::accept(&bank, other));
    let (mut ours, Secured { io: mut theirs, peer }) = (ours.unwrap(), theirs.unwrap());
    assert_eq!((ours.peer.identity(), peer.identity()), (&id("bank"), &id("cart")));
    for _ in 0..3 {
        let (mut back, mut renewal) = (vec![0; much.len()], Vec::new());
        ours.sealer.renew(&mut renewal).unwrap();
        ours.tcp.write_all(&renewal).await.unwrap();
        let ((), read) = tokio::join!(say(&mut ours, &much), theirs.read_exact(&mut back));
        assert_eq!((read.unwrap(), &back), (much.len(), &much));
        theirs.get_mut().1.refresh_traffic_keys().unwrap();
        let sent = async {
            theirs.write_all(&much).await.unwrap();
            theirs.flush().await.unwrap();
        };
        let ((), heard) = tokio::join!(sent, hear(&mut ours, much.len()));
        assert_eq!(heard.unwrap().0, much);
    }
    theirs.shutdown().await.unwrap();
    assert_eq!(hear(&mut ours, 1).await.unwrap(), (Vec::new(), vec![Record::Closed]));

    let (one, other) = connected().await;
    let (theirs, ours) =
        tokio::join!(tls::connect(&cart, [id("bank")].into(), one), channel::accept(&bank, other));
    let (mut ours, Secured { io: mut theirs, peer }) = (ours.unwrap(), theirs.unwrap());
    assert_eq!((ours.peer.identity(), peer.identity()), (&id("cart"), &id("bank")));
    let mut back = vec![0; much.len()];
    let ((), read) = tokio::join!(say(&mut ours, &much), theirs.read_exact(&mut back));
    assert_eq!((read.unwrap(), &back), (much.len(), &much));
    let mut goodbye = Vec::new();
    ours.sealer.close(&mut goodbye).unwrap();
    ours.tcp.write_all(&goodbye).await.unwrap();
    assert_eq!(theirs.read(&mut back).await.unwrap(), 0, "an orderly end");
}

#[tokio::test]
async fn who_is_refused_hears_why_whichever_end_it_is() {
    let (mesh, strangers) = (Mesh::new(), Mesh::new());
    let (node, strange) = (mesh.node(), strangers.node());
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    let stranger = strange.certificate("cart").await;
    let (one, other) = connected().await;
    let (client, server) = tokio::join!(
        channel::connect(&cart, [id("somebody-else")].into(), one),
        channel::accept(&bank, other)
    );
    let client = chain(&client.unwrap_err());
    assert!(client.contains("expected was spiffe://td/ns/shop/sa/somebody-else"), "{client}");
    assert!(matches!(server.unwrap_err(), HandshakeError::Refused(_)));

    // Who does not believe the server either does not get as far as to be refused.
    strange.trust.set_roots(node.trust.view().pin().value.roots()).unwrap();
    let (one, other) = connected().await;
    let refused = async {
        let mut client = channel::connect(&stranger, [id("bank")].into(), one).await.unwrap();
        hear(&mut client, 1).await.unwrap_err()
    };
    let (heard, server) = tokio::join!(refused, channel::accept(&bank, other));
    let server = chain(&server.unwrap_err());
    assert!(server.contains("not issued under a trusted root"), "{server}");
    assert!(matches!(HandshakeError::within(&heard), Some(HandshakeError::Refused(_))));
}

#[tokio::test]
async fn garbage_and_silence_end_a_handshake() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let bank = node.certificate("bank").await;
    for garbage in [&[0xff; 100_000][..], b"GET / HTTP/1.1\r\n\r\n", &[22, 3, 1, 0, 1, 0], b""] {
        let (mut one, other) = connected().await;
        let client = async {
            drop(one.write_all(garbage).await);
            drop(one.shutdown().await);
            drop(one.read_to_end(&mut Vec::new()).await);
        };
        let ((), refused) = tokio::join!(client, channel::accept(&bank, other));
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn records_may_come_in_any_pieces_and_nothing_but_them_is_taken() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let (mut client, mut server) = pair(&node).await;
    let content = pattern(40_000);
    let records = sealed(&mut client, &content);
    let (mut kept, mut opened) = (Vec::new(), Vec::new());
    for piece in records.chunks(777) {
        kept.extend_from_slice(piece);
        let mut at = 0;
        while let Some((length, record)) = server.opener.open(&mut kept[at..]).unwrap() {
            let Record::Data(place) = record else { panic!("{record:?}") };
            opened.extend_from_slice(&kept[at + place.start..at + place.end]);
            at += length;
        }
        kept.drain(..at);
    }
    assert!(kept.is_empty() && opened == content);
}

fn sealed_empty(channel: &mut Channel) -> Vec<u8> {
    let mut record = vec![0; HEADER + TRAILER];
    channel.sealer.seal(&mut record).unwrap();
    record
}

/// What an opener says of records that must not be.
fn refused(opener: &mut Opener, records: &mut [u8]) -> String {
    opener.open(records).unwrap_err().to_string()
}

#[tokio::test]
async fn what_was_changed_repeated_left_out_or_is_of_no_use_is_refused() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let (mut client, mut server) = pair(&node).await;
    let mut record = sealed(&mut client, b"word");
    record[HEADER] ^= 1;
    assert_eq!(refused(&mut server.opener, &mut record), "cannot decrypt peer's message");

    let (mut client, mut server) = pair(&node).await;
    let record = sealed(&mut client, b"word");
    assert!(server.opener.open(&mut record.clone()).unwrap().is_some());
    refused(&mut server.opener, &mut record.clone());

    let (mut client, mut server) = pair(&node).await;
    drop(sealed(&mut client, b"left out"));
    refused(&mut server.opener, &mut sealed(&mut client, b"word"));

    let (mut client, mut server) = pair(&node).await;
    for _ in 0..32 {
        let record = server.opener.open(&mut sealed_empty(&mut client)).unwrap();
        assert_eq!(record.unwrap().1, Record::Data(HEADER..HEADER));
    }
    refused(&mut server.opener, &mut sealed_empty(&mut client));

    let (_client, mut server) = pair(&node).await;
    refused(&mut server.opener, &mut [23, 3, 3, 0xff, 0xff]);
    assert!(server.opener.open(&mut [23, 3, 3, 0]).unwrap().is_none());
}
