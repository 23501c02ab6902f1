//! Which plugins a container runtime calls, as its folder says now.
use super::view;
use culvert_cni::{NAME, install};
use culvert_telemetry::chain::Chain;
use std::path::Path;

/// Looks into the folder: a few small files.
pub(super) fn look(conf_dir: &Path) -> view::Cni {
    let found = view::Cni { conf_dir: conf_dir.display().to_string(), ..view::Cni::default() };
    match install::taken(conf_dir) {
        Ok(Some((file, plugins))) => {
            view::Cni { file: Some(file.display().to_string()), plugins, ..found }
        }
        Ok(None) => found,
        Err(error) => view::Cni { error: Some(Chain(&error).to_string()), ..found },
    }
}

/// The plugin of Istio's ambient mesh.
const ISTIO: &str = "istio-cni";

impl view::Status {
    /// Whether pods with Istio's label would be captured twice: Istio's plugin is on this node, too,
    /// and nobody has said that they are Istio's.
    pub(crate) fn is_contested(&self) -> bool {
        let plugins = self.cni.iter().flat_map(|cni| &cni.plugins);
        self.ambient_namespaces == "ours" && plugins.into_iter().any(|plugin| plugin == ISTIO)
    }
}

impl view::Cni {
    /// Whether new pods are handed over.
    pub(crate) fn has_ours(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin == NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_file_that_the_runtime_takes_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let none = look(dir.path());
        assert!(none.file.is_none() && !none.has_ours());
        let list = |own: &str| {
            format!(r#"{{"cniVersion":"1.0.0","name":"x","plugins":[{{"type":"bridge"}}{own}]}}"#)
        };
        fs::write(dir.path().join("00-broken.conflist"), "{").unwrap();
        fs::write(dir.path().join("10-a.conflist"), list("")).unwrap();
        fs::write(dir.path().join("20-b.conflist"), list(r#",{"type":"culvert-cni"}"#)).unwrap();
        let other = look(dir.path());
        assert!(other.file.as_deref().unwrap().ends_with("10-a.conflist"));
        assert_eq!((other.plugins.clone(), other.has_ours()), (vec!["bridge".to_owned()], false));
        fs::write(dir.path().join("10-a.conflist"), list(r#",{"type":"culvert-cni"}"#)).unwrap();
        assert!(look(dir.path()).has_ours());
        assert!(look(Path::new("/nowhere")).error.unwrap().contains("/nowhere"));
    }
}
