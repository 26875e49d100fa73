//! Images and keys that cost next to nothing to make and to verify: the power-cut scenarios boot millions of times,
//! and what they look for does not depend on how strong a signature is.

use otaru_crypto::{BadSignature, Digest, KeyIndex, Scheme, TrustedKeys};
use otaru_image::tlv::{self, TlvType};
use otaru_image::{Flags, HEADER_LEN, Header, Version};

/// Four interleaved FNV-1a sums: every byte counts, nobody is kept out.
#[derive(Debug)]
pub(super) struct Sum {
    lanes: [u64; 4],
    len: usize,
}

impl Digest for Sum {
    fn new() -> Self {
        Self { lanes: [0xcbf2_9ce4_8422_2325, 0x8422_2325_cbf2_9ce4, 1, 2], len: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let lane = &mut self.lanes[self.len % 4];
            *lane = (*lane ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            self.len += 1;
        }
    }

    fn finish(self) -> [u8; 32] {
        let [a, b, c, d] = self.lanes;
        // Each lane reaches every byte of the result.
        let all = a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48) ^ self.len as u64;
        let mut out = [0; 32];
        for (out, lane) in out.chunks_mut(8).zip([a, b, c, d]) {
            out.copy_from_slice(&(lane.rotate_left(23) ^ all).to_le_bytes());
        }
        out
    }
}

/// One trusted key, whose signature of a digest is its first bytes turned over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys;

impl TrustedKeys for Keys {
    type Digest = Sum;

    fn find(&self, key_hash: &[u8]) -> Option<KeyIndex> {
        (key_hash == KEY_HASH).then_some(KeyIndex(0))
    }

    fn scheme(&self, key: KeyIndex) -> Option<Scheme> {
        (key == KeyIndex(0)).then_some(Scheme::EcdsaP256)
    }

    fn verify(&self, key: KeyIndex, digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
        if key == KeyIndex(0) && signature == sign(digest) { Ok(()) } else { Err(BadSignature) }
    }
}

/// An image of this version with so many bytes of payload, signed, from its header to the end of its TLVs.
pub(super) fn image(version: Version, payload: usize) -> Vec<u8> {
    let header = Header {
        load_address: 0,
        header_size: HEADER_LEN as u16,
        protected_size: 0,
        image_size: payload as u32,
        flags: Flags::NONE,
        version,
    };
    let mut image = header.emit().to_vec();
    let fill = (0..payload).map(|index| (index as u8).wrapping_mul(29) ^ version.minor.wrapping_mul(0x51) ^ 0xa6);
    image.extend(fill);
    let mut sum = Sum::new();
    sum.update(&image);
    let digest = sum.finish();
    let mut entries = Vec::new();
    for (kind, value) in
        [(TlvType::SHA256, &digest[..]), (TlvType::KEYHASH, &KEY_HASH), (TlvType::ECDSA_SIG, &sign(&digest))]
    {
        entries.extend(tlv::emit_entry(kind, value.len() as u16));
        entries.extend(value);
    }
    image.extend(tlv::emit_info(false, entries.len()).expect("three short entries fit an area"));
    image.extend(entries);
    image
}

fn sign(digest: &[u8; 32]) -> [u8; 8] {
    core::array::from_fn(|index| !digest[index])
}

const KEY_HASH: [u8; 32] = *b"a key that keeps nobody out.....";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_of_a_message_changes_its_sum() {
        let sum = |bytes: &[u8]| {
            let mut sum = Sum::new();
            sum.update(bytes);
            sum.finish()
        };
        let message = [7; 64];
        for index in 0..64 {
            for bit in 0..8 {
                let mut other = message;
                other[index] ^= 1 << bit;
                assert_ne!(sum(&other)[..8], sum(&message)[..8], "byte {index} bit {bit}");
            }
        }
        assert_ne!(sum(&[0; 4]), sum(&[0; 5]));
    }
}
