//! From a setting's text to its value; an error is the part after the setting's name.
use culvert_control::compile::Ambient;
use culvert_model::pod::Exclusion;
use culvert_telemetry::{
    access::AccessFormat,
    log::{self, LogFormat},
};
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
    time::Duration,
};

/// How many ports the kernel's table of exclusions holds for one network.
const EXCLUDE_PORTS: usize = culvert_common::pod::EXCLUDE_PORTS;

/// A share of something, in whole percent from 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) u8);

pub(super) fn instance(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 40 || !text.chars().all(good) {
        return Err(format!("{text:?} is not 1 to 40 lower-case letters, digits and dashes"));
    }
    Ok(text.to_owned())
}

/// A name that ends up in labels and paths of others: not empty, no blanks, no slash.
pub(super) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > 253 {
        return Err("is longer than 253 bytes".to_owned());
    }
    if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '/') {
        return Err(format!("{text:?} contains {bad:?}"));
    }
    Ok(text.to_owned())
}

pub(super) fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_form| format!("{text:?} is not a whole number"))
}

pub(super) fn name_or_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { name(text) }
}

pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_form| format!("{text:?} is not an IP address"))
}

/// A relative path is one from here.
/// A context of a kubeconfig: people write slashes and colons into them.
pub(super) fn context(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| format!("{text:?} is no path: {error}"))
}

/// As SPIFFE has it (SPIFFE ID §2.1): what other meshes could not verify is refused here.
pub(super) fn trust_domain(text: &str) -> Result<String, String> {
    let name = name(text)?;
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    match name.chars().find(|c| !good(*c)) {
        Some(bad) => Err(format!(
            "{text:?} contains {bad:?}; want lower-case letters, digits, dots, dashes and underscores"
        )),
        None => Ok(name),
    }
}

pub(super) fn absolute_path(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') {
        Ok(text.into())
    } else {
        Err(format!("{text:?} is not an absolute path"))
    }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

pub(super) fn ambient(text: &str) -> Result<Ambient, String> {
    text.parse()
}

pub(super) fn workers(text: &str) -> Result<NonZeroU16, String> {
    let count = count(text, 1, 1024)?;
    u16::try_from(count).ok().and_then(NonZeroU16::new).ok_or_else(|| "is out of range".to_owned())
}

/// A whole number from `least` to `most`.
pub(super) fn count(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number: u32 = text.parse().map_err(|_not_a_number| {
        format!("{text:?} is not a whole number from {least} to {most}")
    })?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{number} is not from {least} to {most}"))
    }
}

pub(super) fn percent(text: &str) -> Result<Percent, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    match number.parse() {
        Ok(percent @ 1..=100) => Ok(Percent(percent)),
        Ok(_) | Err(_) => Err(format!("{text:?} is not a percentage from 1% to 100%")),
    }
}

/// A whole number with a unit, not zero, at most a year.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.strip_prefix(digits) {
        Some("ms") => 1,
        Some("s") => 1000,
        Some("m") => 60 * 1000,
        Some("h") => 60 * 60 * 1000,
        _ => 0,
    };
    let number: Option<u64> = digits.parse().ok().filter(|_| unit != 0);
    let Some(number) = number else {
        return Err(format!(
            "{text:?} is not a whole number with a unit, such as 250ms, 10s or 5m"
        ));
    };
    let millis = number.saturating_mul(unit);
    if millis == 0 {
        return Err(format!("{text} is no time; the shortest is 1ms"));
    }
    if millis > 366 * 24 * 60 * 60 * 1000 {
        return Err(format!("{text} is longer than a year"));
    }
    Ok(Duration::from_millis(millis))
}

pub(super) fn duration_or_off(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    duration(text).map(Some).map_err(|wrong| format!("{wrong}; or off"))
}

/// The sizes that a copy buffer grows through.
pub(super) fn buffer(text: &str) -> Result<usize, String> {
    match text {
        "8KiB" => Ok(8 << 10),
        "64KiB" => Ok(64 << 10),
        "256KiB" => Ok(256 << 10),
        "1MiB" => Ok(1 << 20),
        _ => Err(format!("{text:?} is none of 8KiB, 64KiB, 256KiB, 1MiB")),
    }
}

pub(super) fn directives(text: &str) -> Result<String, String> {
    match log::check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn access_log(text: &str) -> Result<AccessFormat, String> {
    match text {
        "json" => Ok(AccessFormat::Json),
        "text" => Ok(AccessFormat::Text),
        "off" => Ok(AccessFormat::Off),
        _ => Err(format!("{text:?} is none of json, text, off")),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(format!("{text:?} is neither json nor text")),
    }
}

pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let address: SocketAddr = text.parse().map_err(|_not_an_address| {
        format!(
            "{text:?} is not an address with a port, such as 127.0.0.1:15000 or [::1]:15000; or off"
        )
    })?;
    if address.port() == 0 {
        return Err(format!("{text} has no port"));
    }
    Ok(Some(address))
}

pub(super) fn loopback_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    match address_or_off(text)? {
        Some(address) if !address.ip().is_loopback() => {
            Err(format!("{address} is not a loopback address; admin asks nobody who they are"))
        }
        address => Ok(address),
    }
}

/// `10.0.0.0/8`, `10.1.2.3:5432,6379`, `[fd00::1]:443`, `fd00::/64:443`.
pub(super) fn exclusion(text: &str) -> Result<Exclusion, String> {
    let (network, ports) = split_ports(text);
    let network = network.trim_start_matches('[').trim_end_matches(']');
    let network: IpNet = network
        .parse::<IpNet>()
        .ok()
        .or_else(|| network.parse::<IpAddr>().ok().map(IpNet::from))
        .ok_or_else(|| {
            format!("{text:?} is not an address or network with ports, such as 10.0.0.0/8 or 10.1.2.3:5432,6379")
        })?;
    if network.addr() != network.network() {
        // Rounded down it would leave out far more than the one who wrote it may have meant.
        return Err(format!(
            "{text:?} has more address than its prefix; write {} or {}",
            network.trunc(),
            IpNet::from(network.addr())
        ));
    }
    let ports = ports.map_or(Ok(Vec::new()), |ports| {
        ports
            .split(',')
            .map(|port| match port.trim().parse() {
                Ok(0) | Err(_) => Err(format!("{port:?} in {text:?} is not a port")),
                Ok(port) => Ok(port),
            })
            .collect::<Result<Vec<u16>, _>>()
    })?;
    if ports.len() > EXCLUDE_PORTS {
        return Err(format!("{text:?} names {} ports; at most {EXCLUDE_PORTS}", ports.len()));
    }
    Ok(Exclusion { network, ports })
}

/// Cuts the ports off: after the colon that follows the prefix length, the bracket, or, for IPv4,
/// the address.
fn split_ports(text: &str) -> (&str, Option<&str>) {
    let from = text.find(['/', ']']).unwrap_or_else(|| {
        // A bare IPv6 address has more than one colon and no ports.
        if text.matches(':').count() > 1 { text.len() } else { 0 }
    });
    let (head, tail) = text.split_at(from);
    match tail.split_once(':') {
        Some((rest, ports)) => {
            let end = head.len() + rest.len();
            (text.get(..end).unwrap_or(text), Some(ports))
        }
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn excludes(text: &str, network: &str, ports: &[u16]) {
        let exclusion = exclusion(text).unwrap();
        assert_eq!((exclusion.network.to_string().as_str(), &*exclusion.ports), (network, ports));
    }

    #[test]
    fn reads_exclusions_of_both_families_with_and_without_ports() {
        excludes("10.0.0.0/8", "10.0.0.0/8", &[]);
        excludes("10.1.2.3", "10.1.2.3/32", &[]);
        excludes("10.1.2.3:5432,6379", "10.1.2.3/32", &[5432, 6379]);
        excludes("10.0.0.0/8:80", "10.0.0.0/8", &[80]);
        excludes("fd00::1", "fd00::1/128", &[]);
        excludes("[fd00::1]:443", "fd00::1/128", &[443]);
        excludes("fd00::/64:443", "fd00::/64", &[443]);
    }

    #[test]
    fn refuses_exclusions_that_would_mean_something_else() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.1.0.0/8",
            "fd00::1/64:443",
            "10.0.0.0/8:",
            "10.0.0.1:0",
            "10.0.0.1:80,",
            "host:80",
            "10.0.0.1:1,2,3,4,5,6,7,8,9",
        ] {
            assert!(exclusion(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_durations_with_a_unit_only() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "10", "s", "0s", "1.5s", "-1s", "99999999h", "10 s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration_or_off("off"), Ok(None));
        assert_eq!(duration("0s"), Err("0s is no time; the shortest is 1ms".to_owned()));
    }

    #[test]
    fn a_trust_domain_is_one_that_spiffe_knows() {
        assert!(trust_domain("prod.example-1.org").is_ok());
        for text in ["", "A", "a/b", "a b", "td:1", "ä"] {
            assert!(trust_domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn admin_is_loopback_only() {
        assert!(loopback_or_off("0.0.0.0:15000").is_err());
        assert!(loopback_or_off("[::1]:15000").is_ok());
        assert_eq!(loopback_or_off("off"), Ok(None));
    }
}
