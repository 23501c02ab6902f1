//! Which requests a log writes down.
use culvert_model::http::{
    access_log::{Comparison, ComparisonOp, LogFilter},
    runtime::RuntimeValues,
    value::Metadata,
};

use super::{chance, field, flags::Flag, format::Scene, grpc};

/// What is to be known beside what is printed.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    pub runtime: &'a RuntimeValues,
    /// By the request's id, and by chance.
    pub dice: [u64; 2],
    pub health_check: bool,
    pub traced: bool,
    /// What filters said of it.
    pub metadata: &'a Metadata,
}

/// Whether a request passes a log's filter.
#[must_use]
pub fn passes(filter: &LogFilter, scene: &Scene<'_>, around: &Around<'_>) -> bool {
    match filter {
        LogFilter::Status(wanted) => compare(wanted, scene.status().into(), around.runtime),
        LogFilter::Duration(wanted) => {
            let Some(elapsed) = scene.known.elapsed() else { return false };
            let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            compare(wanted, milliseconds, around.runtime)
        }
        LogFilter::NotHealthCheck => !around.health_check,
        LogFilter::Traceable => around.traced,
        LogFilter::Runtime { fraction, independent } => {
            chance::hits(fraction, around.runtime, around.dice[usize::from(*independent)])
        }
        LogFilter::And(all) => all.iter().all(|one| passes(one, scene, around)),
        LogFilter::Or(any) => any.iter().any(|one| passes(one, scene, around)),
        LogFilter::Header(wanted) => {
            scene.request.is_some_and(|head| field::matches(wanted, &head))
        }
        LogFilter::ResponseFlag(wanted) => {
            let flags = scene.known.flags();
            if wanted.is_empty() {
                return !flags.is_empty();
            }
            wanted.iter().filter_map(|name| Flag::named(name)).any(|flag| flags.has(flag))
        }
        LogFilter::GrpcStatus { statuses, exclude } => {
            let headers = scene.response.map(|answer| answer.headers);
            let status = grpc::outcome(scene.trailers, headers, scene.status());
            let status = status.unwrap_or(grpc::UNKNOWN);
            statuses.iter().any(|one| i64::from(*one) == status) != *exclude
        }
        LogFilter::Metadata { matches: None, if_missing } => *if_missing,
        LogFilter::Metadata { matches: Some(wanted), if_missing } => {
            let keys = wanted.path.iter().map(|key| &**key);
            match around.metadata.find(&wanted.filter, keys) {
                None => *if_missing,
                Some(_) => wanted.matches(around.metadata),
            }
        }
        LogFilter::LogType { types, exclude } => {
            types.iter().any(|one| **one == *scene.known.log_type()) != *exclude
        }
    }
}

fn compare(wanted: &Comparison, value: u64, runtime: &RuntimeValues) -> bool {
    let than = u64::from(chance::number(&wanted.value, runtime));
    match wanted.op {
        ComparisonOp::Equal => value == than,
        ComparisonOp::AtLeast => value >= than,
        ComparisonOp::AtMost => value <= than,
        ComparisonOp::NotEqual => value != than,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use culvert_model::http::{
        access_log::{Comparison, ComparisonOp, LogFilter},
        matcher::Fraction,
        runtime::RuntimeValues,
        value::Metadata,
    };

    use super::{Around, passes};
    use crate::http::{
        flags::{Flag, Flags},
        format::{Known, Scene},
    };

    struct Request;

    impl Known for Request {
        fn status(&self) -> u16 {
            503
        }
        fn elapsed(&self) -> Option<Duration> {
            Some(Duration::from_micros(20_900))
        }
        fn flags(&self) -> Flags {
            [Flag::UpstreamOverflow].into_iter().collect()
        }
        fn log_type(&self) -> &str {
            "DownstreamEnd"
        }
    }

    fn passed(filter: &LogFilter) -> bool {
        let (runtime, metadata) = (RuntimeValues::default(), Metadata::default());
        let scene = Scene::new(&Request);
        let around = Around {
            runtime: &runtime,
            dice: [0, 99],
            health_check: true,
            traced: false,
            metadata: &metadata,
        };
        passes(filter, &scene, &around)
    }

    #[test]
    fn each_filter_looks_at_its_own() {
        let than = |op, value: u32| Comparison { op, value: value.into() };
        let runtime = |independent| LogFilter::Runtime {
            fraction: Fraction::percent(50).into(),
            independent,
        };
        for (filter, wanted) in [
            (LogFilter::Status(than(ComparisonOp::AtLeast, 500)), true),
            (LogFilter::Status(than(ComparisonOp::Equal, 500)), false),
            (LogFilter::Duration(than(ComparisonOp::AtMost, 20)), true),
            (LogFilter::Duration(than(ComparisonOp::AtLeast, 21)), false),
            (LogFilter::NotHealthCheck, false),
            (LogFilter::Traceable, false),
            (runtime(false), true),
            (runtime(true), false),
            (LogFilter::ResponseFlag(Box::default()), true),
            (LogFilter::ResponseFlag(["UO".into(), "NR".into()].into()), true),
            (LogFilter::ResponseFlag(["NR".into()].into()), false),
            (LogFilter::GrpcStatus { statuses: [14].into(), exclude: false }, true),
            (LogFilter::GrpcStatus { statuses: [14].into(), exclude: true }, false),
            (LogFilter::Metadata { matches: None, if_missing: true }, true),
            (LogFilter::LogType { types: ["DownstreamEnd".into()].into(), exclude: false }, true),
            (LogFilter::And([runtime(false), runtime(true)].into()), false),
            (LogFilter::Or([runtime(false), runtime(true)].into()), true),
        ] {
            assert_eq!(passed(&filter), wanted, "{filter:?}");
        }
    }
}
