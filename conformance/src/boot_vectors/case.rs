//! One recorded power-up.

use anyhow::{Context, Result, ensure};
use otaru_flash::{DeviceId, FlashAddr, Geometry, SectorRun, WriteUnit};
use otaru_image::{HEADER_LEN, Header, MAGIC};
use otaru_nor_sim::NorFlash;

use super::format::{Case, Config, Device, FlashBlobs, Folder, Row};
use super::loader::{self, Outcome};
use super::report::Verdict;

pub(super) fn replay(folder: &Folder, config: &Config, case: &Case) -> Result<Verdict> {
    let mut flash = flash(folder, config, &case.input.flash)?;
    let primary = config.areas.images.first().context("a config without images")?.primary.address();
    let old = version_at(&flash, primary)?;
    let outcome = loader::boot(folder, config, &mut flash)?;
    let mut verdict = Verdict::default();
    if case.may_reject && rejected(config, &flash, old.as_deref(), &outcome)? {
        verdict.notes.push("refused, as is allowed".into());
        return Ok(verdict);
    }
    let mut wrong = Vec::new();
    let expect = &case.expect;
    match &outcome {
        Outcome::Booted { at, version } => {
            let expected = (expect.device, expect.image_offset, expect.version.as_deref());
            if expected != (Some(at.device.0), Some(at.offset), Some(version.as_str())) {
                wrong.push(format!("booted {version} at {at}, the reference {expected:?}"));
            }
        }
        Outcome::NoBoot(why) if expect.result == "boot" => wrong.push(format!("did not boot: {why}")),
        Outcome::NoBoot(_) => {}
    }
    if matches!(outcome, Outcome::Booted { .. }) && expect.result != "boot" {
        wrong.push("booted what the reference does not boot".into());
    }
    for row in &case.compare {
        let found = compare(folder, config, case, &flash, row)?;
        let strict = row.level == "strict";
        verdict.strict.1 += usize::from(strict);
        match found {
            None => verdict.strict.0 += usize::from(strict),
            Some(difference) if row.level == "must" => wrong.push(difference),
            Some(_) => {}
        }
    }
    match &case.quirk {
        None => verdict.wrong = wrong,
        // The reference's own behaviour is a defect here: what is wanted instead is all that counts.
        Some(quirk) => {
            verdict.notes.extend(wrong.into_iter().map(|difference| format!("{difference} (quirk: {quirk})")));
            for (slots, wanted) in config.areas.images.iter().zip(case.wanted_versions.iter().flatten()) {
                let found = version_at(&flash, slots.primary.address())?;
                if found.as_ref() != Some(wanted) {
                    verdict.wrong.push(format!("the primary slot holds {found:?}, and {wanted} is wanted"));
                }
            }
        }
    }
    Ok(verdict)
}

/// The devices of a config, holding these blobs.
pub(super) fn flash(folder: &Folder, config: &Config, blobs: &FlashBlobs) -> Result<NorFlash> {
    let geometries: Vec<_> =
        config.devices.iter().map(|device| geometry(device, config.erased_value)).collect::<Result<_>>()?;
    let mut flash = NorFlash::erased(&geometries);
    for (index, device) in config.devices.iter().enumerate() {
        ensure!(
            usize::from(device.id) == index,
            "device ids count from 0 in order, and number {index} is {}",
            device.id
        );
        flash.load(FlashAddr::new(DeviceId(device.id), 0), &folder.device(blobs, device)?)?;
    }
    Ok(flash)
}

pub(super) fn geometry(device: &Device, erased: u8) -> Result<Geometry> {
    let unit = WriteUnit::new(device.align).with_context(|| format!("no flash has write units of {}", device.align))?;
    let runs: Vec<_> = device.sectors.iter().map(|run| SectorRun { size: run.size, count: run.count }).collect();
    let geometry = Geometry::from_runs(&runs, unit, erased).context("these sectors are no geometry")?;
    ensure!(geometry.size() == device.size, "the sectors have {} bytes, the device {}", geometry.size(), device.size);
    Ok(geometry)
}

/// The version of the image whose header lies at `at`, if one does.
pub(super) fn version_at(flash: &NorFlash, at: FlashAddr) -> Result<Option<String>> {
    let bytes = range(flash, at.device.0, at.offset, HEADER_LEN as u32)?;
    Ok(Header::parse(bytes).ok().map(|header| header.version.to_string()))
}

pub(super) fn range(flash: &NorFlash, device: u8, offset: u32, length: u32) -> Result<&[u8]> {
    let bytes = flash.bytes(DeviceId(device)).with_context(|| format!("there is no device {device}"))?;
    let range = bytes.get(offset as usize..).and_then(|rest| rest.get(..length as usize));
    range.with_context(|| format!("{length} bytes at {offset:#x} do not lie in device {device}"))
}

/// What differs in a row, if something does.
fn compare(folder: &Folder, config: &Config, case: &Case, flash: &NorFlash, row: &Row) -> Result<Option<String>> {
    let Row { what, slot, device, offset, length, .. } = row;
    if what == "no-header" {
        let found = range(flash, *device, *offset, 4)? == MAGIC.to_le_bytes();
        return Ok(found.then(|| format!("{slot} slot: there is an image at {offset:#x} of device {device}")));
    }
    let found = range(flash, *device, *offset, *length)?;
    let device = config.devices.iter().find(|known| known.id == row.device);
    let expected =
        folder.device(&case.expect.flash, device.with_context(|| format!("there is no device {}", row.device))?)?;
    let expected = expected.get(*offset as usize..).and_then(|rest| rest.get(..*length as usize));
    let expected = expected.context("a row to compare goes past the end of its device")?;
    let different = found.iter().zip(expected).position(|(found, expected)| found != expected);
    Ok(different.map(|index| {
        let at = *offset as usize + index;
        let differing = found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
        format!(
            "{slot} slot, {what}: {differing} of {length} bytes differ, first {:#04x} for {:#04x} at {at:#x}",
            found[index], expected[index]
        )
    }))
}

/// Whether the new image was refused: the secondary slot erased, and the image booted that was there before.
fn rejected(config: &Config, flash: &NorFlash, old: Option<&str>, outcome: &Outcome) -> Result<bool> {
    let Outcome::Booted { version, .. } = outcome else { return Ok(false) };
    let secondary = config.areas.images.first().context("a config without images")?.secondary;
    let bytes = range(flash, secondary.device, secondary.offset, secondary.length)?;
    Ok(old == Some(version) && bytes.iter().all(|&byte| byte == config.erased_value))
}
