//! A service outside of the mesh, found by its name, that is spoken to in TLS for who does not.
use super::stage::{ENROLLED, contained, in_default, write};
use crate::l7::outside::{Machine, Outside};
use e2e::{Mesh, bookinfo::corpus};
use std::fs;

const HOST: &str = "www.googleapis.com";

#[test]
fn tls_is_spoken_to_a_service_outside() {
    let Some(corpus) = corpus("bookinfo") else { return };
    let machine = Machine::new();
    let mesh = Mesh::start("bookegress", |m| {
        m.plane();
        machine.of(m.node("a")).pod_with("client", in_default);
    });
    let proof = machine.authority.certify_as("google", &format!("DNS:{HOST}"), 30);
    let told = "location / { return 200 '$ssl_protocol to $ssl_server_name as $host'; }";
    let _outside = Outside::start(&mesh, HOST, &proof, told);
    mesh.write("default.yaml", ENROLLED);
    mesh.node("a").await_tunnels(1);
    let egress = corpus.join("networking/egress-rule-google-apis.yaml");
    write(&mesh, &fs::read_to_string(egress).unwrap());

    // In plain text from the client, over TLS to the server.
    let said = contained(&mesh, "client", &["ask", &format!("{HOST}:80"), "/", "3"]).last_words();
    assert_eq!(said["statuses"]["200"], 3, "{said}");
    let body = said["bodies"][0].as_str().unwrap();
    assert_eq!(body, format!("TLSv1.3 to {HOST} as {HOST}"), "{said}");
}
