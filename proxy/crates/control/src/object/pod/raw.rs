//! A pod as written; never leaves `pod`.
//!
//! Every field that core/v1 has at these levels is named, so that all others can be refused; what
//! is below a field that nobody reads is not looked at.
#![expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
use super::Phase;
use crate::object::{
    meta::RawMeta,
    name::DnsSubdomain,
    port::{Ip, Port, Protocol},
    spanned::Spanned,
};
use serde::{Deserialize, de::IgnoredAny as Ignored};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPod {
    pub(super) metadata: RawMeta,
    pub(super) spec: Option<RawSpec>,
    pub(super) status: Option<RawStatus>,
    api_version: Option<Ignored>,
    kind: Option<Ignored>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object) struct RawSpec {
    pub(super) containers: Vec<RawContainer>,
    pub(super) init_containers: Vec<RawContainer>,
    pub(super) ephemeral_containers: Vec<RawContainer>,
    pub(super) host_network: Option<bool>,
    pub(super) node_name: Option<String>,
    pub(super) service_account: Option<Spanned<DnsSubdomain>>,
    pub(super) service_account_name: Option<Spanned<DnsSubdomain>>,
    pub(super) dns_config: Option<RawDnsConfig>,
    pub(super) dns_policy: Option<String>,
    active_deadline_seconds: Option<Ignored>,
    affinity: Option<Ignored>,
    automount_service_account_token: Option<Ignored>,
    enable_service_links: Option<Ignored>,
    host_aliases: Option<Ignored>,
    #[serde(rename = "hostIPC")]
    host_ipc: Option<Ignored>,
    #[serde(rename = "hostPID")]
    host_pid: Option<Ignored>,
    host_users: Option<Ignored>,
    hostname: Option<Ignored>,
    hostname_override: Option<Ignored>,
    image_pull_secrets: Option<Ignored>,
    node_selector: Option<Ignored>,
    os: Option<Ignored>,
    overhead: Option<Ignored>,
    preemption_policy: Option<Ignored>,
    priority: Option<Ignored>,
    priority_class_name: Option<Ignored>,
    readiness_gates: Option<Ignored>,
    resource_claims: Option<Ignored>,
    resources: Option<Ignored>,
    restart_policy: Option<Ignored>,
    runtime_class_name: Option<Ignored>,
    scheduler_name: Option<Ignored>,
    scheduling_gates: Option<Ignored>,
    scheduling_group: Option<Ignored>,
    security_context: Option<Ignored>,
    #[serde(rename = "setHostnameAsFQDN")]
    set_hostname_as_fqdn: Option<Ignored>,
    share_process_namespace: Option<Ignored>,
    subdomain: Option<Ignored>,
    termination_grace_period_seconds: Option<Ignored>,
    tolerations: Option<Ignored>,
    topology_spread_constraints: Option<Ignored>,
    volumes: Option<Ignored>,
    workload_ref: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawContainer {
    #[serde(default)]
    pub(super) ports: Vec<RawPort>,
    args: Option<Ignored>,
    command: Option<Ignored>,
    env: Option<Ignored>,
    env_from: Option<Ignored>,
    image: Option<Ignored>,
    image_pull_policy: Option<Ignored>,
    lifecycle: Option<Ignored>,
    liveness_probe: Option<Ignored>,
    name: Option<Ignored>,
    readiness_probe: Option<Ignored>,
    resize_policy: Option<Ignored>,
    resources: Option<Ignored>,
    restart_policy: Option<Ignored>,
    restart_policy_rules: Option<Ignored>,
    security_context: Option<Ignored>,
    startup_probe: Option<Ignored>,
    stdin: Option<Ignored>,
    stdin_once: Option<Ignored>,
    target_container_name: Option<Ignored>,
    termination_message_path: Option<Ignored>,
    termination_message_policy: Option<Ignored>,
    tty: Option<Ignored>,
    volume_devices: Option<Ignored>,
    volume_mounts: Option<Ignored>,
    working_dir: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPort {
    pub(super) container_port: Port,
    pub(super) protocol: Option<Protocol>,
    pub(super) name: Option<String>,
    #[serde(rename = "hostIP")]
    host_ip: Option<Ignored>,
    host_port: Option<Ignored>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawStatus {
    pub(super) phase: Option<Phase>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<Spanned<Ip>>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Vec<RawPodIp>,
    pub(super) conditions: Vec<RawCondition>,
    allocated_resources: Option<Ignored>,
    container_statuses: Option<Ignored>,
    ephemeral_container_statuses: Option<Ignored>,
    extended_resource_claim_status: Option<Ignored>,
    #[serde(rename = "hostIP")]
    host_ip: Option<Ignored>,
    #[serde(rename = "hostIPs")]
    host_ips: Option<Ignored>,
    init_container_statuses: Option<Ignored>,
    message: Option<Ignored>,
    nominated_node_name: Option<Ignored>,
    observed_generation: Option<Ignored>,
    qos_class: Option<Ignored>,
    reason: Option<Ignored>,
    resize: Option<Ignored>,
    resource_claim_statuses: Option<Ignored>,
    resources: Option<Ignored>,
    start_time: Option<Ignored>,
}

#[derive(Deserialize)]
pub(super) struct RawPodIp {
    pub(super) ip: Option<Spanned<Ip>>,
}

/// Something the kubelet found out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    last_probe_time: Option<Ignored>,
    last_transition_time: Option<Ignored>,
    message: Option<Ignored>,
    observed_generation: Option<Ignored>,
    reason: Option<Ignored>,
}

#[derive(Deserialize)]
pub(super) struct RawDnsConfig {
    #[serde(default)]
    pub(super) nameservers: Vec<Spanned<Ip>>,
    options: Option<Ignored>,
    searches: Option<Ignored>,
}
