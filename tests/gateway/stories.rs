//! What no single exchange shows: real peers, floods, changes under load, configurations that are
//! wrong.
//!
//! With `CULVERT_GATEWAY_ONLY=envoy` they run against Envoy, which must pass them too.
mod admin;
mod broken;
mod compiled;
mod floods;
mod flow;
mod peers;
mod plane;
mod rotation;
mod runtime;
mod scale;
mod served;
mod stage;
mod told;
mod transports;

type Story = fn();

/// By name; those under `long` take minutes and run when they are asked for.
pub(crate) const ALL: &[(&str, Story)] = &[
    ("story::admin::shapes", admin::shapes),
    ("story::broken::fifty_configurations", broken::fifty),
    ("story::compiled::both_take_it", compiled::both_take_it),
    ("story::floods::rapid_reset", floods::rapid_reset),
    ("story::floods::continuation", floods::continuation),
    ("story::floods::settings", floods::settings),
    ("story::floods::ping", floods::ping),
    ("story::floods::empty_data", floods::empty_data),
    ("story::floods::h2spec", floods::h2spec),
    ("story::flow::a_client_gives_up", flow::gives_up),
    ("story::flow::a_client_reads_nothing", flow::reads_nothing),
    ("story::flow::a_server_takes_nothing", flow::takes_nothing),
    ("story::peers::curl", peers::curl),
    ("story::peers::nghttp_and_h2load", peers::nghttp),
    ("story::peers::nginx", peers::nginx),
    ("story::peers::grpcio", peers::grpcio),
    ("story::peers::websockets", peers::websockets),
    ("story::peers::ws", peers::ws),
    ("story::plane::routes_change_under_load", plane::short),
    ("long::plane::routes_change_under_load", plane::long),
    ("story::plane::changes_only_under_load", plane::short_delta),
    ("long::plane::changes_only_under_load", plane::long_delta),
    ("story::served::by_changes", served::by_changes),
    ("story::served::by_states_of_the_world", served::by_states_of_the_world),
    ("story::served::to_a_sidecar", served::to_a_sidecar),
    ("story::served::a_client_without_a_proxy", served::a_client_without_a_proxy),
    ("story::transports::ads", transports::state_of_the_world),
    ("story::transports::ads_of_changes", transports::delta),
    ("story::transports::ecds", transports::filters),
    ("story::transports::ecds_of_changes", transports::filters_delta),
    ("story::transports::sds_under_load", transports::secrets),
    ("story::transports::sds_of_changes_under_load", transports::secrets_delta),
    ("story::transports::rest", transports::rest),
    ("story::transports::inbound_listeners_end", transports::inbound_only),
    ("story::rotation::certificates_change_under_load", rotation::files),
    ("story::rotation::files_of_certificates_change_under_load", rotation::certificate_files),
    ("story::rotation::watched_directories_change_under_load", rotation::watched),
    ("story::runtime::served", runtime::state_of_the_world),
    ("story::runtime::served_by_changes", runtime::delta),
    ("story::scale::a_thousand_clusters", scale::thousand),
    ("long::scale::ten_thousand_clusters", scale::ten_thousand),
];
