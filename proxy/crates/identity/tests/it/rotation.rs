//! One root takes the place of another while workloads meet.
use crate::world::{Mesh, Node, START, id, meet};
use culvert_identity::ca::Authority;
use std::{fs, path::Path, sync::Arc};

/// The PEM of a new root: key and certificate.
fn root(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    culvert_identity::ca::files::kept(&path, "td", START).unwrap();
    fs::read_to_string(path).unwrap()
}

/// Signs with `signs`, and believes what is in `believes`.
fn authority(signs: &str, believes: &[&str]) -> Arc<Authority> {
    let roots = believes.concat();
    Arc::new(Authority::from_pem("td", signs, signs.as_bytes(), roots.as_bytes()).unwrap())
}

/// Lets both nodes meet until both have replaced their certificates; every time both ways.
async fn meet_until_replaced(nodes: [&Node; 2]) -> u32 {
    let old = [nodes[0].certificate("cart").await, nodes[1].certificate("bank").await];
    let mut meetings = 0;
    loop {
        let cart = nodes[0].certificate("cart").await;
        let bank = nodes[1].certificate("bank").await;
        for (client, server) in [(&cart, &bank), (&bank, &cart)] {
            let met = meet(client, &[server.identity().clone()], server).await;
            let wanted = (server.identity().to_string(), client.identity().to_string());
            assert_eq!(met.text(), wanted, "after {meetings} meetings");
            meetings += 1;
        }
        let new = [&cart, &bank].iter().zip(&old).all(|(new, old)| new.serial() != old.serial());
        if new {
            return meetings;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_is_replaced_without_one_failed_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (root(folder.path(), "old"), root(folder.path(), "new"));
    let mut mesh = Mesh::of(Arc::into_inner(authority(&old, &[&old])).unwrap());
    let (here, there) = (mesh.node(), mesh.node());
    let _holds = [here.identities.hold(id("cart")), there.identities.hold(id("bank"))];
    let nodes = [&here, &there];
    let first = here.certificate("cart").await;

    // Both are believed, then the new one signs, then the old one is no longer believed.
    for (signs, believes) in
        [(&old, vec![&*old, &*new]), (&new, vec![&*old, &*new]), (&new, vec![&*new])]
    {
        mesh.authority.publish(authority(signs, &believes));
        assert!(meet_until_replaced(nodes).await >= 2);
        let trust = here.trust.view().pin();
        assert_eq!(trust.value.roots().len(), believes.len());
    }

    let bank = there.certificate("bank").await;
    let (client, server) = meet(&first, &[id("bank")], &bank).await.text();
    assert!(server.contains("not issued under a trusted root"), "{server}");
    assert!(client.contains("UnknownCA"), "{client}");
}

#[tokio::test(start_paused = true)]
async fn an_open_connection_is_no_longer_believed_when_its_root_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (root(folder.path(), "old"), root(folder.path(), "new"));
    let mesh = Mesh::of(Arc::into_inner(authority(&old, &[&old])).unwrap());
    let node = mesh.node();
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    let met = meet(&cart, &[id("bank")], &bank).await;
    let peer = met.server.unwrap();
    assert!(peer.recheck(&node.trust.view().pin().value).is_ok());
    node.trust.set_roots(authority(&new, &[&new]).roots()).unwrap();
    let refused = peer.recheck(&node.trust.view().pin().value).unwrap_err();
    assert_eq!(refused.to_string(), "the certificate was not issued under a trusted root");
}
