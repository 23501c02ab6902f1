//! Who writes down which requests and connections, and how.
use super::{
    format::Format,
    matcher::{HeaderMatch, RuntimeFraction, RuntimeNumber},
    value::MetadataMatch,
};
use std::sync::Arc;

/// One log.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// `None`: everything is written.
    pub filter: Option<LogFilter>,
    pub sink: LogSink,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq)]
pub enum LogSink {
    File { path: Arc<str>, format: LogFormat },
    Stdout(LogFormat),
    Stderr(LogFormat),
}

impl LogSink {
    /// What its lines look like.
    #[must_use]
    pub const fn format(&self) -> &LogFormat {
        match self {
            Self::File { format, .. } | Self::Stdout(format) | Self::Stderr(format) => format,
        }
    }
}

/// What a line looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFormat {
    pub format: Arc<Format>,
    /// Values that come out empty are left out (JSON) or are nothing (text), instead of `-`.
    pub omit_empty: bool,
}

/// Which requests are logged.
#[derive(Clone, Debug, PartialEq)]
pub enum LogFilter {
    Status(Comparison),
    /// In milliseconds.
    Duration(Comparison),
    NotHealthCheck,
    /// Requests that are traced.
    Traceable,
    Runtime {
        fraction: RuntimeFraction,
        /// Dice for each request, not for its id.
        independent: bool,
    },
    And(Box<[Self]>),
    Or(Box<[Self]>),
    Header(HeaderMatch),
    /// Any of the flags, as they are written in logs; empty: any flag at all.
    ResponseFlag(Box<[Arc<str>]>),
    /// Whether the gRPC status is one of these; `exclude` turns it round.
    GrpcStatus {
        statuses: Box<[u32]>,
        exclude: bool,
    },
    Metadata {
        matches: Option<MetadataMatch>,
        if_missing: bool,
    },
    /// The kinds of lines (`AccessLogType` as in `%ACCESS_LOG_TYPE%`).
    LogType {
        types: Box<[Arc<str>]>,
        exclude: bool,
    },
}

/// A number compared with one that the runtime may give.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub op: ComparisonOp,
    pub value: RuntimeNumber<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonOp {
    Equal,
    AtLeast,
    AtMost,
    NotEqual,
}
