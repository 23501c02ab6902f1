//! What Go's HTTP/2 says (`golang.org/x/net/http2/hpack`, 0.61): in Huffman's code, kept in the
//! table where it is no secret, and with the table resized.
use super::*;

const BLOCKS: [&str; 4] = [
    "4189081702e05c371e03c04307434f4e4e45435440858c734c398bb1eaf2172516a125b17a874960cd6c65b2\
     a2a4a8faeaf217a87495158c855ea1d2581139ebfa416cee62157a87496020ec4f408794f6781d92164f9a94\
     f641fc840b81702efdc6800003f9fb9ce84c041d895d139ebf10884d83216b1d85a93fa7001600e575c6c2f8\
     5c248d33248f34d3c58c41091e03217c8b46e8e4723742e3e2032cb215800f7a8dc475a74a6b589418b52581\
     2e0f",
    "c2c1c0bf10884d83216b1d85a93fa7001608e575c6c2f85c248d33248f34d3c58c41091e03217e4586e8e472\
     3742e3e2032cb225800fbe",
    "3f614e82680140858c734c398b8c416cee62157a8749608c7575",
    "203fe11f4e033530334084f2b1e4930a225c7b7d7e5e7cc3a901",
];

const SAID: [&[(&str, &str)]; 4] = [
    &[
        (":authority", "10.0.0.1:8080"),
        (":method", "CONNECT"),
        ("baggage", "k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,service.name=cart"),
        ("forwarded", "for=\"10.0.0.9:40000\";host=cart.shop"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        ("user-agent", "Go-http-client/2.0"),
    ],
    &[
        (":authority", "10.0.0.1:8080"),
        (":method", "CONNECT"),
        ("baggage", "k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,service.name=cart"),
        ("forwarded", "for=\"10.0.0.9:40000\";host=cart.shop"),
        ("traceparent", "00-1af7651916cd43dd8448eb211c80319d-a7ad6b7169203332-00"),
        ("user-agent", "Go-http-client/2.0"),
    ],
    // After its table was made small.
    &[(":status", "401"), ("baggage", "service.name=bank")],
    // After it was nothing, and large again.
    &[(":status", "503"), ("x-odd", "\"\\{}~^|\u{e9}\u{1}")],
];

#[test]
fn it_is_understood() {
    let mut decoder = Decoder::new(0);
    for (hex, said) in BLOCKS.iter().zip(SAID) {
        assert_eq!(decoded(&mut decoder, &bytes(hex)), Ok(list(said)));
    }
}
