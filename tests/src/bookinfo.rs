//! Istio's sample application, played by our helper: who asks whom, and what its page shows.
use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
};

/// The subsets by which Istio's routes tell versions apart.
pub const SUBSETS: &str = "networking/destination-rule-all.yaml";

/// Everything at its first version, where Istio's tasks begin.
pub const ALL_V1: &str = "networking/virtual-service-all-v1.yaml";

/// Where other people's manifests are; not every checkout has them.
#[must_use]
pub fn corpus(name: &str) -> Option<PathBuf> {
    let named = env::var_os("CULVERT_CORPORA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let found = named.unwrap_or(beside).join(name);
    if found.is_dir() {
        return Some(found);
    }
    assert!(env::var_os("CI").is_none(), "no manifests at {}", found.display());
    #[expect(clippy::print_stderr, reason = "whoever runs it has to know that nothing was tested")]
    {
        eprintln!("skipped: no {name}");
    }
    None
}

/// What our helper is told to be a version of a service (`reviews-v2`) at an address.
#[must_use]
pub fn words<'a>(version: &'a str, at: &'a str) -> Vec<&'a str> {
    let asks: &[&str] = match version {
        "productpage-v1" => &["details:9080", "reviews:9080"],
        "reviews-v2" | "reviews-v3" => &["ratings:9080"],
        _ => &[],
    };
    [&["book", version, at], asks].concat()
}

/// Who told of details, reviews and ratings on a page, or the status with which nobody did.
#[must_use]
pub fn page(body: &str) -> [String; 3] {
    let page: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
    let reviews = &page["asked"]["reviews:9080"];
    let ratings = &reviews["said"]["asked"]["ratings:9080"];
    [&page["asked"]["details:9080"], reviews, ratings].map(|part| {
        let name = if part["status"] == "200" { &part["said"]["name"] } else { &part["status"] };
        name.as_str().unwrap_or("nobody").to_owned()
    })
}

/// The pages of all answers that the helper counted, in as many ways as there were.
#[must_use]
pub fn pages(said: &Value) -> Vec<[String; 3]> {
    let bodies = said["bodies"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut pages: Vec<_> = bodies.map(page).collect();
    pages.sort();
    pages
}

/// How many of the answers that the helper counted were of each version of reviews.
#[must_use]
pub fn shares(said: &Value) -> [u64; 3] {
    ["v1", "v2", "v3"]
        .map(|version| said["names"][format!("reviews-{version}")].as_u64().unwrap_or_default())
}

/// Whether shares of all of them are those in percent, within three standard deviations.
///
/// One in 370 is further away by chance, a second one in a hundred thousand.
#[must_use]
pub fn are_near(shares: [u64; 3], percent: [u32; 3]) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let [n, shares] = [[shares.iter().sum::<u64>(); 3], shares].map(|all| all.map(|n| n as f64));
    n.into_iter().zip(shares).zip(percent).all(|((n, count), percent)| {
        let p = f64::from(percent) / 100.0;
        (count - n * p).abs() <= 3.0 * (n * p * (1.0 - p)).sqrt()
    })
}
