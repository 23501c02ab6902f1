//! Settings as somebody wrote them: text, and where it stands.
use super::settings::{self, Kind, Setting};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

/// Where a value came from.
///
/// In the order in which problems are listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Default,
    File { path: Arc<Path>, line: u64, column: u64 },
    Variable(String),
    Flag(String),
}

/// One value as written; a list has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// What one source says, by the setting's name.
pub(crate) type Layer = BTreeMap<&'static str, Vec<Piece>>;

/// Something wrong with what somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Reads a settings file; what is wrong with it is added to `problems`.
pub(crate) fn parse_file(path: &Arc<Path>, text: &str, problems: &mut Vec<Problem>) -> Layer {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Layer::new();
    }
    let mut unfit = Vec::new();
    loop {
        let mut fields = Fields::new(path, &unfit);
        let options = serde_saphyr::options! { with_snippet: false };
        let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |yaml| {
            fields.deserialize_into(yaml)
        });
        let Fields { layer, problems: found, now, .. } = fields;
        let wrong = read.err().map(|error| {
            let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
            let origin = Origin::File { path: Arc::clone(path), line, column };
            (origin, plain(&error))
        });
        match (wrong, now) {
            // Read again without this field, for what else is wrong.
            (Some((origin, Wrong::Value(message))), Some(name)) => {
                problems.push(Problem { origin, message: format!("{name}: {message}") });
                unfit.push(name);
            }
            (wrong, _) => {
                problems.extend(found);
                problems.extend(wrong.map(|(origin, wrong)| {
                    let (Wrong::Value(message) | Wrong::Text(message)) = wrong;
                    Problem { origin, message }
                }));
                return layer;
            }
        }
    }
}

/// What the parser stumbled over.
enum Wrong {
    /// A value of another kind than its field takes.
    Value(String),
    /// Something that is no YAML, or not a settings file.
    Text(String),
}

/// The parser's words without its own "at line, column", and said for a settings file.
fn plain(error: &serde_saphyr::Error) -> Wrong {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text).trim_start_matches("error: ");
    let duplicate =
        text.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split(',').next());
    let said = match (text, duplicate) {
        ("expected string scalar", _) => return Wrong::Value("want one value here".to_owned()),
        ("expected sequence start", _) => {
            return Wrong::Value("want a list here: [a, b]".to_owned());
        }
        ("expected mapping start", _) => {
            "want fields here, one per setting: `workers: 2`".to_owned()
        }
        (_, Some(field)) => format!("{field} is set twice"),
        _ if text.starts_with("multiple YAML documents") => {
            "a second document begins here; settings are one".to_owned()
        }
        _ if text.contains("recursive references") => "this alias contains itself".to_owned(),
        _ if text.contains("found a tab") => format!("{text}; write blanks instead"),
        _ => text.to_owned(),
    };
    Wrong::Text(said)
}

/// The name that `wrong` was probably meant to be.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance * 3 <= name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.iter().enumerate() {
            let up = row[j + 1];
            let here = if x == *y { diagonal } else { 1 + diagonal.min(up).min(left) };
            row[j] = left;
            (diagonal, left) = (up, here);
        }
        row[b.len()] = left;
    }
    row[b.len()]
}

/// The file's mapping: every field is looked up in the table, unknown ones are problems.
struct Fields<'a> {
    path: &'a Arc<Path>,
    /// Fields that are not looked at, because what they hold does not fit.
    unfit: &'a [&'static str],
    layer: Layer,
    problems: Vec<Problem>,
    /// The field that is being read.
    now: Option<&'static str>,
}

impl<'de> Visitor<'de> for &mut Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields, one per setting")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key::<Spanned<String>>()? {
            let Some(setting) = settings::by_name(&field.value) else {
                self.problems.push(Problem {
                    origin: self.at(field.referenced),
                    message: unknown_field(&field.value),
                });
                map.next_value::<serde::de::IgnoredAny>()?;
                continue;
            };
            if self.unfit.contains(&setting.name) {
                map.next_value::<serde::de::IgnoredAny>()?;
                continue;
            }
            self.now = Some(setting.name);
            let pieces = self.value(setting, &mut map)?;
            self.now = None;
            if !pieces.is_empty() {
                self.layer.insert(setting.name, pieces);
            }
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    fn new(path: &'a Arc<Path>, unfit: &'a [&'static str]) -> Self {
        Self { path, unfit, layer: Layer::new(), problems: Vec::new(), now: None }
    }

    fn deserialize_into<'de, D: Deserializer<'de>>(&mut self, yaml: D) -> Result<(), D::Error> {
        yaml.deserialize_map(self)
    }

    fn value<'de, A: MapAccess<'de>>(
        &self,
        setting: &Setting,
        map: &mut A,
    ) -> Result<Vec<Piece>, A::Error> {
        let written = match setting.kind {
            Kind::List => map.next_value::<Option<Vec<Spanned<String>>>>()?.unwrap_or_default(),
            Kind::Text | Kind::Count | Kind::Switch => {
                map.next_value::<Option<Spanned<String>>>()?.into_iter().collect()
            }
        };
        Ok(written
            .into_iter()
            .map(|piece| Piece { text: piece.value, origin: self.at(piece.referenced) })
            .collect())
    }

    fn at(&self, at: serde_saphyr::Location) -> Origin {
        Origin::File { path: Arc::clone(self.path), line: at.line(), column: at.column() }
    }
}

fn unknown_field(name: &str) -> String {
    match nearest(name, settings::ALL.iter().map(|setting| setting.name)) {
        Some(meant) => format!("unknown field {name:?}; did you mean {meant}?"),
        None => format!("unknown field {name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Layer, Vec<String>) {
        let mut problems = Vec::new();
        let layer = parse_file(&Path::new("node.yaml").into(), text, &mut problems);
        (layer, problems.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn refuses(text: &str, expect: &[&str]) {
        assert_eq!(read(text).1, expect);
    }

    #[test]
    fn keeps_text_and_place_of_every_value() {
        let (layer, problems) =
            read("workers: 007\nexclude:\n  - 10.0.0.0/8\nstrict: yes\naccess_log: off\n");
        assert_eq!(problems, [""; 0]);
        let shown: Vec<_> = layer
            .iter()
            .flat_map(|(name, pieces)| {
                pieces.iter().map(move |p| format!("{name}={}@{}", p.text, p.origin))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "access_log=off@node.yaml:5:13",
                "exclude=10.0.0.0/8@node.yaml:3:5",
                "strict=yes@node.yaml:4:9",
                "workers=007@node.yaml:1:10",
            ]
        );
    }

    #[test]
    fn an_empty_file_and_an_empty_value_set_nothing() {
        assert_eq!(read("# nothing\n"), (Layer::new(), vec![]));
        assert_eq!(read("prober_cgroup:\n"), (Layer::new(), vec![]));
    }

    #[test]
    fn names_every_unknown_field() {
        refuses(
            "worker: 2\nstrict: true\nfoo: {a: [1]}\n",
            &[
                "node.yaml:1:1: unknown field \"worker\"; did you mean workers?",
                "node.yaml:3:1: unknown field \"foo\"",
            ],
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_does_not_hide_the_others() {
        refuses(
            "workers: [2]\nexclude: a\nfoo: 1\nstrict: {a: b}\n",
            &[
                "node.yaml:1:10: workers: want one value here",
                "node.yaml:2:10: exclude: want a list here: [a, b]",
                "node.yaml:4:9: strict: want one value here",
                "node.yaml:3:1: unknown field \"foo\"",
            ],
        );
    }

    #[test]
    fn names_the_place_of_a_syntax_error() {
        refuses("workers: \"2", &["node.yaml:1:10: unclosed quote"]);
        refuses("workers: [2]\n", &["node.yaml:1:10: workers: want one value here"]);
        refuses("exclude: 10.0.0.0/8\n", &["node.yaml:1:10: exclude: want a list here: [a, b]"]);
        refuses(
            "workers: 1\n---\n",
            &["node.yaml:2:4: a second document begins here; settings are one"],
        );
        refuses("workers: 1\nworkers: 2\n", &["node.yaml:2:1: workers is set twice"]);
        refuses("- workers\n", &["node.yaml:1:1: want fields here, one per setting: `workers: 2`"]);
    }
}
