//! Our loader, set up as a config says.

use anyhow::{Context, Result};
use otaru_boot::{BootError, Options, Report};
use otaru_crypto::{KeySet, PublicKey};
use otaru_flash::{DeviceId, FlashAddr};
use otaru_image::trailer::Magic;
use otaru_layout::{Area, Layout, Spec};
use otaru_nor_sim::NorFlash;

use super::format::{self, Config, Folder};

/// What a power-up came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Booted { at: FlashAddr, version: String },
    NoBoot(String),
}

/// Boots once, as the config says.
pub(super) fn boot(folder: &Folder, config: &Config, flash: &mut NorFlash) -> Result<Outcome> {
    let layout = layout(config, flash)?;
    let der = folder.keys(config)?;
    let keys: Vec<_> = der.iter().map(|der| PublicKey::from_der(der)).collect::<Result<_, _>>()?;
    let options = Options { tlv_allow_list: config.option("tlv_allow_list") };
    let mut report = Report::default();
    flash.power_on();
    Ok(match otaru_boot::boot(flash, &layout, &KeySet::new(&keys), &options, &mut report) {
        Ok(image) => Outcome::Booted { at: image.address(), version: image.header().version.to_string() },
        Err(BootError::NoImage(why)) => Outcome::NoBoot(why.to_string()),
        // Vectors are whole devices: flash that refuses is a mistake of the loader.
        Err(error) => return Err(error).context("the loader misused flash"),
    })
}

/// The magic of a trailer with cells of so many bytes.
pub(super) fn magic(max_align: u32) -> [u8; 16] {
    Magic::bytes(max_align)
}

fn layout(config: &Config, flash: &NorFlash) -> Result<Layout> {
    let geometries: Vec<_> = flash.geometries().collect();
    let slots = config.areas.images.first().context("a config without images")?;
    let area = |area: &format::Area| Area { device: DeviceId(area.device), offset: area.offset, len: area.length };
    let layout = Layout::new(&Spec {
        mode: config.mode.parse()?,
        devices: &geometries,
        primary: area(&slots.primary),
        secondary: area(&slots.secondary),
        max_align: config.max_align,
        max_sectors: config.max_sectors,
    });
    layout.with_context(|| format!("the config {} is no layout", config.id))
}
