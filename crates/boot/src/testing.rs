//! Small boards, images and keys for the tests of this crate.

use std::vec::Vec;

use otaru_crypto::{BadSignature, KeyIndex, Scheme, Sha256, TrustedKeys};
use otaru_flash::{DeviceId, Geometry, WriteUnit};
use otaru_image::tlv::{TlvType, emit_entry, emit_info};
use otaru_image::trailer::{Cell, Magic};
use otaru_image::{Flags, HEADER_LEN, Header, Version};
use otaru_layout::{Area, Layout, Mode, Slot, Spec};
use otaru_nor_sim::NorFlash;

use crate::{BootError, Options, Report, VerifiedImage};

pub(crate) const SECTOR: u32 = 1024;
/// Sectors of each slot.
pub(crate) const SECTORS: u32 = 6;

/// Two slots of six sectors of 1 KiB, write unit 4, trailers of one sector: images of up to four sectors.
pub(crate) struct Board {
    pub(crate) flash: NorFlash,
    pub(crate) layout: Layout,
    pub(crate) report: Report,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self::with(4, 8)
    }

    pub(crate) fn with(write_unit: u32, max_align: u32) -> Self {
        let devices = [Geometry::uniform(SECTOR, 2 * SECTORS, WriteUnit::new(write_unit).unwrap(), 0xff)];
        let len = SECTORS * SECTOR;
        let layout = Layout::new(&Spec {
            primary: Area { device: DeviceId(0), offset: 0, len },
            secondary: Area { device: DeviceId(0), offset: len, len },
            max_align,
            max_sectors: SECTORS,
            ..Spec::new(Mode::SwapMove, &devices)
        })
        .unwrap();
        let mut flash = NorFlash::erased(&devices);
        flash.record();
        Self { flash, layout, report: Report::default() }
    }

    /// A board that runs 1.0.0 of two sectors and holds 1.1.0 of three.
    pub(crate) fn uploaded() -> Self {
        Self::new().holding(&image(V1, 1500), &image(V2, 2500))
    }

    pub(crate) fn holding(mut self, primary: &[u8], secondary: &[u8]) -> Self {
        self.put(Slot::Primary, 0, primary);
        self.put(Slot::Secondary, 0, secondary);
        self
    }

    /// The primary slot on device 0, the secondary on device 1 and its image asked for as a test.
    pub(crate) fn two_devices(primary: &[u8], secondary: &[u8]) -> (NorFlash, Layout) {
        let devices = [Geometry::uniform(SECTOR, SECTORS, WriteUnit::new(4).unwrap(), 0xff); 2];
        let area = |device| Area { device: DeviceId(device), offset: 0, len: SECTORS * SECTOR };
        let spec = Spec { primary: area(0), secondary: area(1), ..Spec::new(Mode::SwapMove, &devices) };
        let layout = Layout::new(&Spec { max_sectors: SECTORS, ..spec }).unwrap();
        let mut board = Self { flash: NorFlash::erased(&devices), layout, report: Report::default() };
        board = board.holding(primary, secondary).trailer(Slot::Secondary, "mt");
        (board.flash, layout)
    }

    pub(crate) fn put(&mut self, slot: Slot, offset: u32, bytes: &[u8]) {
        self.flash.load(self.layout.address(slot, offset).unwrap(), bytes).unwrap();
    }

    /// Puts fields into a trailer: `m` magic, `b` a torn magic, `i` image_ok, `c` copy_done, `I` and `C` torn ones.
    pub(crate) fn trailer(mut self, slot: Slot, fields: &str) -> Self {
        for field in fields.chars() {
            let magic = Magic::bytes(self.layout.trailer().max_align);
            let (at, bytes): (_, &[u8]) = match field {
                'm' => (self.layout.magic(slot), &magic),
                'b' => (self.layout.magic(slot), &magic[..8]),
                'i' => (self.layout.cell(slot, Cell::ImageOk), &[1]),
                'I' => (self.layout.cell(slot, Cell::ImageOk), &[0x55]),
                'c' => (self.layout.cell(slot, Cell::CopyDone), &[1]),
                'C' => (self.layout.cell(slot, Cell::CopyDone), &[0x55]),
                't' => (self.layout.cell(slot, Cell::SwapInfo), &[2]),
                'p' => (self.layout.cell(slot, Cell::SwapInfo), &[3]),
                'r' => (self.layout.cell(slot, Cell::SwapInfo), &[4]),
                other => panic!("no field {other}"),
            };
            self.flash.load(at, bytes).unwrap();
        }
        self
    }

    pub(crate) fn swap_size(mut self, size: u32) -> Self {
        let at = self.layout.cell(Slot::Primary, Cell::SwapSize);
        self.flash.load(at, &size.to_le_bytes()).unwrap();
        self
    }

    pub(crate) fn boot(&mut self) -> Result<VerifiedImage, BootError<otaru_nor_sim::NorError>> {
        self.flash.power_on();
        crate::boot(&mut self.flash, &self.layout, &Keys, &Options::default(), &mut self.report)
    }

    /// Boots; says which version runs and what was written and erased.
    pub(crate) fn boots(&mut self) -> (Version, usize) {
        let image = self.boot().unwrap();
        assert_eq!((image.slot(), image.address()), (Slot::Primary, self.layout.address(Slot::Primary, 0).unwrap()));
        (image.version(), self.flash.recorded().len())
    }

    pub(crate) fn bytes(&self, slot: Slot) -> &[u8] {
        let area = self.layout.area(slot);
        &self.flash.bytes(area.device).unwrap()[area.offset as usize..][..area.len as usize]
    }

    pub(crate) fn holds(&self, slot: Slot, image: &[u8]) -> bool {
        self.bytes(slot).starts_with(image)
    }

    pub(crate) fn erased(&self, slot: Slot) -> bool {
        self.bytes(slot).iter().all(|&byte| byte == 0xff)
    }

    /// What a trailer says, in the letters of [`Self::trailer`].
    pub(crate) fn fields(&mut self, slot: Slot) -> std::string::String {
        use otaru_image::trailer::Flag;
        let trailer = crate::trailer::read(&mut self.flash, &self.layout, slot).unwrap();
        let mut fields = std::string::String::new();
        match trailer.state.magic {
            Magic::Unset => {}
            Magic::Good => fields.push('m'),
            Magic::Bad => fields.push('b'),
        }
        for (flag, letters) in [(trailer.state.image_ok, "iI"), (trailer.state.copy_done, "cC")] {
            match flag {
                Flag::Unset => {}
                Flag::Set => fields.push_str(&letters[..1]),
                Flag::Bad => fields.push_str(&letters[1..]),
            }
        }
        match trailer.info.swap_type.number() {
            1 => {}
            2 => fields.push('t'),
            3 => fields.push('p'),
            _ => fields.push('r'),
        }
        fields
    }
}

pub(crate) const V1: Version = Version::new(1, 0, 0, 0);
pub(crate) const V2: Version = Version::new(1, 1, 0, 0);

/// Keys that cost nothing: number `n` has the hash of `n` everywhere, and signs a digest by writing it twice and `n`
/// over its first byte. Key 0 is as ECDSA, key 1 as Ed25519, key 2 as RSA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys;

impl Keys {
    pub(crate) fn hash(key: u8) -> [u8; 32] {
        [key; 32]
    }

    pub(crate) fn sign(key: u8, digest: &[u8; 32]) -> Vec<u8> {
        let mut signature = [&digest[..], digest].concat();
        signature[0] = key;
        if key == 2 {
            signature.resize(256, 2);
        }
        signature
    }
}

impl TrustedKeys for Keys {
    type Digest = Sha256;

    fn find(&self, key_hash: &[u8]) -> Option<KeyIndex> {
        (0..3).find(|&key| key_hash == Self::hash(key)).map(KeyIndex)
    }

    fn scheme(&self, key: KeyIndex) -> Option<Scheme> {
        [Scheme::EcdsaP256, Scheme::Ed25519, Scheme::Rsa2048].get(usize::from(key.0)).copied()
    }

    fn verify(&self, key: KeyIndex, digest: &[u8; 32], signature: &[u8]) -> Result<(), BadSignature> {
        if signature == Self::sign(key.0, digest) { Ok(()) } else { Err(BadSignature) }
    }
}

/// An image of so many payload bytes, signed by key 0.
pub(crate) fn image(version: Version, payload: usize) -> Vec<u8> {
    Builder { version, payload, ..Builder::default() }.build()
}

/// An image with anything wrong with it.
pub(crate) struct Builder {
    pub(crate) version: Version,
    pub(crate) payload: usize,
    pub(crate) flags: Flags,
    /// Entries of the protected area; there is none where this is empty.
    pub(crate) protected: Vec<(TlvType, Vec<u8>)>,
    /// Entries before those that every image has.
    pub(crate) first: Vec<(TlvType, Vec<u8>)>,
    /// Key hash and signature are by this key.
    pub(crate) key: u8,
    /// What becomes of the entries that every image has: hash, key hash, signature.
    pub(crate) change: fn(&mut Vec<(TlvType, Vec<u8>)>),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: V1,
            payload: 100,
            flags: Flags::NONE,
            protected: Vec::new(),
            first: Vec::new(),
            key: 0,
            change: |_| {},
        }
    }
}

impl Builder {
    pub(crate) fn build(self) -> Vec<u8> {
        let protected = if self.protected.is_empty() { Vec::new() } else { area(true, &self.protected) };
        let header = Header {
            load_address: 0,
            header_size: HEADER_LEN as u16,
            protected_size: protected.len() as u16,
            image_size: self.payload as u32,
            flags: self.flags,
            version: self.version,
        };
        let mut image = header.emit().to_vec();
        image.extend((0..self.payload).map(|at| (at as u8).wrapping_mul(31) ^ self.version.minor));
        image.extend(protected);
        let digest = Sha256::of(&image);
        let kind = [TlvType::ECDSA_SIG, TlvType::ED25519, TlvType::RSA2048_PSS][usize::from(self.key)];
        let mut entries = std::vec![
            (TlvType::SHA256, digest.to_vec()),
            (TlvType::KEYHASH, Keys::hash(self.key).to_vec()),
            (kind, Keys::sign(self.key, &digest)),
        ];
        (self.change)(&mut entries);
        image.extend(area(false, &[self.first, entries].concat()));
        image
    }
}

fn area(protected: bool, entries: &[(TlvType, Vec<u8>)]) -> Vec<u8> {
    let mut area = Vec::new();
    for (kind, value) in entries {
        area.extend(emit_entry(*kind, value.len() as u16));
        area.extend(value);
    }
    let info = emit_info(protected, area.len()).unwrap();
    [&info[..], &area].concat()
}
