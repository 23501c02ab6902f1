//! The way a connection took.

/// How bytes went between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// As the applications wrote them: the proxy added no encryption.
    Plain,
}

impl Path {
    /// As the access log and metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
        }
    }

    /// `connection_security_policy` of Istio's metrics.
    ///
    /// `none` and not `unknown`: it is known that nothing was proven.
    /// The same on both sides, for Kiali joins the two reports of a flow by all their labels.
    #[must_use]
    pub const fn security_policy(self) -> &'static str {
        match self {
            Self::Plain => "none",
        }
    }
}
