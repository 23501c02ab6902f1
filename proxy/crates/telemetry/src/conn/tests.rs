use super::*;
use crate::{
    access::{AccessFormat, AccessLog},
    metrics::{Format, Metrics},
    sample,
};
use culvert_model::facts::Direction;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start() -> (Telemetry, Shared) {
    let (metrics, sink) = (Arc::new(Metrics::new("test")), Shared::default());
    let access = AccessLog::start(AccessFormat::Json, Box::new(sink.clone()), &metrics).unwrap();
    (Telemetry::new(metrics, access), sink)
}

/// The access lines so far, and no more.
fn lines(telemetry: &Telemetry, sink: &Shared) -> Vec<serde_json::Value> {
    telemetry.access.close(Duration::from_secs(60)).unwrap();
    let text = String::from_utf8(sink.0.lock().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The sum of a metric's samples whose labels contain `labels`.
fn sum(telemetry: &Telemetry, metric: &str, labels: &str) -> u64 {
    let text = telemetry.metrics.encode(Format::Prometheus);
    let samples = text.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let is_it = name.split('{').next() == Some(metric) && name.contains(labels);
        is_it.then(|| value.parse::<u64>().unwrap())
    });
    samples.sum()
}

#[test]
fn bytes_show_while_the_connection_lives() {
    let (telemetry, _) = start();
    let mut record = telemetry.open(sample::facts(Direction::Outbound));
    record.settle();
    record.sent(84);
    record.received(1600);
    record.received(17);
    // Istio's names are those of the destination: it received the request.
    assert_eq!(sum(&telemetry, "istio_tcp_received_bytes_total", "source"), 84);
    assert_eq!(sum(&telemetry, "istio_tcp_sent_bytes_total", "source"), 1617);
    assert_eq!(sum(&telemetry, "istio_tcp_sockets_open", "source"), 1);
    assert_eq!(sum(&telemetry, "culvert_connections_open", "outbound"), 1);
    let live = Arc::clone(record.live());
    record.finish(CloseReason::Done, None);
    assert_eq!((live.bytes_sent(), live.bytes_received()), (84, 1617));
    assert_eq!(sum(&telemetry, "istio_tcp_sockets_open", "source"), 0);
    assert_eq!(sum(&telemetry, "culvert_connections_open", "outbound"), 0);
}

#[test]
fn bytes_before_it_is_known_what_they_are_count_once_it_is() {
    let (telemetry, _) = start();
    let mut record = telemetry.open(sample::facts(Direction::Outbound));
    record.counter().sent(3);
    assert_eq!(sum(&telemetry, "istio_tcp_connections_opened_total", ""), 0);
    record.settle();
    record.counter().sent(4);
    assert_eq!(sum(&telemetry, "istio_tcp_received_bytes_total", "source"), 7);
    record.finish(CloseReason::Done, None);
    assert_eq!(sum(&telemetry, "istio_tcp_connections_closed_total", "source"), 1);
}

#[test]
fn a_connection_of_requests_has_its_line_and_is_in_none_of_istios_metrics() {
    let (telemetry, sink) = start();
    let mut record = telemetry.open(sample::facts(Direction::Inbound));
    record.carry_requests();
    record.settle();
    record.sent(84);
    record.finish(CloseReason::Done, None);
    assert!(!telemetry.metrics.encode(Format::Prometheus).contains("source_workload="));
    assert_eq!(sum(&telemetry, "culvert_connections_closed_total", "inbound"), 1);
    assert_eq!(sum(&telemetry, "culvert_connections_open", ""), 0);
    assert_eq!(lines(&telemetry, &sink)[0]["bytes_sent"], 84);
}

#[test]
fn a_refusal_is_opened_closed_failed_refused_and_logged() {
    let (telemetry, sink) = start();
    let error = io::Error::from_raw_os_error(libc::ECONNREFUSED);
    let record = telemetry.open(sample::facts(Direction::Inbound));
    record.finish(CloseReason::UpstreamRefused, Some(&error));
    let flags = r#"response_flags="CONNECT""#;
    assert_eq!(sum(&telemetry, "istio_tcp_connections_opened_total", "destination"), 1);
    assert_eq!(sum(&telemetry, "istio_tcp_connections_closed_total", flags), 1);
    assert_eq!(sum(&telemetry, "istio_tcp_connections_failed_total", flags), 1);
    assert_eq!(sum(&telemetry, "culvert_refused_total", "upstream_refused"), 1);
    let lines = lines(&telemetry, &sink);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["close"], "upstream_refused");
    assert_eq!(lines[0]["error"], "Connection refused (os error 111)");
}

#[test]
fn a_panic_ends_in_a_line_too() {
    let (telemetry, sink) = start();
    let mut record = telemetry.open(sample::facts(Direction::Outbound));
    record.settle();
    let task = || {
        record.sent(5);
        panic!("on purpose");
    };
    assert!(catch_unwind(AssertUnwindSafe(task)).is_err());
    drop(record);
    let lines = lines(&telemetry, &sink);
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["close"], &lines[0]["bytes_sent"]), (&"internal".into(), &5.into()));
    assert_eq!(sum(&telemetry, "culvert_connections_closed_total", "internal"), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However connections end: as many lines as were opened, and every byte in both.
    #[test]
    fn everything_is_accounted_for_once(
        conns in prop::collection::vec(
            (any::<bool>(), 0..=CloseReason::ALL.len(), 0..1000_u64, 0..1000_u64),
            0..30,
        ),
    ) {
        let (telemetry, sink) = start();
        for &(inbound, reason, sent, received) in &conns {
            let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
            let mut record = telemetry.open(sample::facts(direction));
            record.settle();
            record.sent(sent);
            record.received(received);
            // One more than there are: dropped without.
            if let Some(&reason) = CloseReason::ALL.get(reason) {
                record.finish(reason, None);
            }
        }
        let opened = sum(&telemetry, "istio_tcp_connections_opened_total", "");
        prop_assert_eq!(opened, u64::try_from(conns.len()).unwrap());
        prop_assert_eq!(sum(&telemetry, "istio_tcp_connections_closed_total", ""), opened);
        prop_assert_eq!(sum(&telemetry, "culvert_connections_closed_total", ""), opened);
        prop_assert_eq!(sum(&telemetry, "culvert_connections_open", ""), 0);
        let sent: u64 = conns.iter().map(|conn| conn.2).sum();
        let received: u64 = conns.iter().map(|conn| conn.3).sum();
        prop_assert_eq!(sum(&telemetry, "istio_tcp_received_bytes_total", ""), sent);
        prop_assert_eq!(sum(&telemetry, "istio_tcp_sent_bytes_total", ""), received);
        let lines = lines(&telemetry, &sink);
        prop_assert_eq!(lines.len(), conns.len());
        let logged: u64 = lines.iter().map(|line| line["bytes_sent"].as_u64().unwrap()).sum();
        prop_assert_eq!(logged, sent);
    }
}
