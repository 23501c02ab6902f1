//! `culvert gateway`
use super::start::Start;
use crate::{
    config::{Config, flags::GatewayFlags, gateways, settings::Role, sources::Variables},
    failure::{Exit, Failure},
    gateway::{
        self, Level,
        options::{LogOptions, Mode, NodeOptions, Of, Options},
    },
};
use std::{num::NonZeroU16, path::PathBuf, time::Duration};

/// Serve HTTP and TCP: a Gateway of the mesh, or what an Envoy bootstrap file says.
///
/// An HTTP/1.1, HTTP/2 and gRPC proxy with real listeners. Needs neither root nor a kernel of its own.
/// As NAMESPACE/NAME it follows the mesh's control plane, has the identity of the service account
/// NAME, and reaches members of the mesh by tunnel as that. With a bootstrap it serves static
/// resources, or resources that come by xDS (ADS, gRPC, REST, files), and knows no mesh. Flags are
/// those of Envoy, so that scripts that start one can start this.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert gateway shop/edge --control https://control.example --join-token edge.token
  culvert gateway shop/edge --config gateway.yaml --print-config
  culvert gateway -c envoy.yaml
  culvert gateway --bootstrap envoy.yaml --mode validate      says what is wrong, and ends
  culvert gateway -c envoy.yaml --service-node edge-1 --service-cluster edge
  culvert gateway -c envoy.yaml --config-yaml 'admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}'

Signals: SIGTERM and SIGINT end it once requests are done (twice: at once), SIGUSR1 opens logs again.
Exit codes: 0 ended as told or configuration good, 1 configuration refused, 2 wrong use, 3 cannot run.
docs/gateway.md tells more, docs/compatibility.md what of Envoy's configuration is understood.")]
pub(crate) struct Gateway {
    /// A Gateway of the mesh, by Istio's API or the Gateway API.
    #[arg(value_name = "NAMESPACE/NAME", conflicts_with_all = ["path", "config_yaml"])]
    of: Option<String>,
    /// The bootstrap, in YAML or JSON.
    #[arg(short = 'c', long = "config-path", visible_alias = "bootstrap", value_name = "FILE")]
    path: Option<PathBuf>,
    /// A bootstrap in YAML that counts over the file, or stands alone.
    #[arg(long, value_name = "YAML")]
    config_yaml: Option<String>,
    /// Instead of the bootstrap's node.id.
    #[arg(long, value_name = "ID")]
    service_node: Option<String>,
    /// Instead of the bootstrap's node.cluster.
    #[arg(long, value_name = "NAME")]
    service_cluster: Option<String>,
    /// Instead of the bootstrap's node.locality.zone.
    #[arg(long, value_name = "ZONE")]
    service_zone: Option<String>,
    /// What to do with the configuration.
    #[arg(long, value_name = "MODE", default_value = "serve")]
    mode: Mode,
    /// Threads that carry connections [default: the processors that this process may use]
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroU16>,
    /// How long connections may go on that a change of the configuration, or SIGTERM, has ended
    /// [default: 600, and 30 after SIGTERM]
    #[arg(long, value_name = "SECONDS")]
    drain_time_s: Option<u32>,
    /// How much is said on standard error.
    #[arg(short, long, value_name = "LEVEL", default_value = "info")]
    log_level: Level,
    /// More or less of some parts: upstream:debug,config:trace
    #[arg(long, value_name = "PART:LEVEL,…")]
    component_log_level: Option<String>,
    /// A file for what is said, in place of standard error; SIGUSR1 opens it again.
    #[arg(long, value_name = "FILE")]
    log_path: Option<PathBuf>,
    /// A file that the address of the admin interface is written to.
    #[arg(long, value_name = "FILE")]
    admin_address_path: Option<PathBuf>,
    /// Only 0: a process is replaced by starting another beside it and ending the first.
    #[arg(long, value_name = "N", hide_short_help = true)]
    restart_epoch: Option<u32>,
    #[command(flatten)]
    start: Start,
    #[command(flatten)]
    settings: GatewayFlags,
    #[command(flatten)]
    ignored: Ignored,
}

/// Flags of Envoy's that change nothing here; scripts may give them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Accepted as Envoy has them, without effect")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
struct Ignored {
    #[arg(long, value_name = "N", hide_short_help = true)]
    base_id: Option<u32>,
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    base_id_path: Option<PathBuf>,
    #[arg(long, hide_short_help = true)]
    use_dynamic_base_id: bool,
    #[arg(long, hide_short_help = true)]
    disable_hot_restart: bool,
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    parent_shutdown_time_s: Option<u32>,
    #[arg(long, value_name = "KIND", hide_short_help = true)]
    drain_strategy: Option<String>,
    #[arg(long, value_name = "FORMAT", hide_short_help = true)]
    log_format: Option<String>,
    #[arg(long, hide_short_help = true)]
    log_format_escaped: bool,
    #[arg(long, value_name = "MS", hide_short_help = true)]
    file_flush_interval_msec: Option<u32>,
    #[arg(long, value_name = "KB", hide_short_help = true)]
    file_flush_min_size_kb: Option<u32>,
    #[arg(long, value_name = "V", hide_short_help = true)]
    local_address_ip_version: Option<String>,
    #[arg(long, hide_short_help = true)]
    cpuset_threads: bool,
    #[arg(long, value_name = "NAMES", hide_short_help = true)]
    disable_extensions: Option<String>,
    #[arg(long, hide_short_help = true)]
    enable_mutex_tracing: bool,
    #[arg(long, hide_short_help = true)]
    enable_fine_grain_logging: bool,
    #[arg(long, hide_short_help = true)]
    enable_core_dump: bool,
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    socket_path: Option<String>,
    #[arg(long, value_name = "MODE", hide_short_help = true)]
    socket_mode: Option<String>,
    #[arg(long, hide_short_help = true)]
    reject_unknown_dynamic_fields: bool,
    #[arg(long, hide_short_help = true)]
    ignore_unknown_dynamic_fields: bool,
    #[arg(long, visible_alias = "allow-unknown-fields", hide_short_help = true)]
    allow_unknown_static_fields: bool,
    #[arg(long, hide_short_help = true)]
    skip_deprecated_logs: bool,
    #[arg(long, hide_short_help = true)]
    skip_hot_restart_on_no_parent: bool,
    #[arg(long, hide_short_help = true)]
    skip_hot_restart_parent_stats: bool,
    #[arg(long, value_name = "TAG:VALUE", hide_short_help = true)]
    stats_tag: Vec<String>,
}

impl Gateway {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        if let Some(epoch) = self.restart_epoch.filter(|epoch| *epoch != 0) {
            return Err(Failure::new(
                Exit::Usage,
                format!("--restart-epoch {epoch}: there is no hot restart"),
                "start another process (addresses are shared), then end the first with SIGTERM",
            ));
        }
        let Self { of, start, settings, .. } = self;
        let of = match of {
            Some(name) => match start.settings(Role::Gateway, variables, settings.0)? {
                Some((config, _)) => Some(Box::new(gateway_of(&name, config)?)),
                None => return Ok(Exit::Done),
            },
            None if start.is_silent() && settings.0.is_empty() => None,
            None => {
                return Err(Failure::new(
                    Exit::Usage,
                    "settings of the mesh are given, and no gateway of it",
                    "name one: culvert gateway NAMESPACE/NAME; a bootstrap says all by itself",
                ));
            }
        };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        gateway::run(Options {
            of,
            path: self.path,
            yaml: self.config_yaml,
            node: NodeOptions {
                id: self.service_node,
                cluster: self.service_cluster,
                zone: self.service_zone,
            },
            mode: self.mode,
            concurrency: self.concurrency,
            drain: self.drain_time_s.map(seconds),
            log: LogOptions {
                level: self.log_level,
                components: self.component_log_level,
                path: self.log_path,
            },
            admin_address: self.admin_address_path,
            ignored: self.ignored.given(),
        })
    }
}

/// # Errors
///
/// When nothing is called so.
fn gateway_of(text: &str, config: Config) -> Result<Of, Failure> {
    let next = "name a Gateway of the mesh, or a bootstrap with -c FILE";
    let name = gateways::gateway(text).map_err(|wrong| Failure::new(Exit::Usage, wrong, next))?;
    Ok(Of { name, config })
}

impl Ignored {
    /// Those that were given and would do something in an Envoy.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("--base-id-path", self.base_id_path.is_some()),
            ("--drain-strategy", self.drain_strategy.is_some()),
            ("--log-format", self.log_format.is_some()),
            ("--log-format-escaped", self.log_format_escaped),
            ("--file-flush-interval-msec", self.file_flush_interval_msec.is_some()),
            ("--file-flush-min-size-kb", self.file_flush_min_size_kb.is_some()),
            ("--disable-extensions", self.disable_extensions.is_some()),
            ("--enable-mutex-tracing", self.enable_mutex_tracing),
            ("--enable-core-dump", self.enable_core_dump),
            ("--ignore-unknown-dynamic-fields", self.ignore_unknown_dynamic_fields),
            ("--allow-unknown-static-fields", self.allow_unknown_static_fields),
            ("--stats-tag", !self.stats_tag.is_empty()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
    }
}
