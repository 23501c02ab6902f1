//! Who asks a source, by what it is.
use super::{
    super::{kind::Kind, wanted::Asked},
    Source, files, grpc, own, rest, watch_files,
};
use culvert_model::http::source::From;
use culvert_runtime::drain::Worker;

/// Starts what asks a source, until the worker is to finish: nothing that it says is waited for then.
pub(super) fn spawn(source: Source, ads: Option<From>, worker: &Worker) {
    let from = match &source.asked {
        Asked::Static => return,
        Asked::Files(files) => {
            let files = files.clone();
            return worker.spawn_until_finish(files::follow(source, files));
        }
        Asked::Source(From::Ads | From::SameSource) => ads,
        Asked::Source(from) => Some(from.clone()),
    };
    let is_aggregated = matches!(source.asked, Asked::Source(From::Ads));
    match from {
        Some(From::Grpc(server)) if is_aggregated => {
            worker.spawn_until_finish(grpc::follow(source, server, None));
        }
        Some(From::Grpc(server)) => {
            let first = server.servers.first();
            if let Some(own) = first.and_then(|first| source.reach.own(&first.to)) {
                return worker.spawn_until_finish(own::follow(source, own));
            }
            // One stream for each type.
            for kind in Kind::ALL {
                worker.spawn_until_finish(grpc::follow(source.clone(), server.clone(), Some(kind)));
            }
        }
        Some(From::Rest(server)) => {
            for kind in Kind::ALL {
                worker.spawn_until_finish(rest::follow(source.clone(), server.clone(), kind));
            }
        }
        Some(From::File(file)) => {
            worker.spawn_until_finish(watch_files::follow(source, file));
        }
        Some(From::Ads | From::SameSource) | None => {
            source
                .shared
                .failed(&source.asked, "the bootstrap has no dynamic_resources.ads_config");
        }
    }
}
