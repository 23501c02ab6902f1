//! An image as the OCI image format 1.1 lays it out, in one tar.
use std::{collections::BTreeMap, env, io::Write as _};

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use super::{PROGRAM, USER, origin::Origin, tree::Tree};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image, made.
#[derive(Debug)]
pub(super) struct Image {
    /// The whole layout.
    pub(super) tar: Vec<u8>,
    /// Its one layer, unpacked a tar too.
    pub(super) layer: Vec<u8>,
    /// What it is called by its contents.
    pub(super) digest: String,
}

/// The processor, as images name it.
pub(super) fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Image {
    /// Makes the image `tag` of `tree`.
    pub(super) fn new(tree: &Tree<'_>, tag: &str, version: &str, origin: &Origin) -> Result<Self> {
        let layer = tree.tar(origin.time)?;
        let mut blobs = Blobs::default();
        let packed = blobs.add(LAYER, gzip(&layer)?);
        let labels = labels(version, origin);
        let config = json!({
            "created": origin.timestamp(),
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": format!("{USER}:{USER}"),
                "Env": ["PATH=/usr/local/bin"],
                "Entrypoint": [format!("/{PROGRAM}")],
                "WorkingDir": "/",
                "Labels": labels,
            },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
            "history": [{ "created": origin.timestamp(), "created_by": "cargo xtask image" }],
        });
        let config = blobs.add(CONFIG, serde_json::to_vec(&config)?);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [packed],
            "annotations": labels,
        });
        let mut manifest = blobs.add(MANIFEST, serde_json::to_vec(&manifest)?);
        let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
        manifest["platform"] = json!({ "architecture": architecture(), "os": "linux" });
        // The first name is the one of the format, the second what containerd goes by.
        let name = tag.rsplit_once(':').map_or(tag, |(_, tag)| tag);
        manifest["annotations"] = json!({
            "org.opencontainers.image.ref.name": name,
            "io.containerd.image.name": tag,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [manifest],
        });
        let tar = blobs.layout(&index, origin.time)?;
        Ok(Self { tar, layer, digest })
    }
}

fn labels(version: &str, origin: &Origin) -> Value {
    json!({
        "org.opencontainers.image.title": "culvert",
        "org.opencontainers.image.description": "a service mesh without sidecars",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": origin.revision,
        "org.opencontainers.image.created": origin.timestamp(),
        "org.opencontainers.image.licenses": "Apache-2.0",
    })
}

/// Files by the hash of what is in them.
#[derive(Debug, Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Keeps `bytes` and returns the descriptor that names them.
    fn add(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({ "mediaType": kind, "digest": digest, "size": bytes.len() });
        self.0.insert(digest, bytes);
        descriptor
    }

    fn layout(&self, index: &Value, time: u64) -> Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        let mut append = |path: &str, bytes: &[u8]| -> Result<()> {
            let mut header = Header::new_ustar();
            header.set_size(bytes.len().try_into()?);
            header.set_mode(0o644);
            header.set_mtime(time);
            Ok(tar.append_data(&mut header, path, bytes)?)
        };
        append("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append("index.json", &serde_json::to_vec(index)?)?;
        for (digest, bytes) in &self.0 {
            append(&format!("blobs/{}", digest.replace(':', "/")), bytes)?;
        }
        Ok(tar.into_inner()?)
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Without a name and a time of its own.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::program::Program;
    use std::io::Read as _;

    fn image() -> Image {
        let program = Program { bytes: b"program".to_vec(), libraries: Vec::new() };
        let origin = Origin { revision: "c0ffee".to_owned(), time: 951_782_400 };
        Image::new(&Tree::new(&program, "{}"), "localhost/culvert:1", "1.2.3", &origin).unwrap()
    }

    fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        files
    }

    #[test]
    fn every_descriptor_leads_to_a_blob_that_is_what_it_says() {
        let files = files(&image().tar);
        let blob = |descriptor: &Value| {
            let said = descriptor["digest"].as_str().unwrap();
            let bytes = &files[&format!("blobs/{}", said.replace(':', "/"))];
            assert_eq!(digest(bytes), said);
            assert_eq!(descriptor["size"], bytes.len());
            bytes.clone()
        };
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let named = &index["manifests"][0];
        assert_eq!(named["annotations"]["io.containerd.image.name"], "localhost/culvert:1");
        let manifest: Value = serde_json::from_slice(&blob(named)).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        let mut layer = Vec::new();
        let packed = blob(&manifest["layers"][0]);
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&layer));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "1.2.3");
        assert_eq!(config["created"], "2000-02-29T00:00:00Z");
        assert!(files.contains_key("oci-layout"));
    }

    #[test]
    fn the_same_commit_is_the_same_image() {
        assert_eq!(image().tar, image().tar);
    }
}
