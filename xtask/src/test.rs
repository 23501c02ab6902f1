//! `cargo xtask test`: which tests, under what, with what.
mod api;
mod e2e;
mod gateway;
mod interop;
mod kubernetes;
mod nextest;

use anyhow::Result;
use clap::Args;

use crate::kernel;
use nextest::Filter;

/// Which tests to run.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// [unit|gateway|e2e|api|interop|kubernetes|kernel [VERSION…]] [FILTER…]: the suite, then parts of test names.
    ///
    /// unit: needs no privilege; curl, nginx, nghttp2 and openssl are its peers.
    /// gateway: the gateway beside a real Envoy, and real clients and servers; `long` for those that
    ///   take minutes. Needs Python with pip, Node.js with npm, and Go.
    /// e2e: network namespaces, the real kernel and real peers; needs root and Go.
    /// api: the API server of a real Kubernetes, which is built from its Go modules; needs Go.
    /// kubernetes: clusters with nodes, and api; needs root and Go.
    /// interop: Istio's own programs as peers, built from their Go modules; needs root and Go.
    /// kernel: the capture suite in virtual machines, one per Debian kernel (5.10, 6.1, 6.12, newest).
    /// Without a suite: unit, then gateway, then e2e, then api, while Kubernetes is built beside them.
    #[arg(value_name = "SUITE", verbatim_doc_comment)]
    words: Vec<String>,
}

/// What the words of the command line ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    All { filter: &'a [String] },
    Unit { filter: &'a [String] },
    Gateway { filter: &'a [String] },
    E2e { filter: &'a [String] },
    Api { filter: &'a [String] },
    Interop { filter: &'a [String] },
    Kubernetes { filter: &'a [String] },
    Kernel { versions: &'a [String], filter: &'a [String] },
}

impl Test {
    /// Runs the wanted suites; the first that fails ends the run.
    pub(crate) fn run(&self) -> Result<()> {
        match wanted(&self.words) {
            Wanted::All { filter } => {
                let (building, filter) = (api::build()?, Filter::shared(filter));
                nextest::unit(filter)?;
                gateway::run(filter)?;
                e2e::run(filter)?;
                api::run(building, filter)
            }
            Wanted::Unit { filter } => nextest::unit(Filter::own(filter)),
            Wanted::Gateway { filter } => gateway::run(Filter::own(filter)),
            Wanted::E2e { filter } => e2e::run(Filter::own(filter)),
            Wanted::Api { filter } => api::run(api::build()?, Filter::own(filter)),
            Wanted::Interop { filter } => interop::run(Filter::own(filter)),
            Wanted::Kubernetes { filter } => kubernetes::run(Filter::shared(filter)),
            Wanted::Kernel { versions, filter } => kernel::run(versions, filter),
        }
    }
}

fn wanted(words: &[String]) -> Wanted<'_> {
    let Some((suite, filter)) = words.split_first() else {
        return Wanted::All { filter: words };
    };
    match suite.as_str() {
        "unit" => Wanted::Unit { filter },
        "gateway" => Wanted::Gateway { filter },
        "e2e" => Wanted::E2e { filter },
        "api" => Wanted::Api { filter },
        "interop" => Wanted::Interop { filter },
        "kubernetes" => Wanted::Kubernetes { filter },
        "kernel" => {
            let version =
                |word: &String| word == "newest" || word.starts_with(|c: char| c.is_ascii_digit());
            let end = filter.iter().position(|word| !version(word)).unwrap_or(filter.len());
            let (versions, filter) = filter.split_at(end);
            Wanted::Kernel { versions, filter }
        }
        _ => Wanted::All { filter: words },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_first_word_may_name_a_suite() {
        assert_eq!(wanted(&[]), Wanted::All { filter: &[] });
        assert_eq!(wanted(&words("unit")), Wanted::Unit { filter: &[] });
        assert_eq!(wanted(&words("gateway rbac")), Wanted::Gateway { filter: &words("rbac") });
        assert_eq!(wanted(&words("e2e redis")), Wanted::E2e { filter: &words("redis") });
        assert_eq!(wanted(&words("redis")), Wanted::All { filter: &words("redis") });
    }

    #[test]
    fn kernels_are_told_from_names_of_tests() {
        assert_eq!(
            wanted(&words("kernel 5.10 newest inbound")),
            Wanted::Kernel { versions: &words("5.10 newest"), filter: &words("inbound") }
        );
        assert_eq!(wanted(&words("kernel")), Wanted::Kernel { versions: &[], filter: &[] });
    }
}
