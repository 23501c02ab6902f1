//! What a link's peer may still send, all streams together.
use super::{
    settings::{FIRST_WINDOW, LINK_WINDOW},
    window::Window,
};

#[derive(Debug)]
pub(super) struct Credit {
    /// What it may still send.
    left: i64,
    /// What has left this process, or else may be sent in addition, and the peer was not told of.
    gone: i64,
    size: u32,
    window: Window,
}

impl Credit {
    /// That of a link whose peer has been told of the [`FIRST`](Self::FIRST) update.
    pub(super) fn new() -> Self {
        let size = LINK_WINDOW;
        Self { left: i64::from(size), gone: 0, size, window: Window::default() }
    }

    /// By how much the window is opened at first.
    pub(super) const FIRST: u32 = LINK_WINDOW - FIRST_WINDOW;

    /// So much came; `false`: more than might.
    pub(super) fn arrives(&mut self, bytes: usize) -> bool {
        self.left -= i64::try_from(bytes).unwrap_or(i64::MAX);
        0 <= self.left
    }

    /// So much has left; the update that is due.
    pub(super) fn leave(&mut self, bytes: usize) -> Option<u32> {
        self.gone += i64::try_from(bytes).unwrap_or(i64::MAX);
        self.due()
    }

    /// So much waits for applications; the update that is due.
    pub(super) fn adjust(&mut self, waiting: usize) -> Option<u32> {
        let size = self.window.adjust(waiting)?;
        self.gone += i64::from(size) - i64::from(self.size);
        self.size = size;
        self.due()
    }

    fn due(&mut self) -> Option<u32> {
        if self.gone < i64::from(LINK_WINDOW / 2) {
            return None;
        }
        let update = u32::try_from(self.gone).ok()?;
        self.left += self.gone;
        self.gone = 0;
        Some(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes, waits and leaves: a peer that keeps to its window is never wrong, and
        /// what it may have under way or waiting here is bounded.
        #[test]
        fn nobody_who_keeps_to_the_window_is_refused(
            steps in prop::collection::vec((0_u32..8 << 20, any::<bool>()), 1..200)
        ) {
            let mut credit = Credit::new();
            let (mut peer, mut waiting) = (u64::from(LINK_WINDOW), 0_u64);
            for (bytes, reads) in steps {
                let sent = u64::from(bytes).min(peer);
                peer -= sent;
                waiting += sent;
                prop_assert!(credit.arrives(usize::try_from(sent).unwrap()));
                let left = if reads { waiting.min(u64::from(bytes)) } else { 0 };
                waiting -= left;
                for update in [
                    credit.leave(usize::try_from(left).unwrap()),
                    credit.adjust(usize::try_from(waiting).unwrap()),
                ] {
                    peer += u64::from(update.unwrap_or(0));
                }
                prop_assert!(peer + waiting <= 80 << 20);
            }
            // Once all of it was read, half a window is open at least.
            peer += u64::from(credit.leave(usize::try_from(waiting).unwrap()).unwrap_or(0));
            peer += u64::from(credit.adjust(0).unwrap_or(0));
            prop_assert!(u64::from(LINK_WINDOW / 2) <= peer, "{}", peer);
        }
    }
}
