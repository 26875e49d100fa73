//! What a command may ask about the peer it works for.

use crate::Failure;
use otaru_policy::{Action, Link, Policy, Refusal};
use otaru_smp::Rc;

/// The policy, and the link of the request that is being answered.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    policy: &'a Policy,
    link: &'a Link,
}

impl<'a> Gate<'a> {
    /// The gate for requests over `link`.
    #[must_use]
    pub const fn new(policy: &'a Policy, link: &'a Link) -> Self {
        Self { policy, link }
    }

    /// Whether the request may do `action`.
    ///
    /// # Errors
    /// The policy's refusal, in words.
    pub fn decide(&self, action: Action) -> Result<(), Refusal> {
        self.policy.decide(action, self.link)
    }

    /// As [`decide`](Self::decide); a refusal becomes rc 11 with the policy's words.
    pub(crate) fn ask(&self, action: Action) -> Result<(), Failure> {
        self.decide(action).map_err(|refusal| Failure::new(Rc::ACCESS_DENIED).because(refusal))
    }

    /// The connection that the request came over, where its transport has connections.
    #[must_use]
    pub const fn connection(&self) -> Option<u32> {
        self.link.connection
    }
}
