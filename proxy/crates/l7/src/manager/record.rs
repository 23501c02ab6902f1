//! What is known of one request: made when it comes, written down when it is over.
use crate::{
    alarm::Alarm,
    connection::Connection,
    filter::{Kept, grpc_stats::Messages},
    forward::{Expired, Fate},
    link::{Learns, Link},
    log::Logs,
    manager::{
        Manager, beside::Numbers, known::Seeing, lines, noted::Noted, now::Now, routed::Routed,
    },
    message::RequestHead,
    outcome::{Details, Ended, Exchanged, Flag, Flags},
    share::Share,
    stats::Raised,
    upstream::{Host, Upstream},
};
use culvert_model::http::{
    cluster::Cluster,
    endpoint::Endpoint,
    value::{Fields, Metadata, Value},
};
use culvert_policy::http::{
    client::INTERNAL,
    facts::{self, Asking, FilterState, Head},
    log::Around,
};
use culvert_runtime::dice::dice;
use http::{HeaderMap, HeaderValue, StatusCode, Version, uri::Authority};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A request, from its head to its log line.
pub(crate) struct Record {
    pub(crate) manager: Arc<Manager>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) now: Arc<Now>,
    pub(crate) began: Instant,
    /// As it is now: what is believed, then what the upstream gets.
    pub(crate) head: RequestHead,
    /// The connection's facts, where the client is another than the connection's.
    pub(crate) client: Option<Box<facts::Connection>>,
    pub(crate) dice: u64,
    pub(crate) routed: Routed,
    /// What filters said of it.
    pub(crate) metadata: Metadata,
    pub(crate) state: FilterState,
    /// What filters keep until the response, by their places.
    pub(crate) kept: Vec<(usize, Kept)>,
    pub(crate) flags: Flags,
    pub(crate) details: Details,
    pub(crate) health_check: bool,
    /// What came was no request.
    pub(crate) headless: bool,
    /// Redirects of upstreams that were followed to get here.
    pub(crate) redirects: u32,
    /// The cluster that it was sent to, or would have been.
    pub(crate) cluster: Option<Arc<Upstream>>,
    /// The endpoint of the last try.
    pub(crate) went: Option<Went>,
    /// Where it is counted beside its cluster.
    pub(crate) beside: Box<[Arc<Numbers>]>,
    pub(crate) attempts: u32,
    /// The endpoints of the tries before.
    pub(crate) attempted: Vec<Went>,
    pub(crate) times: Times,
    /// Why the last try came to nothing.
    pub(crate) failure: Option<Arc<str>>,
    pub(crate) upstream_version: Option<Version>,
    pub(crate) status: Option<StatusCode>,
    /// What its route calls it, for whoever asked.
    pub(super) operation: Option<HeaderValue>,
    /// The response's headers, where logs want them.
    pub(crate) said: Option<HeaderMap>,
    pub(crate) trailers: Trailers,
    /// Messages of gRPC, where they are to be seen.
    pub(crate) messages: Option<Arc<Messages>>,
    pub(crate) fate: Fate,
    /// Where the lines of its tries go.
    pub(crate) upstream_logs: Option<Arc<Logs>>,
    /// Rings when the next line is due of what is under way.
    pub(crate) ticks: Option<Box<Alarm>>,
    pub(super) exchanged: Option<Exchanged>,
    /// For the ledger, if there is one.
    pub(super) noted: Option<Box<Noted>>,
    over: Option<Duration>,
    _active: Raised,
    _stream: Share,
}

/// The endpoint of a try.
#[derive(Debug)]
pub(crate) struct Went {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) host: Arc<Host>,
    pub(crate) endpoint: Arc<Endpoint>,
    /// By which connection, where somebody asks.
    pub(crate) link: Option<Arc<Learns>>,
    /// There was a connection, as far as is known.
    pub(crate) reached: bool,
}

/// When things happened, counted from the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// The whole request was here.
    pub(crate) received: Option<Duration>,
    /// The last try began.
    pub(crate) sent: Option<Duration>,
    /// Its response began.
    pub(crate) answered: Option<Duration>,
}

/// Where a body's trailers are put down.
pub(crate) type Trailers = Option<Arc<Mutex<Option<HeaderMap>>>>;

impl Record {
    pub(crate) fn new(
        manager: &Arc<Manager>,
        connection: &Arc<Connection>,
        head: RequestHead,
    ) -> Box<Self> {
        let streams = &manager.shared().budgets.streams;
        let noted = manager.shared().ledger().map(|_| Box::new(Noted::new(&head)));
        Box::new(Self {
            now: manager.now(),
            began: Instant::now(),
            head,
            client: None,
            dice: dice(),
            routed: Routed::default(),
            metadata: connection.metadata.clone(),
            state: connection.state.clone(),
            kept: Vec::new(),
            flags: Flags::default(),
            details: Details::Borrowed(""),
            health_check: false,
            headless: false,
            redirects: 0,
            cluster: None,
            went: None,
            beside: Box::default(),
            attempts: 0,
            attempted: Vec::new(),
            times: Times::default(),
            failure: None,
            upstream_version: None,
            status: None,
            operation: None,
            said: None,
            trailers: None,
            messages: None,
            fate: Fate::default(),
            upstream_logs: None,
            ticks: lines::ticks(manager),
            exchanged: None,
            noted,
            over: None,
            _active: manager.tally().rq_active.raise(),
            _stream: streams.take_anyway(),
            manager: Arc::clone(manager),
            connection: Arc::clone(connection),
        })
    }

    /// The request that follows an internal redirect of this one.
    pub(crate) fn followed(&self, head: RequestHead) -> Box<Self> {
        let mut next = Self::new(&self.manager, &self.connection, head);
        next.client.clone_from(&self.client);
        next.redirects = self.redirects + 1;
        // Only what is here in whole is followed.
        next.times.received = Some(Duration::ZERO);
        next
    }

    pub(crate) fn request(&self) -> Head<'_> {
        view(&self.head)
    }

    pub(crate) fn facts(&self) -> &facts::Connection {
        self.client.as_deref().unwrap_or(&self.connection.facts)
    }

    pub(crate) fn asking(&self) -> Asking<'_> {
        Asking {
            head: self.request(),
            connection: self.facts(),
            metadata: &self.metadata,
            state: &self.state,
            runtime: &self.now.runtime,
            dice: self.dice,
        }
    }

    /// What there is to print, for a line of a kind.
    pub(crate) const fn seeing(&self, kind: &'static str) -> Seeing<'_> {
        Seeing { record: self, kind }
    }

    /// What logs and replies ask beside what is printed.
    pub(crate) fn around(&self) -> Around<'_> {
        Around {
            runtime: &self.now.runtime,
            dice: [self.dice, self.dice.rotate_left(32)],
            health_check: self.health_check,
            traced: false,
            metadata: &self.metadata,
        }
    }

    /// Whether anything that is printed of it speaks of the connection to the endpoint.
    pub(crate) fn asks_for_link(&self) -> bool {
        self.noted.is_some() || self.manager.asks_for_link() || self.now.asks_for_link
    }

    /// The connection to the endpoint, where somebody asks.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.went.as_ref()?.link.as_ref()?.link()
    }

    /// Since the beginning; to the end, if it is over.
    pub(crate) fn elapsed(&self) -> Duration {
        self.over.unwrap_or_else(|| self.began.elapsed())
    }

    pub(crate) const fn exchanged(&self) -> Option<Exchanged> {
        self.exchanged
    }

    pub(crate) const fn ended(&self) -> Option<Duration> {
        self.over
    }

    /// Says something of the request to those that come after.
    pub(crate) fn set_metadata(&mut self, of: &str, key: &str, value: Value) {
        let mut all: BTreeMap<Arc<str>, Value> =
            self.metadata.iter().map(|(name, value)| (Arc::clone(name), value.clone())).collect();
        let before = all.get(of).and_then(|value| match value {
            Value::Struct(fields) => Some(Fields::clone(fields)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) => {
                None
            }
        });
        let mut fields = before.unwrap_or_default();
        fields.insert(key.into(), value);
        all.insert(of.into(), Value::Struct(Arc::new(fields)));
        self.metadata = Metadata::new(all);
    }

    /// What a filter kept, taken out.
    pub(crate) fn take_kept(&mut self, filter: usize) -> Option<Kept> {
        let at = self.kept.iter().position(|(place, _)| *place == filter)?;
        Some(self.kept.swap_remove(at).1)
    }

    pub(crate) fn keep(&mut self, filter: usize, kept: Kept) {
        self.kept.push((filter, kept));
    }

    /// It is over, this is how.
    pub(crate) fn exchange(&mut self, exchanged: Exchanged) {
        self.exchanged = Some(exchanged);
        match exchanged.ended {
            Ended::Whole => {}
            Ended::DownstreamGone => self.client_gone(),
            Ended::BodyFailed => {
                if let Some(cut) = self.fate.cut() {
                    self.flags = self.flags.iter().chain(cut.flags.iter()).collect();
                    self.details = cut.details;
                    match cut.expired {
                        Some(Expired::Duration) => {
                            self.manager.tally().rq_max_duration_reached.inc();
                        }
                        Some(Expired::Idle { .. }) => self.manager.tally().rq_idle_timeout.inc(),
                        Some(Expired::Whole | Expired::PerTry | Expired::PerTryIdle) | None => {}
                    }
                }
                self.manager.tally().reset_after_response.inc();
                self.manager.tally().rq_tx_reset.inc();
            }
            Ended::Stalled => {
                self.flags.set(Flag::StreamIdleTimeout);
                self.details = "stream_idle_timeout".into();
                self.manager.tally().rq_idle_timeout.inc();
            }
        }
    }

    fn client_gone(&mut self) {
        if self.head.version == Version::HTTP_2 {
            self.flags.set(Flag::DownstreamRemoteReset);
            self.details = "http2.remote_reset".into();
        } else {
            self.flags.set(Flag::DownstreamConnectionTermination);
            self.details = "downstream_remote_disconnect".into();
        }
        self.manager.tally().rq_rx_reset.inc();
    }
}

/// Over, also when the client went before there was a response.
impl Drop for Record {
    fn drop(&mut self) {
        if self.exchanged.is_none() {
            self.client_gone();
        }
        self.over = Some(self.began.elapsed());
        if let Some(text) = self.messages.take().and_then(|messages| messages.text()) {
            self.state.0.insert(Messages::KEY.into(), text.into());
        }
        let tally = self.manager.tally();
        if let Some(status) = self.status {
            tally.rq_codes.count_class(status.as_u16());
        }
        let elapsed = self.elapsed().as_millis();
        tally.rq_time.record(u64::try_from(elapsed).unwrap_or(u64::MAX));
        if let (Some(cluster), Some(sent), Some(_)) =
            (&self.cluster, self.times.sent, self.upstream_version)
        {
            let internal = self.head.headers.contains_key(INTERNAL);
            let took = self.elapsed().saturating_sub(sent);
            cluster.traffic().took(took, internal);
            self.beside.iter().for_each(|beside| beside.took(took));
        }
        self.write_upstream();
        self.write("DownstreamEnd");
        if let Some(noted) = &self.noted {
            noted.tell(self);
        }
    }
}

/// A head as decisions see it.
pub(crate) fn view(head: &RequestHead) -> Head<'_> {
    Head {
        method: &head.method,
        path: head.path.as_ref().map_or("", |path| path.as_str()),
        authority: head.authority.as_ref().map_or("", Authority::as_str),
        scheme: head.scheme.name(),
        protocol: None,
        headers: &head.headers,
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("head", &self.head).finish_non_exhaustive()
    }
}
