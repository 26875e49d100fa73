//! CBOR as SMP uses it: one map per body, text keys, borrowed strings, nothing allocated, nothing recursive.
//!
//! Reading accepts definite and indefinite maps and lists, keys in any order, and skips what it does not know. It
//! refuses a known key with a value of the wrong type, a known key given twice, negative numbers where a count is
//! meant, keys that are no text, and strings sent in chunks (they cannot be borrowed, and nobody sends them).
//! Bytes after the map are ignored, as servers do. Writing uses definite maps and lists, and the shortest number form.

mod list;
mod reader;
mod writer;

pub use list::{List, ListIter};
pub use reader::{DecodeError, Expected};
pub use writer::EncodeError;

pub(crate) use list::Item;
pub(crate) use reader::{Reader, once};
pub(crate) use writer::Writer;

/// Bytes of a CBOR item's head (type and argument), for argument `n` in its shortest form.
pub(crate) const fn head_size(n: usize) -> usize {
    match n {
        0..=0x17 => 1,
        0x18..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests;
