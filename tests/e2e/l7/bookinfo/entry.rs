//! The page for strangers: by either gateway of the sample.
use super::stage::Bookinfo;
use crate::l7::visit::{open, visit};
use e2e::eventually;
use serde_json::Value;

impl Bookinfo {
    #[track_caller]
    fn visited(&self, port: u16, path: &str) -> Value {
        visit(&self.mesh, &format!("http://bookinfo.example.com:{port}{path}"), None, &[])
    }

    /// Paths of the product page are led there, others nowhere.
    #[track_caller]
    fn is_open_at(&self, port: u16) {
        eventually(&format!("product page at {port}"), || {
            let said = self.visited(port, "/productpage");
            (said["status"] == 200).then_some(())
        });
        for path in ["/productpage", "/static/a.css", "/login", "/logout", "/api/v1/products/0"] {
            let said = self.visited(port, path);
            assert_eq!(said["status"], 200, "{path}: {said}");
            assert_eq!(said["name"], "productpage-v1", "{path}: {said}");
        }
        for path in ["/", "/productpage/more", "/reviews/0", "/api/v1"] {
            assert_eq!(self.visited(port, path)["status"], 404, "{path}");
        }
    }
}

#[test]
fn the_page_is_reached_by_either_gateway() {
    let edge = |m: &mut e2e::Setup| {
        m.node("edge").without_proxy().outsider("visitor");
    };
    let Some(bookinfo) = Bookinfo::start_with("l7bookgw", edge) else { return };
    bookinfo.apply(&["networking/bookinfo-gateway.yaml"]);
    open(&bookinfo.mesh, "default/bookinfo-gateway");
    bookinfo.is_open_at(8080);
    bookinfo.apply(&["gateway-api/bookinfo-gateway.yaml"]);
    bookinfo.is_open_at(80);
    eventually("end of what Istio's gateway listened on", || {
        (bookinfo.visited(8080, "/productpage")["curl"] == 7).then_some(())
    });
}
