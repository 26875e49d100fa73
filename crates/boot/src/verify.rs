//! The one check of an image, for loader and application alike.

use otaru_crypto::{Digest, KeyIndex, Scheme, TrustedKeys};
use otaru_flash::{FlashAddr, ReadFlash};
use otaru_image::tlv::{Entry, TlvError, TlvType, Walk};
use otaru_image::{HEADER_LEN, Header, MAGIC, ReadAt, Version};
use otaru_layout::{Layout, Slot};

use crate::error::HashStart;
use crate::{FlashError, Options, Rejection, VerifyError, trailer};

/// An image that was verified, and where it is. Only [`verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an image was verified to be booted or asked for"]
pub struct VerifiedImage {
    slot: Slot,
    address: FlashAddr,
    header: Header,
    size: u32,
    hash: [u8; 32],
    key: KeyIndex,
}

impl VerifiedImage {
    /// The slot it is in.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Where it begins, with its header. The vector table follows the header.
    #[must_use]
    pub const fn address(&self) -> FlashAddr {
        self.address
    }

    /// Its header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.header.version
    }

    /// From its header to the end of its TLVs, in bytes.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The SHA-256 of header, payload and protected TLVs: what MCUmgr calls the hash of an image.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The key that it is signed by.
    #[must_use]
    pub const fn key(&self) -> KeyIndex {
        self.key
    }
}

/// Verifies the image in a slot: header, size, TLV areas, hash and signature. MCUboot: `bootutil_img_validate`.
///
/// Stricter than MCUboot in two points: a key hash must have its whole length, and a TLV must lie in its own area.
///
/// # Errors
/// A [`Rejection`] by the first check that fails; [`VerifyError::Flash`] if the slot cannot be read.
pub fn verify<F: ReadFlash, K: TrustedKeys>(
    flash: &mut F,
    layout: &Layout,
    slot: Slot,
    keys: &K,
    options: &Options,
) -> Result<VerifiedImage, VerifyError<F::Error>> {
    let Some(address) = layout.address(slot, 0) else { return Err(Rejection::Empty.into()) };
    let mut reader = SlotReader { flash, layout, slot };
    let header = read_header(&mut reader)?;
    check_flags(&header)?;
    let max = layout.max_image_size();
    let signed = header.signed_size().unwrap_or(u32::MAX);
    if signed > max {
        return Err(Rejection::TooLarge { size: signed, max }.into());
    }
    let mut walk = Walk::new(&mut reader, &header, layout.area(slot).len).map_err(told_apart)?;
    let size = walk.end();
    if size > max {
        return Err(Rejection::TooLarge { size, max }.into());
    }
    let mut findings = Findings::default();
    while let Some(entry) = walk.next_entry().map_err(told_apart)? {
        findings.take(&mut walk, &entry, keys, options)?;
    }
    let hash = digest::<_, K::Digest>(&mut reader, signed)?;
    let key = findings.judge(&hash, keys)?;
    Ok(VerifiedImage { slot, address, header, size, hash, key })
}

/// Reads and checks the header of a slot.
pub(crate) fn read_header<F: ReadFlash>(reader: &mut SlotReader<'_, F>) -> Result<Header, VerifyError<F::Error>> {
    let mut raw = [0; HEADER_LEN];
    reader.read_at(0, &mut raw)?;
    let erased = reader.layout.erased(reader.slot);
    let (magic, _) = raw.split_at(MAGIC.to_le_bytes().len());
    if magic.iter().all(|&byte| byte == erased) {
        return Err(Rejection::Empty.into());
    }
    Ok(Header::parse(&raw).map_err(Rejection::Header)?)
}

fn check_flags(header: &Header) -> Result<(), Rejection> {
    let flags = header.flags;
    if flags.encrypted() || flags.compressed() {
        return Err(Rejection::Unsupported { flags });
    }
    if flags.contains(otaru_image::Flags::NON_BOOTABLE) {
        return Err(Rejection::NotBootable);
    }
    Ok(())
}

fn digest<R: ReadAt, D: Digest>(reader: &mut R, signed: u32) -> Result<[u8; 32], R::Error> {
    let mut digest = D::new();
    let mut buffer = [0; 512];
    let mut at = 0u32;
    while at < signed {
        let left = usize::try_from(signed.saturating_sub(at)).unwrap_or(usize::MAX);
        let len = left.min(buffer.len());
        let Some(chunk) = buffer.get_mut(..len) else { break };
        reader.read_at(at, chunk)?;
        digest.update(chunk);
        at = at.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
    }
    Ok(digest.finish())
}

/// The longest signature of any scheme: RSA-2048.
const MAX_SIGNATURE: usize = 256;

/// What the TLVs of an image hold that verifying it needs.
struct Findings {
    hash: Option<[u8; 32]>,
    /// A second hash TLV that differs from the first.
    other_hash: Option<[u8; 32]>,
    /// The trusted key that the last KEYHASH names, until a signature takes it.
    key: Option<KeyIndex>,
    unknown_key: Option<HashStart>,
    signed: Option<(KeyIndex, Scheme)>,
    signature: [u8; MAX_SIGNATURE],
    signature_len: usize,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            hash: None,
            other_hash: None,
            key: None,
            unknown_key: None,
            signed: None,
            signature: [0; MAX_SIGNATURE],
            signature_len: 0,
        }
    }
}

impl Findings {
    /// Takes in one TLV.
    fn take<F: ReadFlash, K: TrustedKeys>(
        &mut self,
        walk: &mut Walk<&mut SlotReader<'_, F>>,
        entry: &Entry,
        keys: &K,
        options: &Options,
    ) -> Result<(), VerifyError<F::Error>> {
        let Entry { kind, offset, len, protected } = *entry;
        if options.tlv_allow_list && !protected && !may_be_unprotected(kind) {
            return Err(Rejection::Unprotected { kind, offset }.into());
        }
        match kind {
            TlvType::SHA256 => {
                let stored = thirty_two(walk, entry)?;
                match self.hash {
                    Some(first) if first != stored => self.other_hash = Some(stored),
                    _ => self.hash = Some(stored),
                }
            }
            TlvType::KEYHASH => {
                let hash = thirty_two(walk, entry)?;
                self.key = keys.find(&hash);
                if self.key.is_none() {
                    self.unknown_key = Some(HashStart::of(&hash));
                }
            }
            _ => {
                // A signature belongs to the key named before it; without one it is by somebody we do not know.
                let Some((key, scheme)) = self.key.and_then(|key| Some((key, keys.scheme(key)?))) else {
                    return Ok(());
                };
                if kind != signature_kind(scheme) {
                    return Ok(());
                }
                check_length(scheme, len)?;
                let too_long = Rejection::SignatureLength { scheme, len };
                self.signature_len = walk.value(entry, &mut self.signature)?.ok_or(too_long)?.len();
                self.signed = Some((key, scheme));
                self.key = None;
            }
        }
        Ok(())
    }

    /// Judges what was found about an image that has this hash.
    fn judge<K: TrustedKeys>(&self, hash: &[u8; 32], keys: &K) -> Result<KeyIndex, Rejection> {
        let stored = self.hash.ok_or(Rejection::NoHash)?;
        for stored in [Some(stored), self.other_hash].into_iter().flatten() {
            if stored != *hash {
                return Err(Rejection::WrongHash { computed: HashStart::of(hash), stored: HashStart::of(&stored) });
            }
        }
        let Some((key, scheme)) = self.signed else {
            let unknown = self.unknown_key.map(|key_hash| Rejection::UnknownKey { key_hash });
            return Err(unknown.unwrap_or(Rejection::NoSignature));
        };
        let signature = self.signature.get(..self.signature_len).unwrap_or_default();
        keys.verify(key, hash, signature).map_err(|_| Rejection::BadSignature { key, scheme })?;
        Ok(key)
    }
}

/// Whether a TLV may stand in the unprotected area: MCUboot's allow-list.
const fn may_be_unprotected(kind: TlvType) -> bool {
    matches!(
        kind,
        TlvType::KEYHASH
            | TlvType::PUBKEY
            | TlvType::SHA256
            | TlvType::SHA384
            | TlvType::SHA512
            | TlvType::RSA2048_PSS
            | TlvType::ECDSA224
            | TlvType::ECDSA_SIG
            | TlvType::RSA3072_PSS
            | TlvType::ED25519
            | TlvType::ENC_RSA2048
            | TlvType::ENC_KW
            | TlvType::ENC_EC256
            | TlvType::ENC_X25519
    )
}

const fn signature_kind(scheme: Scheme) -> TlvType {
    match scheme {
        Scheme::EcdsaP256 => TlvType::ECDSA_SIG,
        Scheme::Ed25519 => TlvType::ED25519,
        Scheme::Rsa2048 => TlvType::RSA2048_PSS,
        // A scheme of no TLV: it verifies nothing.
        _ => TlvType(0xffff),
    }
}

fn check_length(scheme: Scheme, len: u16) -> Result<(), Rejection> {
    let possible = match scheme {
        Scheme::Rsa2048 => len == 256,
        Scheme::Ed25519 => len == 64,
        _ => len <= 128,
    };
    if possible { Ok(()) } else { Err(Rejection::SignatureLength { scheme, len }) }
}

fn thirty_two<F: ReadFlash>(
    walk: &mut Walk<&mut SlotReader<'_, F>>,
    entry: &Entry,
) -> Result<[u8; 32], VerifyError<F::Error>> {
    let mut value = [0; 32];
    match walk.value(entry, &mut value)? {
        Some(whole) if whole.len() == 32 => Ok(value),
        _ => Err(Rejection::Length { kind: entry.kind, len: entry.len }.into()),
    }
}

fn told_apart<E: core::fmt::Debug>(error: TlvError<FlashError<E>>) -> VerifyError<E> {
    match error.fault() {
        Ok(fault) => VerifyError::Rejected(Rejection::Tlv(fault)),
        Err(flash) => VerifyError::Flash(flash),
    }
}

/// A slot as a source of image bytes.
pub(crate) struct SlotReader<'a, F> {
    pub(crate) flash: &'a mut F,
    pub(crate) layout: &'a Layout,
    pub(crate) slot: Slot,
}

impl<F: ReadFlash> ReadAt for SlotReader<'_, F> {
    type Error = FlashError<F::Error>;

    fn read_at(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Self::Error> {
        let area = self.layout.area(self.slot);
        let at = FlashAddr::new(area.device, area.offset.saturating_add(offset));
        trailer::read_at(self.flash, at, out)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of this test's own making")]
mod tests;
