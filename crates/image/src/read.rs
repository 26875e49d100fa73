//! Where an image's bytes come from.

/// A source of bytes that start with an image: a slot of a flash device, a file, a buffer.
pub trait ReadAt {
    /// Why bytes could not be read.
    type Error;

    /// Fills `out` from `offset` bytes after the start of the image.
    ///
    /// # Errors
    /// The source's own, or a range outside it.
    fn read_at(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Self::Error>;
}

impl<R: ReadAt> ReadAt for &mut R {
    type Error = R::Error;

    fn read_at(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read_at(offset, out)
    }
}

impl ReadAt for &[u8] {
    type Error = OutOfRange;

    fn read_at(&mut self, offset: u32, out: &mut [u8]) -> Result<(), OutOfRange> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(out.len())?))
            .ok_or(OutOfRange { offset, len: out.len(), size: self.len() })?;
        out.copy_from_slice(bytes);
        Ok(())
    }
}

/// A read past the end of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at offset {offset:#x} are not in a buffer of {size} bytes")]
pub struct OutOfRange {
    /// First byte asked for.
    pub offset: u32,
    /// Bytes asked for.
    pub len: usize,
    /// Bytes there are.
    pub size: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_buffer_is_read_to_its_last_byte_and_no_further() {
        let mut source: &[u8] = &[1, 2, 3, 4];
        let mut out = [0xa5; 2];
        assert_eq!(source.read_at(2, &mut out), Ok(()));
        assert_eq!(out, [3, 4]);
        let refused = source.read_at(3, &mut out).unwrap_err();
        insta::assert_snapshot!(refused.to_string(), @"2 bytes at offset 0x3 are not in a buffer of 4 bytes");
        assert!(source.read_at(u32::MAX, &mut out).is_err());
        assert_eq!(source.read_at(4, &mut []), Ok(()));
    }
}
