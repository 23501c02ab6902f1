//! Tries whose answers nobody gets, written down: `upstream_log` of the router.
use crate::{
    forward::{Failure, reply},
    manager::record::Record,
    message::ResponseHead,
};

/// A line for a try that was answered otherwise than it should, or was not.
pub(super) fn lost(record: &mut Record, ended: Result<&ResponseHead, &Failure>) {
    let Some(logs) = record.upstream_logs.clone() else { return };
    // The request goes on as it was.
    let before = (record.status, record.flags, record.details.clone(), record.failure.clone());
    match ended {
        Ok(head) => {
            record.status = Some(head.status);
            record.said = Some(head.headers.clone());
            record.details = "via_upstream".into();
        }
        Err(failure) => {
            let reply = reply::of(failure, record.attempts);
            record.flags = reply.flags;
            record.details = reply.details;
            if let Failure::Reset { why, .. } = failure {
                record.failure.clone_from(why);
            }
        }
    }
    record.write_to(&logs, "UpstreamEnd");
    record.said = None;
    (record.status, record.flags, record.details, record.failure) = before;
}
