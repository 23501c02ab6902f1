//! What kinds of problems there are, for those who sort and search.
use serde::{Serialize, Serializer};

/// The kind of a problem. What each says and what to do about it is in `docs/check.md`; a code
/// keeps its meaning for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A file or folder cannot be read.
    Unreadable,
    NotUtf8,
    /// Neither YAML nor JSON.
    Syntax,
    /// Nested or multiplied beyond what any manifest is.
    TooMuch,
    /// No object in all that was named.
    Nothing,
    /// Without `apiVersion` and `kind`.
    NotAnObject,
    UnknownField,
    DuplicateField,
    WrongType,
    MissingField,
    /// Of the right type, and none of the values the field can have.
    BadValue,
    /// A rule of the kind that its fields break together.
    #[default]
    Rule,
    WrongVersion,
    UnknownKind,
    /// Known, and not used by this version.
    NotUsed,
    /// What only one object may have.
    Twice,
    /// Something that is named and not there.
    Reference,
    /// What objects mean together.
    Meaning,
}

impl Code {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 18] = [
        Self::Unreadable,
        Self::NotUtf8,
        Self::Syntax,
        Self::TooMuch,
        Self::Nothing,
        Self::NotAnObject,
        Self::UnknownField,
        Self::DuplicateField,
        Self::WrongType,
        Self::MissingField,
        Self::BadValue,
        Self::Rule,
        Self::WrongVersion,
        Self::UnknownKind,
        Self::NotUsed,
        Self::Twice,
        Self::Reference,
        Self::Meaning,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "CUL001",
            Self::NotUtf8 => "CUL002",
            Self::Syntax => "CUL003",
            Self::TooMuch => "CUL004",
            Self::Nothing => "CUL005",
            Self::NotAnObject => "CUL101",
            Self::UnknownField => "CUL102",
            Self::DuplicateField => "CUL103",
            Self::WrongType => "CUL104",
            Self::MissingField => "CUL105",
            Self::BadValue => "CUL106",
            Self::Rule => "CUL107",
            Self::WrongVersion => "CUL201",
            Self::UnknownKind => "CUL202",
            Self::NotUsed => "CUL203",
            Self::Twice => "CUL301",
            Self::Reference => "CUL302",
            Self::Meaning => "CUL303",
        }
    }

    /// In a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Unreadable => "a file or folder cannot be read",
            Self::NotUtf8 => "a file is not UTF-8 text",
            Self::Syntax => "a document is neither YAML nor JSON",
            Self::TooMuch => "a document is nested or multiplied beyond bounds",
            Self::Nothing => "there is no object",
            Self::NotAnObject => "a document is no object",
            Self::UnknownField => "a field is not known",
            Self::DuplicateField => "a field is set twice",
            Self::WrongType => "a value has the wrong type",
            Self::MissingField => "a field is missing",
            Self::BadValue => "a value is none that the field can have",
            Self::Rule => "a rule of the kind is broken",
            Self::WrongVersion => "the kind has no such version",
            Self::UnknownKind => "a kind is not known",
            Self::NotUsed => "a kind is not used by this version",
            Self::Twice => "two objects claim what only one may have",
            Self::Reference => "something that is named is not there",
            Self::Meaning => "objects do not fit together",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own_and_a_row_in_the_docs() {
        let docs = include_str!("../../../../../docs/check.md");
        assert!(Code::ALL.is_sorted_by(|one, other| one.name() < other.name()));
        for code in Code::ALL {
            assert!(docs.contains(&format!("| `{}` |", code.name())), "{code:?}");
        }
    }
}
