//! What the plugins before this one made: the addresses of the pod. Pure.
use crate::failure::{Code, Failure};
use serde::Deserialize;
use std::net::IpAddr;

/// More addresses than this no pod has.
const MOST: usize = 64;

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    ips: Vec<RawIp>,
    #[serde(default)]
    interfaces: Vec<RawInterface>,
}

#[derive(Deserialize)]
struct RawIp {
    /// With the length of its prefix.
    address: String,
    /// Which of the interfaces has it.
    interface: Option<i64>,
}

#[derive(Deserialize)]
struct RawInterface {
    /// Empty for one of the host's.
    #[serde(default)]
    sandbox: String,
}

/// The addresses that the pod has, in their order.
///
/// # Errors
///
/// When `text` is no result of the specification, from 0.3.0 on.
pub fn addresses(text: &str) -> Result<Vec<IpAddr>, Failure> {
    let wrong = |why: String| {
        let what = "the result of the plugin before it in the CNI configuration is not understood";
        Failure::new(Code::Decoding, what, why)
    };
    let Raw { ips, interfaces } = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    let of_the_pod = |ip: &RawIp| {
        let at = ip.interface.and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| interfaces.get(at)).is_none_or(|interface| !interface.sandbox.is_empty())
    };
    let mut found: Vec<IpAddr> = Vec::new();
    for RawIp { address, .. } in ips.iter().filter(|ip| of_the_pod(ip)).take(MOST) {
        let ip = address.split_once('/').map_or(address.as_str(), |(ip, _)| ip);
        let ip: IpAddr = ip.parse().map_err(|error| wrong(format!("{address:?}: {error}")))?;
        if !found.contains(&ip.to_canonical()) {
            found.push(ip.to_canonical());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_the_host_are_not_the_pods() {
        let text = r#"{"cniVersion":"0.4.0",
            "interfaces":[{"name":"cni0","mac":"…"},{"name":"eth0","sandbox":"/run/netns/x"}],
            "ips":[{"version":"4","address":"10.0.0.1/24","interface":0},
                   {"version":"4","address":"10.0.0.2/24","gateway":"10.0.0.1","interface":1},
                   {"version":"6","address":"fd00::2/64","interface":1}],
            "routes":[{"dst":"0.0.0.0/0"}],"dns":{}}"#;
        assert_eq!(
            addresses(text).unwrap(),
            ["10.0.0.2", "fd00::2"].map(|ip| ip.parse::<IpAddr>().unwrap())
        );
        assert_eq!(addresses("{}"), Ok(vec![]));
    }

    #[test]
    fn an_address_that_is_none_is_said() {
        let failure = addresses(r#"{"ips":[{"address":"here"}]}"#).unwrap_err();
        assert_eq!(
            (failure.code, failure.details.as_str()),
            (Code::Decoding, "\"here\": invalid IP address syntax")
        );
    }

    proptest! {
        #[test]
        fn what_a_plugin_writes_is_read(ips in prop::collection::btree_set(any::<IpAddr>(), 0..8)) {
            let listed: Vec<_> = ips.iter().map(|ip| format!(r#"{{"address":"{ip}/24"}}"#)).collect();
            let text = format!(r#"{{"cniVersion":"1.0.0","ips":[{}]}}"#, listed.join(","));
            let mut expected: Vec<_> = Vec::new();
            for ip in ips.iter().map(IpAddr::to_canonical) {
                if !expected.contains(&ip) {
                    expected.push(ip);
                }
            }
            prop_assert_eq!(addresses(&text), Ok(expected));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            drop(addresses(&text));
        }
    }
}
