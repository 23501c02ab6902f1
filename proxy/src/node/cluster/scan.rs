//! The looks around for pods that nobody handed over. Pure.
use super::LOOK;
use culvert_cni::running::Sought;
use std::time::{Duration, Instant};

/// How often at least to look around for somebody who was not found.
const RARELY: Duration = Duration::from_secs(30);

/// The looks around for pods that nobody handed over: less and less often where they lead nowhere.
#[derive(Debug, Default)]
pub(super) struct Scan {
    runs: bool,
    pub(super) sought: Vec<Sought>,
    pause: Duration,
    next: Option<Instant>,
}

impl Scan {
    /// Whether it is time for one.
    pub(super) fn begins(&mut self, sought: &[Sought], now: Instant) -> bool {
        let same = self.sought == sought;
        if self.runs || sought.is_empty() || (same && self.next.is_some_and(|next| now < next)) {
            return false;
        }
        if !same {
            (self.pause, self.sought) = (Duration::ZERO, sought.to_vec());
        }
        self.runs = true;
        true
    }

    pub(super) fn end(&mut self, in_vain: bool, now: Instant) {
        self.runs = false;
        self.pause = if in_vain { (2 * self.pause).clamp(LOOK, RARELY) } else { Duration::ZERO };
        self.next = Some(now + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_found_is_looked_for_less_and_less_often() {
        let sought = |uid: &str| vec![Sought { uid: uid.to_owned(), ips: Vec::new() }];
        let (mut scan, start) = (Scan::default(), Instant::now());
        assert!(!scan.begins(&[], start) && scan.begins(&sought("a"), start));
        assert!(!scan.begins(&sought("a"), start), "one at a time");
        scan.end(true, start);
        assert!(!scan.begins(&sought("a"), start) && scan.begins(&sought("a"), start + LOOK));
        for _ in 0..9 {
            scan.end(true, start);
        }
        assert!(!scan.begins(&sought("a"), start + RARELY / 2));
        assert!(scan.begins(&[sought("a"), sought("b")].concat(), start), "somebody new");
    }
}
