//! Documents to objects, by kind.
use super::{
    Because, Objects, Skipped,
    config_map::MeshSettings,
    json,
    kind::{Kind, Reading, for_each_kind, reading},
    limit,
    node::{Node, Value},
    roots::Roots,
    yaml,
};
use crate::problem::{Code, Origin, Problem, Source};
use std::sync::Arc;

/// Lists in lists: Kubernetes writes none.
const MAX_LISTS: u8 = 4;

/// Fields of a List itself.
const LIST_FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "items"];

struct Reader<'a> {
    source: &'a Arc<Source>,
    objects: Objects,
    problems: Vec<Problem>,
}

/// What an object says it is.
#[derive(Clone, Copy)]
struct Header<'a> {
    api_version: &'a str,
    kind: &'a str,
}

/// Every object of `source`, and what is wrong with the others.
pub(super) fn read(source: &Arc<Source>) -> (Objects, Vec<Problem>) {
    let (documents, problems) = yaml::parse(source);
    let mut reader = Reader { source, objects: Objects::default(), problems };
    for document in &documents {
        reader.read(document, None, 0);
    }
    reader.problems.sort();
    (reader.objects, reader.problems)
}

/// The object that `source` is, of an API.
pub(super) fn read_one(source: &Arc<Source>) -> (Objects, Vec<Problem>) {
    let mut reader = Reader { source, objects: Objects::default(), problems: Vec::new() };
    match json::parse(source) {
        Ok(document) => reader.read(&document, None, 0),
        Err(problem) => reader.problems.push(*problem),
    }
    reader.problems.sort();
    (reader.objects, reader.problems)
}

impl Reader<'_> {
    /// Reads one object; `inherited` is what it is when it does not say.
    fn read(&mut self, node: &Node, inherited: Option<Header<'_>>, lists: u8) {
        let header = match self.header(node, inherited) {
            Ok(header) => header,
            Err(problem) => return self.problems.push(*problem),
        };
        let Header { api_version, kind } = header;
        let reading = reading(api_version, kind);
        self.objects.seen += usize::from(reading != Reading::List);
        match reading {
            // Others hold what is nobody's business.
            Reading::Object(Kind::Settings) if !MeshSettings::is_meant(node) => {
                if Roots::is_meant(node) {
                    self.take(Kind::Roots, node, kind);
                }
            }
            Reading::Object(read) => {
                if self.take(read, node, kind) && !read.is_used() {
                    self.skip(node, header, Because::NotYetUsed);
                }
            }
            Reading::List => self.read_list(node, header, lists),
            Reading::Later => self.skip(node, header, Because::NotYetUsed),
            Reading::Unknown => self.skip(node, header, Because::UnknownKind),
            Reading::WrongVersion { want } => {
                let at = node.get("apiVersion").unwrap_or(node).at;
                let message = format!("{kind} has no version {api_version}");
                let problem = Origin::new(self.source, at).error(message);
                let problem = problem.coded(Code::WrongVersion);
                let group = api_version.rsplit_once('/').map(|(group, _)| format!("{group}/"));
                let want = group.unwrap_or_default() + want;
                self.problems.push(problem.with_fix(format!("write apiVersion: {want}")));
            }
        }
    }

    fn header<'n>(
        &self,
        node: &'n Node,
        inherited: Option<Header<'n>>,
    ) -> Result<Header<'n>, Box<Problem>> {
        let wrong = |node: &Node, message: String| {
            let problem = Origin::new(self.source, node.at).error(message);
            Box::new(problem.coded(Code::NotAnObject))
        };
        if !matches!(node.value, Value::Map(_)) {
            let is = node.value.describe();
            return Err(wrong(node, format!("want an object with apiVersion and kind, not {is}")));
        }
        let field = |name: &str, inherited: Option<&'n str>| match node.get(name) {
            None => inherited.ok_or_else(|| wrong(node, format!("`{name}` is missing"))),
            Some(written) => node.text(name).ok_or_else(|| {
                wrong(written, format!("want text, not {}", written.value.describe()))
            }),
        };
        Ok(Header {
            api_version: field("apiVersion", inherited.map(|header| header.api_version))?,
            kind: field("kind", inherited.map(|header| header.kind))?,
        })
    }

    fn read_list(&mut self, node: &Node, header: Header<'_>, lists: u8) {
        let Value::Map(entries) = &node.value else { return };
        for entry in entries.iter().filter(|entry| !LIST_FIELDS.contains(&&*entry.key)) {
            let message = format!("unknown field `{}`", entry.key);
            let problem = Origin::new(self.source, entry.key_at).error(message);
            self.problems.push(problem.coded(Code::UnknownField));
        }
        let Some(items) = node.get("items") else {
            let problem = self.origin(node).error("`items` is missing");
            return self.problems.push(problem.coded(Code::MissingField));
        };
        let items = match &items.value {
            Value::Seq(items) => items.as_slice(),
            // An empty list, as Go writes it.
            Value::Null => &[],
            Value::Bool { .. }
            | Value::Int { .. }
            | Value::Float { .. }
            | Value::Text(_)
            | Value::Map(_) => {
                let message = format!("want a list, not {}", items.value.describe());
                let problem = self.origin(items).error(message).coded(Code::WrongType);
                return self.problems.push(problem);
            }
        };
        if lists >= MAX_LISTS {
            let problem = self.origin(node).error("too many lists in lists");
            return self.problems.push(problem.coded(Code::TooMuch));
        }
        // The items of a PodList need not say that they are pods.
        let inherited = match header.kind.strip_suffix("List") {
            Some("") | None => None,
            Some(kind) => Some(Header { kind, ..header }),
        };
        for item in items {
            self.read(item, inherited, lists + 1);
        }
    }

    /// Notes what is wrong with an object.
    fn refuse(&mut self, problems: Vec<Problem>, node: &Node, kind: &str) {
        let object = format!("{kind}/{}", name(node));
        self.problems.extend(problems.into_iter().map(|problem| problem.of(&object)));
    }

    fn skip(&mut self, node: &Node, header: Header<'_>, because: Because) {
        self.objects.skipped.push(Skipped {
            api_version: header.api_version.to_owned(),
            kind: header.kind.to_owned(),
            name: name(node),
            // Where a slip of the keyboard would be.
            origin: self.origin(node.get("kind").unwrap_or(node)),
            because,
        });
    }

    fn origin(&self, node: &Node) -> Origin {
        Origin::new(self.source, node.at)
    }
}

macro_rules! takers {
    ($($kind:ident $field:ident $type:ty,
        $group:literal $name:literal [$($version:literal),*] $when:ident;)*) => {
        impl Reader<'_> {
            /// Reads an object of `kind`, which is called `name`; whether that went well.
            fn take(&mut self, kind: Kind, node: &Node, name: &str) -> bool {
                let mut problems = limit::problems(kind, node, self.source);
                match kind {
                    $(Kind::$kind => match <$type>::read(node, self.source) {
                        Ok(read) if problems.is_empty() => {
                            self.objects.$field.push(Arc::new(read));
                            return true;
                        }
                        Ok(_) => {}
                        Err(more) => problems.extend(more),
                    },)*
                }
                self.refuse(problems, node, name);
                false
            }
        }
    };
}

for_each_kind!(takers);

/// `namespace/name` as far as an object says.
fn name(node: &Node) -> String {
    let text = |key| node.get("metadata").and_then(|meta| meta.text(key));
    match (text("namespace"), text("name")) {
        (Some(namespace), name) => format!("{namespace}/{}", name.unwrap_or("?")),
        (None, name) => name.unwrap_or("?").to_owned(),
    }
}
