use super::{Logs, Seen, Sinks, Target};
use crate::stats::{
    Stats,
    sample::{Query, Shape},
    text,
};
use culvert_model::http::{
    access_log::{AccessLog, Comparison, ComparisonOp, LogFilter, LogFormat, LogSink},
    format::{Format, JsonTemplate, Template},
    runtime::RuntimeValues,
    value::Metadata,
};
use culvert_policy::http::{
    format::{Known, Scene},
    log::Around,
};
use std::{fs, path::Path, sync::Arc, time::Duration};

const LONG: Duration = Duration::from_secs(60);

struct Answered(u16);

impl Known for Answered {
    fn status(&self) -> u16 {
        self.0
    }
}

fn template(text: &str) -> Template {
    text.parse().unwrap()
}

fn log(path: &Path, format: Format, filter: Option<LogFilter>) -> AccessLog {
    let format = LogFormat { format: Arc::new(format), omit_empty: false };
    let path = path.to_str().unwrap().into();
    AccessLog { filter, sink: LogSink::File { path, format } }
}

fn line() -> Format {
    Format::Text(template("%RESPONSE_CODE% %PROTOCOL%\n"))
}

fn write(logs: &Logs, status: u16) {
    let (runtime, metadata, known) =
        (RuntimeValues::default(), Metadata::default(), Answered(status));
    let around = Around {
        runtime: &runtime,
        dice: [0, 0],
        health_check: false,
        traced: false,
        metadata: &metadata,
    };
    logs.write(&Seen { scene: Scene::new(&known), around });
}

#[test]
fn every_log_writes_what_passes_its_filter_in_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let (all, bad) = (folder.path().join("all"), folder.path().join("bad"));
    let filter = LogFilter::Status(Comparison { op: ComparisonOp::AtLeast, value: 500.into() });
    let json = Format::Json(JsonTemplate::Struct(
        [("code".into(), JsonTemplate::Text(template("%RESPONSE_CODE%")))].into(),
    ));
    let sinks = Sinks::new(&Stats::default());
    let logs = Logs::new(&[log(&all, line(), None), log(&bad, json, Some(filter))], &sinks);
    assert!(!logs.is_empty() && Logs::new(&[], &sinks).is_empty());
    write(&logs, 200);
    write(&logs, 503);
    assert_eq!(sinks.close(LONG), []);
    assert_eq!(fs::read_to_string(&all).unwrap(), "200 -\n503 -\n");
    assert_eq!(fs::read_to_string(&bad).unwrap(), "{\"code\":503}\n");
}

#[test]
fn a_file_that_was_moved_away_is_made_anew_and_two_logs_share_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
    let sinks = Sinks::new(&Stats::default());
    let one = Logs::new(&[log(&path, line(), None)], &sinks);
    let two = Logs::new(&[log(&path, line(), None)], &sinks);
    assert_eq!(sinks.files().len(), 1);
    write(&one, 200);
    until(|| fs::read_to_string(&path).is_ok_and(|text| text == "200 -\n"));
    fs::rename(&path, &moved).unwrap();
    sinks.reopen();
    until(|| path.exists());
    write(&two, 404);
    assert_eq!(sinks.close(LONG), []);
    assert_eq!(fs::read_to_string(&path).unwrap(), "404 -\n");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "200 -\n");
}

#[test]
fn a_file_that_nobody_writes_to_any_more_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let sinks = Sinks::new(&Stats::default());
    let logs = Logs::new(&[log(&path, line(), None)], &sinks);
    write(&logs, 200);
    drop(logs);
    assert!(sinks.files().is_empty());
    until(|| fs::read_to_string(&path).is_ok_and(|text| text == "200 -\n"));
}

#[test]
fn the_last_lines_are_written_though_nobody_logs_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let sinks = Sinks::new(&Stats::default());
    let logs = Logs::new(&[log(&path, line(), None)], &sinks);
    write(&logs, 200);
    drop(logs);
    assert_eq!(sinks.close(LONG), []);
    assert_eq!(fs::read_to_string(&path).unwrap(), "200 -\n");
}

#[test]
fn what_cannot_be_written_is_counted() {
    let stats = Stats::default();
    let sinks = Sinks::new(&stats);
    let logs = Logs::new(&[log(Path::new("/dev/full"), line(), None)], &sinks);
    write(&logs, 200);
    assert_eq!(sinks.close(LONG), []);
    write(&logs, 200);
    let seen = text::write(&stats.samples(&Query::default()), Shape::Summary);
    assert_eq!(seen, "filesystem.write_dropped: 2\nfilesystem.write_failed: 1\n");
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, path) = (folder.path().join("pipe"), folder.path().join("log"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let sinks = Sinks::new(&Stats::default());
    let logs = Logs::new(&[log(&pipe, line(), None), log(&path, line(), None)], &sinks);
    write(&logs, 200);
    until(|| fs::read_to_string(&path).is_ok_and(|text| text == "200 -\n"));
    until(|| sinks.close(Duration::ZERO) == [Target::File(pipe.clone())]);
    // Somebody reads after all: the thread is let go.
    assert_eq!(fs::read_to_string(&pipe).unwrap(), "200 -\n");
    assert_eq!(sinks.close(LONG), []);
}

#[test]
fn the_outputs_of_the_process_are_known_by_their_paths() {
    assert_eq!(Target::of("/dev/stdout"), Target::Stdout);
    assert_eq!(Target::of("/dev/stderr"), Target::Stderr);
    assert_eq!(Target::of("/tmp/x"), Target::File("/tmp/x".into()));
}

fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}
