//! Where something is in a document.
use std::fmt;

/// A place, and the places around it: nothing is written down until somebody asks.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    outer: Option<&'a Self>,
    step: Step<'a>,
    depth: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    #[must_use]
    pub const fn root() -> Self {
        Self { outer: None, step: Step::Root, depth: 0 }
    }

    #[must_use]
    pub const fn field(&'a self, name: &'a str) -> Self {
        self.then(Step::Field(name))
    }

    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// An entry of a map.
    #[must_use]
    pub const fn key(&'a self, key: &'a str) -> Self {
        self.then(Step::Key(key))
    }

    /// How deep it is.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }

    const fn then(&'a self, step: Step<'a>) -> Self {
        Self { outer: Some(self), step, depth: self.depth + 1 }
    }
}

/// `a.b[2]["key"]`
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            outer.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => {
                let is_first = self.outer.is_none_or(|outer| matches!(outer.step, Step::Root));
                write!(f, "{}{name}", if is_first { "" } else { "." })
            }
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key:?}]"),
        }
    }
}
