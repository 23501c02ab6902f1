//! What a workload is called: written down when somebody asks first.
//!
//! A node knows thousands of workloads, of which it meets few.
use crate::{member::Member, workload::Workload};
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

/// A member's [`Workload`], the same one each time.
pub struct Called {
    member: Arc<Member>,
    workload: OnceLock<Arc<Workload>>,
}

impl Called {
    pub(super) fn new(member: Arc<Member>) -> Self {
        Self { member, workload: OnceLock::new() }
    }

    fn as_it_is(member: Arc<Member>, workload: Arc<Workload>) -> Self {
        Self { member, workload: workload.into() }
    }

    /// What `member` is called: by the same value as before, when it is an equal one, for whoever
    /// holds that goes on holding it.
    pub(super) fn after(before: &Self, member: &Arc<Member>) -> Self {
        let same = before.workload.get().filter(|before| ***before == member.workload());
        match same {
            Some(same) => Self::as_it_is(Arc::clone(member), Arc::clone(same)),
            None => Self::new(Arc::clone(member)),
        }
    }
}

impl Deref for Called {
    type Target = Arc<Workload>;

    fn deref(&self) -> &Arc<Workload> {
        self.workload.get_or_init(|| Arc::new(self.member.workload()))
    }
}

impl PartialEq for Called {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Called {}

impl fmt::Debug for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
