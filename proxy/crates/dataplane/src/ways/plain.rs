//! Connections from and to what is not in the mesh.
use super::{end_of, idle, talk};
use crate::sample::{Mesh, deny, field};
use std::{io::ErrorKind, sync::Arc};

#[tokio::test]
async fn an_unknown_destination_is_reached_in_plain_text() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, outside) = (mesh.pod("cart").await, mesh.stranger("outside").await);
    mesh.publish();
    let mut client = cart.connect(outside.addr()).await;
    assert_eq!(talk(&mut client, &outside.app).await.ip(), cart.ip);
    idle(&mesh).await;
    let lines = mesh.node.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!((field(&lines[0], "path"), field(&lines[0], "src.identity")), (Some("plain"), None));
}

#[tokio::test]
async fn plain_text_passes_or_not_as_policy_says() {
    let mut mesh = Mesh::new(|_| {});
    let (open, strict) = (mesh.pod("open").await, mesh.pod("strict").await);
    let mut member = crate::sample::member("strict", strict.ip);
    let policy = deny("no-plain-text", "");
    member.policies = [policy.name.clone()].into();
    mesh.builder.set_member(Arc::new(member));
    mesh.builder.set_policy(policy);
    mesh.publish();
    let mut client = open.plain_from(strict.ip).await;
    talk(&mut client, &open.app).await;
    let mut client = strict.plain_from(open.ip).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let metrics = mesh.node.metrics();
    assert!(metrics.contains(
        "culvert_policy_denials_total{policy_namespace=\"shop\",policy=\"no-plain-text\",\
         rule=\"0\",action=\"DENY\",dry_run=\"false\"} 1\n"
    ));
    let lines = mesh.node.lines();
    let denied = lines.iter().find(|line| field(line, "close") == Some("policy_denied")).unwrap();
    assert_eq!(field(denied, "policy"), Some("shop/no-plain-text"));
    assert_eq!(field(denied, "policy.rule"), Some("0"));
    let error = field(denied, "error").unwrap();
    assert!(error.contains("shop/no-plain-text rule 0 (policies.yaml:7)"), "{error}");
}
