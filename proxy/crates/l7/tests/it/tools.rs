//! The codecs against curl and nghttp.
use crate::support::{Server, Version};
use std::process::Output;
use tokio::process::Command;

async fn run(tool: &str, args: &[&str]) -> Output {
    let output = Command::new(tool).args(args).kill_on_drop(true).output().await;
    output.unwrap_or_else(|error| panic!("{tool}: {error}"))
}

/// What curl prints; `path` is put behind the server's address.
async fn curl(server: &Server, args: &[&str], path: &str) -> String {
    let url = format!("http://{}{path}", server.addr);
    let output = run("curl", &[&["-sS", "--max-time", "30"], args, &[&url]].concat()).await;
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&err));
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_over_both_versions() {
    for (version, flag) in [(Version::One, "--http1.1"), (Version::Two, "--http2-prior-knowledge")]
    {
        let server = Server::start(version).await;
        assert_eq!(curl(&server, &[flag], "/x?y").await, "/x");
        assert_eq!(curl(&server, &[flag, "-d", "abc"], "/echo").await, "abc");
        let large = "x".repeat(3 << 20);
        let file = std::env::temp_dir().join(format!("culvert-l7-{}", server.addr.port()));
        std::fs::write(&file, &large).unwrap();
        let upload = format!("@{}", file.display());
        let echoed = curl(&server, &[flag, "--data-binary", &upload], "/echo").await;
        assert_eq!(echoed.len(), large.len());
        let chunked = ["-H", "transfer-encoding: chunked", flag, "--data-binary", &upload];
        assert_eq!(curl(&server, &chunked, "/size").await, format!("{} false", 3 << 20));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(curl(&server, &[flag], "/large").await.len(), 10 << 20);
        let head = curl(&server, &[flag, "-I"], "/x").await;
        assert!(head.contains("200"), "{head}");
        let hints = curl(&server, &[flag, "-i"], "/hints").await;
        assert!(hints.contains(" 103 ") && hints.ends_with("hinted"), "{hints}");
        let expect =
            curl(&server, &[flag, "-i", "-H", "expect: 100-continue", "-d", "abc"], "/size").await;
        assert!(expect.contains(" 100 ") && expect.ends_with("3 false"), "{expect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_of_old() {
    let server = Server::start(Version::One).await;
    assert_eq!(curl(&server, &["--http1.0"], "/pieces").await, "ababab");
    assert_eq!(curl(&server, &["--http1.0"], "/x").await, "/x");
}

#[tokio::test(flavor = "multi_thread")]
async fn nghttp_and_h2load() {
    let server = Server::start(Version::Two).await;
    let url = format!("http://{}", server.addr);
    let output = run("nghttp", &["-v", &format!("{url}/trailers")]).await;
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("x-sum: 7"), "{out}");
    let load = ["-n", "2000", "-c", "4", "-m", "32", &format!("{url}/pieces")];
    let out = String::from_utf8(run("h2load", &load).await.stdout).unwrap();
    assert!(out.contains("2000 succeeded, 0 failed, 0 errored"), "{out}");
}
