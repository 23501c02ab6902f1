//! Pods that nobody announces any more. Pure: time is passed in.
use culvert_model::name::WorkloadUid;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// How long what is open may go on without anybody who says what may be.
///
/// Longer than the release of a pod that leaves takes: what that has open runs on, as it is let go
/// by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Since when each of them is.
#[derive(Debug, Default)]
pub(crate) struct Absent(HashMap<WorkloadUid, Over>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Its time is over then.
    At(Instant),
    /// That was told.
    Told,
}

impl Absent {
    /// Takes in who is not announced, and gives those whose time is over, each once.
    pub(crate) fn look<'u>(
        &mut self,
        absent: impl IntoIterator<Item = &'u WorkloadUid>,
        now: Instant,
    ) -> Vec<WorkloadUid> {
        let absent: HashSet<_> = absent.into_iter().collect();
        self.0.retain(|uid, _| absent.contains(uid));
        for uid in absent {
            self.0.entry(uid.clone()).or_insert(Over::At(now + PATIENCE));
        }
        let is_over = |over: &Over| matches!(over, Over::At(at) if *at <= now);
        let over = self.0.iter_mut().filter(|(_, over)| is_over(over));
        over.map(|(uid, over)| {
            *over = Over::Told;
            uid.clone()
        })
        .collect()
    }

    /// When somebody's time is over next.
    pub(crate) fn next(&self) -> Option<Instant> {
        let at = |over: &Over| match over {
            Over::At(at) => Some(*at),
            Over::Told => None,
        };
        self.0.values().filter_map(at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_in_time_is_never_told_of_and_who_does_not_is_once() {
        let [cart, stock] = ["cart", "stock"].map(WorkloadUid::new);
        let (mut absent, start) = (Absent::default(), Instant::now());
        assert!(absent.look([&cart, &stock], start).is_empty());
        let later = start + PATIENCE / 2;
        assert!(absent.look([&stock], later).is_empty());
        assert!(absent.look([&cart, &stock], later).is_empty());
        assert_eq!(absent.next(), Some(start + PATIENCE));
        let over = absent.look([&cart, &stock], start + PATIENCE);
        assert_eq!(over, std::slice::from_ref(&stock));
        assert_eq!(absent.next(), Some(later + PATIENCE));
        assert_eq!(absent.look([&cart, &stock], later + PATIENCE), [cart]);
        assert_eq!((absent.next(), absent.look([], later)), (None, vec![]));
        // Gone again after it was back: from the beginning.
        assert!(absent.look([&stock], later + PATIENCE).is_empty());
    }
}
