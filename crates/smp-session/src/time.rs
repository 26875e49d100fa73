//! Time as the caller tells it.

/// A moment: milliseconds since an epoch of the caller's choosing, the same for all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// The moment `ms` milliseconds later.
    pub const fn after(self, ms: u32) -> Self {
        // Lossless widening; `From` is not const.
        Self(self.0.saturating_add(ms as u64))
    }

    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is later, and at most `u32::MAX`.
    pub fn since(self, earlier: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX)
    }
}
