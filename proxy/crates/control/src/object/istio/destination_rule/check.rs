//! What no single value of a `DestinationRule` shows.
use super::{
    DestinationRule,
    balancer::{Distribute, LoadBalancer, Locality},
    policy::TrafficPolicy,
    pool::{ConnectionPool, HttpPool, UpgradePolicy},
    tls::{ClientTls, ClientTlsMode},
};
use crate::{
    object::{meta::Meta, spanned::Spanned},
    problem::{Mark, Problem},
};
use std::collections::HashMap;

/// What is wrong with `rule` goes to `problems`.
pub(super) fn rule(rule: &DestinationRule, problems: &mut Vec<Problem>) {
    let mut check = Check { meta: &rule.meta, problems };
    let mut names = HashMap::new();
    for Spanned { value: subset, at: _ } in &rule.subsets {
        let name = &subset.name;
        if let Some(first) = names.insert(&name.value, name.at) {
            let told =
                format!("subset `{}` is there already (line {})", name.value.as_str(), first.line);
            let problem = rule.meta.at(name.at).error(told);
            check.problems.push(problem.with_fix("give it another name"));
        }
        if let Some(policy) = &subset.policy {
            check.policy(policy);
        }
    }
    if let Some(policy) = &rule.policy {
        check.policy(policy);
    }
}

struct Check<'a> {
    meta: &'a Meta,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, at: Mark, message: &str, fix: &str) {
        self.problems.push(self.meta.at(at).error(message).with_fix(fix));
    }

    fn policy(&mut self, policy: &Spanned<TrafficPolicy>) {
        let Spanned { value: policy, at } = policy;
        if *policy == TrafficPolicy::default() {
            let fix =
                "leave it out, or write loadBalancer, connectionPool, outlierDetection or tls";
            self.wrong(*at, "trafficPolicy says nothing", fix);
        }
        self.parts(&policy.load_balancer, &policy.connection_pool, &policy.tls);
        let mut ports = HashMap::new();
        for Spanned { value: own, at: _ } in &policy.port_level_settings {
            self.parts(&own.load_balancer, &own.connection_pool, &own.tls);
            let port = own.port();
            if let Some(first) = ports.insert(port.value, port.at) {
                let (first, port_no) = (first.line, port.value);
                let told = format!("port {port_no} is there already (line {first})");
                let problem = self.meta.at(port.at).error(told);
                self.problems.push(problem.with_fix("write one of the two"));
            }
        }
    }

    fn parts(
        &mut self,
        balancer: &Option<Spanned<LoadBalancer>>,
        pool: &Option<Spanned<ConnectionPool>>,
        tls: &Option<Spanned<ClientTls>>,
    ) {
        if let Some(balancer) = balancer {
            self.balancer(balancer);
        }
        if let Some(pool) = pool {
            self.pool(pool);
        }
        if let Some(tls) = tls {
            self.tls(tls);
        }
    }

    fn balancer(&mut self, balancer: &Spanned<LoadBalancer>) {
        let Spanned { value: balancer, at } = balancer;
        if balancer.simple.is_some() && balancer.consistent_hash.is_some() {
            let message = "only one of simple and consistentHash can be set";
            self.wrong(*at, message, "keep one of them");
        }
        if let (Some(old), Some(_)) = (&balancer.warmup_duration_secs, &balancer.warmup) {
            let message = "only one of warmup and warmupDurationSecs can be set";
            self.wrong(old.at, message, "keep warmup");
        }
        if let (Some(zones), Some(_)) =
            (&balancer.zone_aware_lb_setting, &balancer.locality_lb_setting)
        {
            let message = "only one of localityLbSetting and zoneAwareLbSetting can be set";
            self.wrong(zones.at, message, "keep one of them");
        }
        if let Some(locality) = &balancer.locality_lb_setting {
            self.locality(locality);
        }
    }

    fn locality(&mut self, locality: &Spanned<Locality>) {
        let Spanned { value: Locality { distribute, failover, failover_priority, .. }, at } =
            locality;
        let fails_over = !failover.is_empty() || !failover_priority.is_empty();
        if fails_over && !distribute.is_empty() {
            let message = "distribute cannot be set with failover or failoverPriority";
            self.wrong(*at, message, "keep one of them");
        }
        for Spanned { value: Distribute { from, to }, at } in distribute {
            if from.is_empty() || to.is_empty() {
                self.wrong(*at, "distribute needs from and to", "write both");
                continue;
            }
            let sum = to.values().try_fold(0_u32, |sum, one| sum.checked_add(*one));
            if sum != Some(100) {
                let problem = self.meta.at(*at).error("the weights of `to` do not sum up to 100");
                self.problems.push(problem.with_fix("write parts of 100"));
            }
            if to.values().any(|weight| *weight == 0) {
                self.wrong(*at, "a weight of `to` is 0", "leave that place out");
            }
        }
        for Spanned { value: one, at } in failover {
            if one.from == one.to {
                self.wrong(*at, "a place that fails over to itself", "write another one in `to`");
            }
        }
    }

    fn pool(&mut self, pool: &Spanned<ConnectionPool>) {
        let Spanned { value: pool, at } = pool;
        if pool.tcp.is_none() && pool.http.is_none() {
            self.wrong(*at, "connectionPool says nothing", "write tcp or http");
        }
        if let Some(HttpPool {
            h2_upgrade_policy: UpgradePolicy::Upgrade,
            use_client_protocol: true,
            ..
        }) = pool.http
        {
            let message = "useClientProtocol cannot be set with h2UpgradePolicy: UPGRADE";
            self.wrong(*at, message, "keep one of them");
        }
    }

    fn tls(&mut self, tls: &Spanned<ClientTls>) {
        let Spanned { value: tls, at } = tls;
        let files = [&tls.client_certificate, &tls.private_key, &tls.ca_certificates];
        let file = files.into_iter().flatten().next();
        match (tls.mode, &tls.credential_name, file) {
            (ClientTlsMode::Mutual, None, _)
                if tls.client_certificate.is_none() || tls.private_key.is_none() =>
            {
                let fix = "write credentialName, or clientCertificate and privateKey";
                self.wrong(*at, "mode MUTUAL needs a certificate of the client", fix);
            }
            (ClientTlsMode::Simple | ClientTlsMode::Mutual, Some(name), Some(_)) => {
                let message = "only one of credentialName and files can be set";
                self.wrong(name.at, message, "keep one of them");
            }
            (ClientTlsMode::IstioMutual, Some(Spanned { at, .. }), _)
            | (ClientTlsMode::IstioMutual, None, Some(Spanned { at, .. })) => {
                let message = "mode ISTIO_MUTUAL uses the certificates of the mesh";
                self.wrong(*at, message, "leave it out, or write mode: MUTUAL");
            }
            (_, _, _) => {}
        }
    }
}
