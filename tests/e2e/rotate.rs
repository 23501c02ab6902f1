//! Certificates and roots are replaced under traffic, and revoked ones cut off.
use crate::steps::{await_dial, fields, hold, load, unharmed};
use e2e::{Authority, Mesh, Node, Setup, eventually};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;

const CLIENT: &str = "spiffe://cluster.local/ns/mesh/sa/client";

/// Certificates that are renewed every few seconds.
const SHORT: &str = "certificate_life: 8s";

fn two_nodes(m: &mut Setup, settings: &[&str]) {
    m.plane();
    m.node("a").pod("client").pod("other");
    m.node("b").pod("server");
    for node in m.nodes() {
        for setting in settings {
            node.setting(setting);
        }
    }
}

/// What a node says of the certificate of each of its identities.
fn certificates(node: &Node) -> BTreeMap<String, Value> {
    let document = node.document("/certificates");
    let all = document["certificates"].as_array().unwrap();
    all.iter().map(|one| (one["identity"].as_str().unwrap().to_owned(), one.clone())).collect()
}

fn roots(node: &Node) -> usize {
    node.document("/certificates")["roots"].as_array().unwrap().len()
}

/// Waits until every certificate of these nodes has been replaced so often.
#[track_caller]
fn await_renewals(mesh: &Mesh, nodes: &[&str], times: usize) {
    let serials = || -> Vec<String> {
        let all = nodes.iter().flat_map(|node| certificates(mesh.node(node)));
        all.map(|(_, certificate)| certificate["serial"].to_string()).collect()
    };
    for _ in 0..times {
        let before = serials();
        eventually("other certificates", || {
            serials().iter().zip(&before).all(|(now, before)| now != before).then_some(())
        });
    }
}

#[test]
fn certificates_are_renewed_under_load_without_an_error() {
    let mesh = Mesh::start("rotateleaf", |m| two_nodes(m, &[SHORT]));
    let http = mesh.pod("server").serve("http", 8080);
    let greeter = mesh.pod("server").serve("greet", 8081);
    let mut held = hold(&mesh, "other", greeter.v4());
    let load = load(&mesh, "client", http.v4(), 50);
    await_renewals(&mesh, &["a", "b"], 3);
    assert_eq!(held.ask()["ok"], true, "who is in stays in");
    unharmed(load);
    let dump = mesh.node("a").document("/config_dump");
    assert!(dump["certificates"].to_string().contains(CLIENT), "{}", dump["certificates"]);
}

/// Copies files of one authority over those of another, each at one stroke.
fn replace(folder: &Path, files: &[(&str, String)]) {
    for (name, text) in files {
        let draft = folder.join(format!("{name}.draft"));
        fs::write(&draft, text).unwrap();
        fs::rename(draft, folder.join(name)).unwrap();
    }
}

#[test]
fn a_root_is_replaced_by_another_under_load_without_an_error() {
    let folder = TempDir::new().unwrap();
    let [old, new] = ["old", "new"].map(|name| Authority::make(&folder.path().join(name)));
    let text = |of: &Authority, name: &str| fs::read_to_string(of.folder().join(name)).unwrap();
    let (old_root, new_root) = (text(&old, "root-cert.pem"), text(&new, "root-cert.pem"));
    let mesh = Mesh::start("rotateroot", |m| {
        two_nodes(m, &[SHORT]);
        m.plane_setting(&format!("ca_folder: {}", old.folder().display()));
    });
    let http = mesh.pod("server").serve("http", 8080);
    let load = load(&mesh, "client", http.v4(), 50);
    let believe = |count: usize| {
        for node in ["a", "b"].map(|name| mesh.node(name)) {
            eventually("those roots", || (roots(node) == count).then_some(()));
        }
    };
    replace(old.folder(), &[("root-cert.pem", old_root + &new_root)]);
    believe(2);
    let others =
        [("ca-key.pem", text(&new, "ca-key.pem")), ("ca-cert.pem", text(&new, "ca-cert.pem"))];
    let said = mesh.plane().process().log.count();
    replace(old.folder(), &others);
    mesh.plane().process().log.await_from(said, "that the files were replaced", |line| {
        line.contains("files were replaced").then_some(())
    });
    // The first may still have been on its way.
    await_renewals(&mesh, &["a", "b"], 2);
    replace(old.folder(), &[("root-cert.pem", new_root)]);
    believe(1);
    await_renewals(&mesh, &["a", "b"], 1);
    unharmed(load);
}

#[test]
fn a_revoked_client_is_cut_off_and_refused() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::make(&folder.path().join("ca"));
    let list = authority.revoke(&[]);
    let mesh = Mesh::start("rotatecrl", |m| {
        two_nodes(m, &[&format!("crl: {}", list.display())]);
        m.plane_setting(&format!("ca_folder: {}", authority.folder().display()));
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let cut = hold(&mesh, "client", server.v4());
    let mut kept = hold(&mesh, "other", server.v4());
    let serial = certificates(mesh.node("a"))[CLIENT]["serial"].as_str().unwrap().to_owned();
    authority.revoke(&[serial]);
    let end = cut.lines().await_json("the end", |line| line["ok"] == false);
    assert_eq!(end["error"], "ConnectionReset", "{end}");
    let line = mesh.node("b").await_access("its line", |line| line["src.workload"] == "client");
    assert_eq!(line["close"], "cert_revoked", "{line}");
    await_dial(&mesh, "client", server.v4(), false);
    assert_eq!(kept.ask()["ok"], true, "others are not disturbed");
    assert_eq!(mesh.pod("other").dial("plain", server.v6())["ok"], true);
}

#[test]
fn who_has_no_valid_certificate_any_more_is_refused_with_the_reason_and_nobody_else() {
    let mesh = Mesh::start("rotateend", |m| {
        m.plane();
        m.node("a").pod("client").setting("certificate_life: 5s");
        m.node("b").pod("server");
        m.node("c").pod("other").outsider("stranger");
    });
    let server = mesh.pod("server").serve("greet", 8080);
    let outside = mesh.pod("stranger").serve("greet", 8080);
    assert_eq!(mesh.pod("client").dial("plain", server.v4())["ok"], true);
    mesh.plane().kill();
    let certificate = eventually("expired certificate", || {
        let certificate = certificates(mesh.node("a")).remove(CLIENT)?;
        (certificate["state"] == "expired").then_some(certificate)
    });
    assert!(certificate["failure"].is_string(), "{certificate}");
    let said = mesh.pod("client").dial("plain", server.v4());
    assert_eq!(said["ok"], false, "{said}");
    let line =
        mesh.node("a").await_access("the refusal", |line| line["close"] == "identity_missing");
    fields(&line, &json!({"src.workload": "client", "direction": "outbound"}));
    assert!(line["error"].as_str().unwrap().contains("certificate"), "{line}");
    // What needs no certificate goes on, and so does everybody who has one.
    assert_eq!(mesh.pod("client").dial("plain", outside.v4())["ok"], true);
    assert_eq!(mesh.pod("other").dial("plain", server.v4())["ok"], true);
    mesh.plane().start();
    await_dial(&mesh, "client", server.v4(), true);
}
