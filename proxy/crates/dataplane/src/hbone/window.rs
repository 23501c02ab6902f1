//! How much a link's peer may send beyond what is waiting here already.
//!
//! The window of a link is shared by its streams. A few whose applications do not read would use
//! it up, and the others would stand still with them: so the link's window grows by what is stuck,
//! within bounds. The window of each stream stays as it is, so a stuck one costs no more than that.
use super::settings::{LINK_WINDOW, STREAM_WINDOW};
use std::sync::atomic::{AtomicU32, Ordering};

/// By how much it grows: what one stuck stream takes.
const STEP: u32 = STREAM_WINDOW;

/// How many stuck streams a link bears without the others noticing, besides the first few.
const STEPS_MAX: u32 = 12;

/// The same for all links of the process together.
const ALL_STEPS_MAX: u32 = 64;

/// Steps that links have taken.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// The window of one link.
#[derive(Debug, Default)]
pub(super) struct Window {
    steps: u32,
}

impl Window {
    /// The size it is to have now that so many bytes wait; `None`: as it was.
    pub(super) fn adjust(&mut self, waiting: usize) -> Option<u32> {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let wanted = (waiting / STEP).min(STEPS_MAX);
        // One step is kept, so that it does not go up and down all the time.
        if wanted == self.steps || wanted + 1 == self.steps && wanted != 0 {
            return None;
        }
        if wanted < self.steps {
            TAKEN.fetch_sub(self.steps - wanted, Ordering::Relaxed);
        } else {
            let more = wanted - self.steps;
            if ALL_STEPS_MAX < TAKEN.fetch_add(more, Ordering::Relaxed) + more {
                TAKEN.fetch_sub(more, Ordering::Relaxed);
                return None;
            }
        }
        self.steps = wanted;
        Some(LINK_WINDOW + self.steps * STEP)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.steps, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_what_waits_within_bounds_and_shrinks_again() {
        let step = STEP as usize;
        let mut window = Window::default();
        assert_eq!(window.adjust(step - 1), None);
        assert_eq!(window.adjust(step), Some(LINK_WINDOW + STEP));
        assert_eq!(window.adjust(2 * step), Some(LINK_WINDOW + 2 * STEP));
        assert_eq!(window.adjust(step), None, "not at once");
        assert_eq!(window.adjust(0), Some(LINK_WINDOW));
        assert_eq!(window.adjust(100 * step), Some(LINK_WINDOW + STEPS_MAX * STEP));
    }
}
