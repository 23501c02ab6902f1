//! `/logging`.
use super::{Admin, Answer, query::Query};
use crate::gateway::logs::NotALevel;
use axum::http::StatusCode;

const USAGE: &str = "\
usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
levels: trace debug info warning error critical off
";

pub(super) fn answer(admin: &Admin, query: &Query) -> Answer {
    let logs = &admin.around.logs;
    let set = match query.iter().next() {
        None => Ok(()),
        Some(("level", level)) => logs.set(None, level),
        Some(("paths", pairs)) => logs.set_pairs(pairs),
        Some((name, level)) => logs.set(Some(name), level),
    };
    let levels = logs.levels().into_iter().map(|(name, level)| format!("  {name}: {level}\n"));
    let active = format!("active loggers:\n{}\n", levels.collect::<String>());
    match set {
        Ok(()) => Answer::ok(active),
        Err(error @ (NotALevel::Level | NotALevel::Name)) => {
            Answer::text(StatusCode::BAD_REQUEST, format!("error: {error}\n\n{USAGE}{active}"))
        }
    }
}
