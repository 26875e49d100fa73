//! What several tests need.

use crate::build::{Plan, Request};
use crate::key::SigningKey;
use otaru_crypto::Scheme;
use otaru_flash::{DeviceId, Geometry, WriteUnit};
use otaru_layout::{Area, Layout, Mode, Spec};

pub(crate) const SCHEMES: [Scheme; 3] = [Scheme::EcdsaP256, Scheme::Ed25519, Scheme::Rsa2048];

/// Always the same key.
pub(crate) fn ed25519() -> SigningKey {
    SigningKey::from_pem(
        "-----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEIEJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC\n\
         -----END PRIVATE KEY-----\n",
    )
    .unwrap()
}

/// Two slots of 64 KiB, of which 56 KiB are for images.
pub(crate) fn layout(write_unit: u32, max_align: u32, erased: u8) -> Layout {
    let flash = Geometry::uniform(4096, 48, WriteUnit::new(write_unit).unwrap(), erased);
    Layout::new(&Spec {
        primary: Area { device: DeviceId(0), offset: 0x8000, len: 0x10000 },
        secondary: Area { device: DeviceId(0), offset: 0x18000, len: 0x10000 },
        max_align,
        max_sectors: 32,
        ..Spec::new(Mode::SwapMove, &[flash])
    })
    .unwrap()
}

pub(crate) fn plan(layout: &Layout) -> Plan<'_> {
    Plan {
        version: "1.2.3+4".parse().unwrap(),
        header_size: 0x20,
        pad_header: true,
        layout: Some(layout),
        request: Request::None,
    }
}
