//! Where connections go that are not HTTP, by a `VirtualService`.
use super::{
    Ask, Meant, WEB,
    routes::{SUBSETS, route},
};
use crate::compile::http::emit::tests::SHOP;

const DATABASE: Ask<'static> = Ask { to: "10.96.0.2:3306", ..WEB };
const SECURED: Ask<'static> = Ask { to: "10.96.0.2:443", tls: true, ..WEB };

#[test]
fn connections_are_led_as_tcp_routes_say() {
    let to = "route: [{destination: {host: reviews, port: {number: 9080}}}]";
    let engine = |rules: &str| {
        let text = [SHOP, SUBSETS, &route(&format!("hosts: [ratings], tcp: [{rules}]"))].concat();
        Meant::of(&text).engine("shop")
    };
    assert_eq!(DATABASE.said(&engine(&format!("{{{to}}}"))), "bytes to reviews:9080");
    let shares = "route: [{destination: {host: reviews, subset: v1}, weight: 3}, {destination: {host: ratings, port: {number: 3306}}, weight: 1}]";
    let said = DATABASE.said(&engine(&format!("{{{shares}}}")));
    assert_eq!(said, "bytes to reviews:9080/v1 3, ratings:3306 1");
    let own = "bytes to ratings:3306";
    for (of, wanted) in [
        ("port: 3306", "bytes to reviews:9080"),
        ("port: 3307", own),
        ("destinationSubnets: [10.96.0.0/24]", "bytes to reviews:9080"),
        ("destinationSubnets: [10.97.0.0/24]", own),
        ("sourceLabels: {app: web}", "bytes to reviews:9080"),
        ("sourceLabels: {app: other}", own),
        ("sourceNamespace: bank", own),
    ] {
        // A rule that is for no connection of these clients asks for nothing.
        let text = engine(&format!(
            "{{match: [{{{of}}}], {to}}}, {{match: [{{port: 3306}}], route: [{{destination: {{host: ratings, port: {{number: 3306}}}}}}]}}"
        ));
        assert_eq!(DATABASE.said(&text), wanted, "{of}");
    }
}

#[test]
fn connections_of_tls_are_led_by_the_name_they_ask_for() {
    let rules = "{match: [{port: 443, sniHosts: [a.example]}], route: [{destination: {host: reviews, port: {number: 9080}}}]},
                 {match: [{sniHosts: ['*.example']}], route: [{destination: {host: reviews, subset: v2}}]}";
    let text =
        [SHOP, SUBSETS, &route(&format!("hosts: [ratings, '*.example'], tls: [{rules}]"))].concat();
    let engine = Meant::of(&text).engine("shop");
    let asked = |sni| Ask { sni: Some(sni), ..SECURED }.said(&engine);
    assert_eq!(asked("a.example"), "bytes to reviews:9080");
    assert_eq!(asked("b.example"), "bytes to reviews:9080/v2");
    assert_eq!(asked("c.test"), "bytes to ratings:443");
}
