//! Text of bounded length that lives where it stands.

use core::fmt;

/// Up to `N` bytes of text, `N` at most 65535. What is written beyond is cut off at a character's boundary, and [`Text::is_cut`] says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: u16,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// No text.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0, cut: false }
    }

    /// The text of `value`.
    #[must_use]
    pub fn of(value: impl fmt::Display) -> Self {
        let mut text = Self::new();
        // Writing into a `Text` cannot fail; only `value` itself could, and then what it wrote so far stands.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{value}"));
        text
    }

    /// The text so far.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether more was written than there was room for.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.cut {
            return Ok(());
        }
        let start = usize::from(self.len);
        let taken = s.floor_char_boundary(N.saturating_sub(start));
        let end = start.saturating_add(taken);
        if let (Some(to), Some(from), Ok(len)) =
            (self.bytes.get_mut(start..end), s.as_bytes().get(..taken), u16::try_from(end))
        {
            to.copy_from_slice(from);
            self.len = len;
        }
        self.cut = taken < s.len();
        Ok(())
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
