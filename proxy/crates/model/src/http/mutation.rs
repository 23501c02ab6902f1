//! Headers added and removed on the way.
use super::{
    field::Field,
    format::{Operator, Template},
    matcher::StringMatch,
};

/// What is done to the headers of one message, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderMutations(pub Box<[Mutation]>);

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Mutation {
    Remove(Field),
    /// `remove_on_match`: every header whose name matches.
    RemoveMatching(StringMatch),
    Set(HeaderValue),
}

/// `HeaderValueOption`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderValue {
    pub name: Field,
    pub value: Template,
    pub how: Append,
    /// Without it, a value that comes out empty adds nothing (and overwrites nothing).
    pub keep_empty: bool,
}

/// `HeaderAppendAction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Append {
    /// Beside what is there.
    #[default]
    AppendOrAdd,
    /// Only if nothing is there.
    AddIfAbsent,
    /// In place of what is there.
    OverwriteOrAdd,
    /// In place of what is there, and not at all if nothing is.
    OverwriteIfExists,
}

/// `KeyValueMutation` of query parameters (the `header_mutation` filter).
#[derive(Clone, Debug, PartialEq)]
pub enum QueryMutation {
    Remove(std::sync::Arc<str>),
    Set { name: std::sync::Arc<str>, value: Template, how: Append },
}

impl HeaderMutations {
    /// Removals before additions: the order of `…_headers_to_remove` and `…_headers_to_add`.
    #[must_use]
    pub fn of(remove: Vec<Field>, add: Vec<HeaderValue>) -> Self {
        let removed = remove.into_iter().map(Mutation::Remove);
        Self(removed.chain(add.into_iter().map(Mutation::Set)).collect())
    }

    /// Whether one of the operators of its values is so.
    pub fn any(&self, is: fn(&Operator) -> bool) -> bool {
        self.0.iter().any(|step| matches!(step, Mutation::Set(header) if header.value.any(is)))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
