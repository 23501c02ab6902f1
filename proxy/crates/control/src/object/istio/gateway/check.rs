//! What no single value of a `Gateway` shows.
use super::{
    Gateway, Protocol, Server,
    tls::{ServerTls, ServerTlsMode},
};
use crate::{
    object::{meta::Meta, spanned::Spanned},
    problem::{Mark, Problem},
};
use std::{collections::HashMap, net::IpAddr};

/// What is wrong with `gateway` goes to `problems`.
pub(super) fn gateway(gateway: &Gateway, problems: &mut Vec<Problem>) {
    let mut check = Check { meta: &gateway.meta, problems };
    if gateway.servers.is_empty() {
        let problem = gateway.meta.named().error("a gateway without servers listens nowhere");
        check.problems.push(problem.with_fix("write servers"));
    }
    let mut names = HashMap::new();
    for Spanned { value: server, at } in &gateway.servers {
        if let Some(name) = server.name.as_ref().filter(|name| !name.value.is_empty())
            && let Some(first) = names.insert(&name.value, name.at)
        {
            let told = format!("server `{}` is there already (line {})", name.value, first.line);
            let problem = gateway.meta.at(name.at).error(told);
            check.problems.push(problem.with_fix("give it another name"));
        }
        check.server(server, *at);
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

    fn server(&mut self, server: &Server, at: Mark) {
        let Server { name: _, port, bind, hosts, tls, default_endpoint } = server;
        if hosts.value.is_empty() {
            self.wrong(hosts.at, "hosts is empty", "write a host, or `*`");
        }
        if port.value.name.value.is_empty() {
            self.wrong(
                port.value.name.at,
                "the port has no name",
                "write name: https, or the like",
            );
        }
        if let Some(bind) = bind.as_ref().filter(|bind| !bind.value.is_empty()) {
            let is_socket = bind.value.starts_with("unix://");
            if !is_socket && bind.value.parse::<IpAddr>().is_err() {
                let problem = format!("`{}` is no IP address", bind.value);
                let problem = self.meta.at(bind.at).error(problem);
                self.problems.push(problem.with_fix("leave bind out to listen on every address"));
            }
        }
        if let Some(endpoint) = default_endpoint {
            let fix = "lead requests by a VirtualService";
            self.wrong(endpoint.at, "defaultEndpoint is not supported", fix);
        }
        let protocol = port.value.protocol;
        match tls {
            None if protocol.is_tls() => {
                let name = if protocol == Protocol::Https { "HTTPS" } else { "TLS" };
                let problem = self.meta.at(at).error(format!("a server for {name} needs tls"));
                let fix = "write tls: {mode: SIMPLE, credentialName: ...}, or mode: PASSTHROUGH";
                self.problems.push(problem.with_fix(fix));
            }
            None => {}
            Some(tls) if protocol.is_http() && tls.value != redirect_only(&tls.value) => {
                let message = "a server for HTTP knows no tls but httpsRedirect";
                self.wrong(tls.at, message, "write protocol: HTTPS, or httpsRedirect: true alone");
            }
            Some(_) if protocol.is_http() => {}
            Some(tls) if !protocol.is_tls() => {
                let message = "tls goes with protocol HTTPS and TLS only";
                self.wrong(tls.at, message, "write protocol: TLS, or leave tls out");
            }
            Some(tls) => {
                if tls.value.https_redirect {
                    let message = "httpsRedirect is for servers for HTTP";
                    self.wrong(tls.at, message, "leave it out");
                }
                self.tls(tls);
            }
        }
    }

    fn tls(&mut self, tls: &Spanned<ServerTls>) {
        let Spanned { value: tls, at } = tls;
        self.one_of(tls, *at);
        let from_secret = tls.credential_name.is_some() || tls.credential_names.is_some();
        let own = tls.server_certificate.is_some() && tls.private_key.is_some();
        let has_certificate = from_secret || own || tls.tls_certificates.is_some();
        match tls.mode() {
            mode @ (ServerTlsMode::Simple
            | ServerTlsMode::Mutual
            | ServerTlsMode::OptionalMutual) => {
                if !has_certificate {
                    let fix = "write credentialName, or serverCertificate and privateKey";
                    self.wrong(*at, "a certificate is needed", fix);
                }
                let has_trust = tls.ca_certificates.is_some()
                    || tls.ca_cert_credential_name.is_some()
                    || from_secret;
                let files = tls.tls_certificates.iter().flat_map(|all| &all.value.0);
                let has_trust = has_trust || files.clone().any(|one| one.ca_certificates.is_some());
                if mode != ServerTlsMode::Simple && !has_trust {
                    let message = "nothing says whose certificates clients may show";
                    self.wrong(*at, message, "write credentialName, or caCertificates");
                }
                for one in files {
                    if one.server_certificate.is_none() || one.private_key.is_none() {
                        let message =
                            "tlsCertificates: each needs serverCertificate and privateKey";
                        self.wrong(*at, message, "write both");
                    }
                }
            }
            ServerTlsMode::IstioMutual if has_certificate || tls.ca_certificates.is_some() => {
                let message = "mode ISTIO_MUTUAL uses the certificates of the mesh";
                self.wrong(*at, message, "leave others out, or write mode: MUTUAL");
            }
            ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough if has_certificate => {
                let message = "TLS that is passed on needs no certificate here";
                self.wrong(*at, message, "write mode: SIMPLE, or leave it out");
            }
            ServerTlsMode::IstioMutual
            | ServerTlsMode::Passthrough
            | ServerTlsMode::AutoPassthrough => {}
        }
        if let (Some(min), Some(max)) = (&tls.min_protocol_version, &tls.max_protocol_version)
            && min.value > max.value
        {
            let message = "minProtocolVersion is above maxProtocolVersion";
            self.wrong(*at, message, "exchange them");
        }
    }

    fn one_of(&mut self, tls: &ServerTls, at: Mark) {
        let said = [
            ("credentialName", tls.credential_name.is_some()),
            ("credentialNames", tls.credential_names.is_some()),
            ("tlsCertificates", tls.tls_certificates.is_some()),
        ];
        let said: Vec<_> = said.into_iter().filter(|(_, is_set)| *is_set).collect();
        if let [(first, _), (second, _), ..] = said[..] {
            let problem = format!("only one of {first} and {second} can be set");
            self.problems.push(self.meta.at(at).error(problem).with_fix("keep one of them"));
        }
    }
}

fn redirect_only(tls: &ServerTls) -> ServerTls {
    let (https_redirect, mode) = (tls.https_redirect, tls.mode.clone());
    // Written by many, and meant by none.
    let mode = mode.filter(|mode| mode.value == ServerTlsMode::Passthrough);
    ServerTls { https_redirect, mode, ..ServerTls::default() }
}
