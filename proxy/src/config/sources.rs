//! Where settings come from: the file, the environment, the flags, in rising order.
use super::{
    raw::{Layer, Origin, Piece, Problem, nearest, parse_file},
    settings::{self, Kind, Machine, Role, Setting},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

/// The variable that names the settings file.
const CONFIG: &str = "CULVERT_CONFIG";

/// A settings file that is larger is something else.
const LARGEST: u64 = 1 << 20;

/// Variables with these endings and our prefix are Kubernetes' links to a Service that is called
/// `culvert`; nobody wrote them for us.
const SERVICE_LINKS: [&str; 7] =
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_ADDR", "_PROTO", "_UDP"];

/// What was found, before it is merged and checked.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(super) file: Layer,
    pub(super) variables: Layer,
    pub(super) flags: Layer,
    pub(super) problems: Vec<Problem>,
}

/// The settings file could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the settings file {} (named by {named_by})", path.display())]
pub(crate) struct Unreadable {
    path: PathBuf,
    named_by: &'static str,
    source: io::Error,
}

/// The `CULVERT_*` part of the environment.
pub(crate) type Variables = BTreeMap<String, OsString>;

impl Sources {
    /// Reads the file (`config`, else `CULVERT_CONFIG`) and sorts the variables.
    ///
    /// # Errors
    ///
    /// When the file cannot be read; what is wrong inside it is among the problems.
    pub(crate) fn read(
        config: Option<&Path>,
        variables: &Variables,
        flags: Layer,
    ) -> Result<Self, Unreadable> {
        let mut sources = Self { flags, ..Self::default() };
        let named = config.map(|path| (path.to_owned(), "--config")).or_else(|| {
            let path = variables.get(CONFIG).filter(|path| !path.is_empty())?;
            Some((PathBuf::from(path), CONFIG))
        });
        if let Some((path, named_by)) = named {
            let bytes = read_file(&path).map_err(|source| Unreadable {
                path: path.clone(),
                named_by,
                source,
            })?;
            sources.file = from_file(path, &bytes, &mut sources.problems);
        }
        sources.variables = from_variables(variables, &mut sources.problems);
        Ok(sources)
    }
}

/// The environment, read this once.
pub(crate) fn environment() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("CULVERT_"))
        .collect()
}

/// What the machine says of itself, to a process that is to be `role`.
pub(crate) fn machine(role: Role) -> Machine {
    Machine {
        role,
        hostname: nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .unwrap_or_default(),
        state: state_folder(),
        cores: thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Everybody's for root, one's own for others.
fn state_folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if nix::unistd::geteuid().is_root() {
        return "/var/lib/culvert".into();
    }
    let own = || set("HOME").map(|home| home.join(".local/state"));
    set("XDG_STATE_HOME")
        .or_else(own)
        .map_or_else(|| "/var/lib/culvert".into(), |state| state.join("culvert"))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= LARGEST) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)))
}

fn from_file(path: PathBuf, bytes: &[u8], problems: &mut Vec<Problem>) -> Layer {
    let path = Arc::from(path);
    match str::from_utf8(bytes) {
        Ok(text) => parse_file(&path, text, problems),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let lines = before.iter().filter(|&&byte| byte == b'\n').count();
            let line = u64::try_from(lines).unwrap_or(u64::MAX).saturating_add(1);
            let origin = Origin::File { path, line, column: 1 };
            problems.push(Problem { origin, message: "this is not UTF-8 text".to_owned() });
            Layer::new()
        }
    }
}

fn from_variables(variables: &Variables, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::new();
    for (name, value) in variables {
        let origin = Origin::Variable(name.clone());
        let setting = settings::ALL.iter().copied().find(|setting| setting.variable() == *name);
        let Some(setting) = setting else {
            if let Some(message) = unknown_variable(name) {
                problems.push(Problem { origin, message });
            }
            continue;
        };
        let Some(text) = value.to_str() else {
            problems.push(Problem { origin, message: "is not UTF-8".to_owned() });
            continue;
        };
        let pieces = pieces(setting, text, &origin);
        if !pieces.is_empty() {
            layer.insert(setting.name, pieces);
        }
    }
    layer
}

/// A variable's text cut into values; none when it is empty.
fn pieces(setting: &Setting, text: &str, origin: &Origin) -> Vec<Piece> {
    let piece = |text: &str| Piece { text: text.to_owned(), origin: origin.clone() };
    match setting.kind {
        Kind::List => text.split_whitespace().map(piece).collect(),
        Kind::Text | Kind::Count | Kind::Switch if text.trim().is_empty() => Vec::new(),
        Kind::Text | Kind::Count | Kind::Switch => vec![piece(text)],
    }
}

fn unknown_variable(name: &str) -> Option<String> {
    if name == CONFIG || SERVICE_LINKS.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    // `CULVERT_PORT_15020_TCP_PORT`, `CULVERT_SERVICE_PORT_METRICS`
    if name.starts_with("CULVERT_PORT_") || name.contains("_SERVICE_PORT_") {
        return None;
    }
    let known: Vec<_> = settings::ALL.iter().map(|setting| setting.variable()).collect();
    Some(match nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("unknown setting; did you mean {meant}?"),
        None => "unknown setting".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Sources {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), v.into())).collect();
        Sources::read(None, &variables, Layer::new()).unwrap()
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let sources = read(&[("CULVERT_WORKERS", ""), ("CULVERT_EXCLUDE", " ")]);
        assert_eq!((sources.variables, sources.problems), (Layer::new(), vec![]));
    }

    #[test]
    fn a_misspelt_variable_is_a_problem_and_a_service_link_is_not() {
        let sources = read(&[
            ("CULVERT_WORKER", "2"),
            ("CULVERT_PORT", "tcp://10.0.0.1:15020"),
            ("CULVERT_PORT_15020_TCP_ADDR", "10.0.0.1"),
            ("CULVERT_SERVICE_PORT_METRICS", "15020"),
        ]);
        let problems: Vec<_> = sources.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["CULVERT_WORKER: unknown setting; did you mean CULVERT_WORKERS?"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_a_problem_with_a_line() {
        let mut problems = Vec::new();
        from_file("node.yaml".into(), b"workers: 1\nx: \xff\n", &mut problems);
        assert_eq!(problems[0].to_string(), "node.yaml:2:1: this is not UTF-8 text");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_who_named_it() {
        let variables = [(CONFIG.to_owned(), "/nowhere/node.yaml".into())].into();
        let error = Sources::read(None, &variables, Layer::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the settings file /nowhere/node.yaml (named by CULVERT_CONFIG)"
        );
    }
}
