//! How many handshakes a pod's tunnels may have under way.
//!
//! One costs a descriptor and some 50 KB, and a client that is in no hurry holds it until it is
//! given up. Bounded per pod, so that the clients of one take nothing from the others, and per
//! client, so that one takes nothing from the rest.
use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Per pod.
const POD: usize = 512;

/// Per client of a pod.
const CLIENT: u32 = 64;

/// The handshakes of one pod.
#[derive(Debug, Default)]
pub(crate) struct Handshakes(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    all: usize,
    of: HashMap<IpAddr, u32>,
}

/// The right to one handshake; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    handshakes: Arc<Handshakes>,
    client: IpAddr,
}

/// Why there may not be one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Crowded {
    #[error("{POD} TLS handshakes with the pod are under way, as many as there may be")]
    Pod,
    #[error("{CLIENT} TLS handshakes of {0} are under way, as many as one client may have")]
    Client(IpAddr),
}

impl Handshakes {
    /// Takes a place for `client`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr) -> Result<Place, Crowded> {
        let mut under_way = self.0.lock();
        if POD <= under_way.all {
            return Err(Crowded::Pod);
        }
        let of = under_way.of.entry(client).or_default();
        if CLIENT <= *of {
            return Err(Crowded::Client(client));
        }
        *of += 1;
        under_way.all += 1;
        drop(under_way);
        Ok(Place { handshakes: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.handshakes.0.lock();
        under_way.all -= 1;
        if let Some(of) = under_way.of.get_mut(&self.client) {
            *of -= 1;
            if *of == 0 {
                under_way.of.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn client(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into()
    }

    #[test]
    fn one_client_at_its_bound_does_not_keep_another_out() {
        let handshakes = Arc::new(Handshakes::default());
        let one: Vec<_> = (0..CLIENT).map(|_| handshakes.enter(client(1)).unwrap()).collect();
        assert_eq!(handshakes.enter(client(1)).unwrap_err(), Crowded::Client(client(1)));
        let other = handshakes.enter(client(2)).unwrap();
        drop(one);
        drop((handshakes.enter(client(1)).unwrap(), other));
        let under_way = handshakes.0.lock();
        assert!(under_way.all == 0 && under_way.of.is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn there_is_a_bound_for_all() {
        let handshakes = Arc::new(Handshakes::default());
        let all: Vec<_> = (0..POD).map(|at| handshakes.enter(client(at)).unwrap()).collect();
        assert_eq!(handshakes.enter(client(POD)).unwrap_err(), Crowded::Pod);
        drop(all);
        assert!(handshakes.enter(client(POD)).is_ok());
    }
}
