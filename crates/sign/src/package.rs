//! `dfu_application.zip`: a zip with a `manifest.json` that says which file is which image.
//!
//! Written by many tools over the years; their dialects differ in which keys exist and whether numbers are numbers.
//! Everything that has been seen is read: integers as numbers or text, `null`, unknown keys, old spellings.

use serde_json::Value;
use std::io::{Cursor, Read};

/// The most that one file of a package may unpack to: more than any flash that images go to.
pub const MAX_FILE: u64 = 64 * 1024 * 1024;

const MANIFEST: &str = "manifest.json";
const MAX_MANIFEST: u64 = 1024 * 1024;

/// An opened package: its manifest is read, its files are not.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    archive: zip::ZipArchive<Cursor<&'a [u8]>>,
    members: Vec<Member>,
}

/// A file that the manifest lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name in the zip.
    pub file: String,
    /// Its `type`: `application`, `mcuboot`, `bin`, `suit-envelope`, `cache`.
    pub kind: Option<String>,
    /// The image number it is for.
    pub image: u32,
    /// The slot it was linked for, in devices that run images from both (direct-XIP).
    pub slot: Option<u32>,
    /// Its version, as the manifest says.
    pub version: Option<String>,
    /// Its board, as the manifest says.
    pub board: Option<String>,
    /// Its size in bytes, as the manifest says.
    pub size: Option<u64>,
}

impl<'a> Package<'a> {
    /// Opens a package and reads its manifest.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, PackageError> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| PackageError::Zip { len: bytes.len(), reason: error.to_string() })?;
        let Some(text) = unpack(&mut archive, MANIFEST, MAX_MANIFEST)? else {
            return Err(PackageError::NoManifest { entries: archive.len() });
        };
        let manifest: Value = serde_json::from_slice(&text).map_err(|error| PackageError::Json {
            line: error.line(),
            column: error.column(),
            reason: plain(&error),
        })?;
        Ok(Self { archive, members: members(&manifest)? })
    }

    /// What the manifest lists, in its order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The file to send for an image of a device that runs from slot `active` (0 primary, 1 secondary): the one for
    /// that image, and where there is one for each slot, the one for the other slot.
    ///
    /// # Errors
    /// None that fits, or more than one.
    pub fn choose(&self, image: u32, active: u32) -> Result<&Member, PackageError> {
        let fits = |member: &&Member| {
            is_image(member.kind.as_deref())
                && member.image == image
                && member.slot.is_none_or(|slot| slot % 2 != active % 2)
        };
        let candidates: Vec<&Member> = self.members.iter().filter(fits).collect();
        match candidates[..] {
            [member] => Ok(member),
            [] if self.members.iter().any(|member| member.kind.as_deref() == Some("suit-envelope")) => {
                Err(PackageError::Suit)
            }
            [] => Err(PackageError::NoImage { image, files: self.members.iter().map(describe).collect() }),
            _ => Err(PackageError::Ambiguous { image, files: candidates.into_iter().map(describe).collect() }),
        }
    }

    /// Unpacks a file.
    ///
    /// # Errors
    /// A file that is not there, damaged, too large, or not as large as the manifest says.
    pub fn unpack(&mut self, member: &Member) -> Result<Vec<u8>, PackageError> {
        let file = member.file.clone();
        let bytes =
            unpack(&mut self.archive, &file, MAX_FILE)?.ok_or_else(|| PackageError::Missing { file: file.clone() })?;
        match member.size {
            Some(manifest) if manifest != bytes.len() as u64 => {
                Err(PackageError::Size { file, manifest, found: bytes.len() })
            }
            _ => Ok(bytes),
        }
    }
}

/// Whether files of this type go into an image slot of the application.
fn is_image(kind: Option<&str>) -> bool {
    !matches!(kind, Some("mcuboot" | "suit-envelope" | "cache"))
}

fn describe(member: &Member) -> String {
    let kind = member.kind.as_deref().unwrap_or("no type");
    match member.slot {
        Some(slot) => format!("{} ({kind}, image {}, slot {slot})", member.file, member.image),
        None => format!("{} ({kind}, image {})", member.file, member.image),
    }
}

/// A file of the archive, or `None` where it is not there. Reads at most `limit` bytes, whatever sizes are declared.
fn unpack(
    archive: &mut zip::ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, PackageError> {
    let damaged = |reason: String| PackageError::Damaged { file: name.into(), reason };
    let Some(index) = archive.index_for_name(name) else { return Ok(None) };
    let entry = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(PackageError::TooLarge { file: name.into(), limit });
    }
    Ok(Some(bytes))
}

/// What the parser says, without the place, which we give ourselves.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn members(manifest: &Value) -> Result<Vec<Member>, PackageError> {
    if manifest.get("manifest").is_some_and(Value::is_object) {
        return Err(PackageError::Legacy);
    }
    let files = manifest.get("files").and_then(Value::as_array).ok_or(PackageError::NoFiles)?;
    let mut members = files.iter().enumerate().map(|(at, file)| member(at, file)).collect::<Result<Vec<_>, _>>()?;
    // Before image numbers were written down, images of a package came in their order.
    let images: Vec<usize> = (0..members.len()).filter(|at| is_image(members[*at].kind.as_deref())).collect();
    if images.len() > 1 && images.iter().all(|at| number_of(&files[*at], IMAGE_KEYS).is_none()) {
        for (image, at) in (0..).zip(images) {
            // Files for the two slots of one image say which slot they are for.
            if members[at].slot.is_none() {
                members[at].image = image;
            }
        }
    }
    Ok(members)
}

const IMAGE_KEYS: [&str; 2] = ["image_index", "image"];

fn member(at: usize, file: &Value) -> Result<Member, PackageError> {
    let text = |key: &str| file.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text("file").ok_or(PackageError::Field { at, key: "file", found: shown(file.get("file")) })?;
    if name.is_empty() || name.contains('\\') || name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(PackageError::Name { file: name });
    }
    let small = |key: &'static str, value: Option<&Value>| match value {
        None => Ok(None),
        Some(value) => {
            let number = integer(value).and_then(|number| u32::try_from(number).ok());
            number.map(Some).ok_or(PackageError::Field { at, key, found: shown(Some(value)) })
        }
    };
    let size = match present(file, "size") {
        None => None,
        Some(value) => {
            Some(integer(value).ok_or(PackageError::Field { at, key: "size", found: shown(Some(value)) })?)
        }
    };
    Ok(Member {
        kind: text("type"),
        image: small("image_index", number_of(file, IMAGE_KEYS))?.unwrap_or(0),
        slot: small("slot", present(file, "slot"))?,
        version: text("version_MCUBOOT").or_else(|| text("version_MCUBOOT+XIP")).or_else(|| text("fwversion")),
        board: text("board"),
        size,
        file: name,
    })
}

/// The value of a key that is there and not `null`.
fn present<'v>(file: &'v Value, key: &str) -> Option<&'v Value> {
    file.get(key).filter(|value| !value.is_null())
}

fn number_of<'v>(file: &'v Value, keys: [&str; 2]) -> Option<&'v Value> {
    keys.into_iter().find_map(|key| present(file, key))
}

/// An integer, written as a number or as text.
fn integer(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".into(), Value::to_string)
}

/// Why a package cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// Not a zip archive, or a damaged one.
    #[error("these {len} bytes are no zip archive, or a truncated one: {reason}")]
    Zip {
        /// Bytes of the file.
        len: usize,
        /// What the reader said.
        reason: String,
    },
    /// A zip without a manifest.
    #[error("there is no {MANIFEST} among the {entries} entries of the zip, so it is no update package")]
    NoManifest {
        /// Entries of the archive.
        entries: usize,
    },
    /// A manifest that is no JSON.
    #[error("{MANIFEST}, line {line}, column {column}: {reason}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser said.
        reason: String,
    },
    /// A package for the bootloader of the nRF5 SDK.
    #[error(
        "this is a legacy package for the nRF5 SDK's bootloader, which does not speak SMP; it needs an image signed for MCUboot instead"
    )]
    Legacy,
    /// A package for another update system.
    #[error("this is a SUIT package, which MCUboot-compatible loaders cannot install")]
    Suit,
    /// A manifest without a list of files.
    #[error("{MANIFEST} has no list \"files\", so it names no image")]
    NoFiles,
    /// A value that cannot be understood.
    #[error("{MANIFEST}: files[{at}].{key} is {found}, which cannot be understood")]
    Field {
        /// Which file, from 0.
        at: usize,
        /// Which key.
        key: &'static str,
        /// What is there.
        found: String,
    },
    /// A name that leaves the package.
    #[error("{MANIFEST} names {file:?}, which is no name inside the package")]
    Name {
        /// The name.
        file: String,
    },
    /// No file for the image.
    #[error("the package has no file for image {image}; it has: {}", listed(files))]
    NoImage {
        /// The image number.
        image: u32,
        /// What there is.
        files: Vec<String>,
    },
    /// Several files for the image.
    #[error("the package has several files for image {image}: {}", listed(files))]
    Ambiguous {
        /// The image number.
        image: u32,
        /// Which.
        files: Vec<String>,
    },
    /// A listed file that is not in the zip.
    #[error("{MANIFEST} lists {file:?}, but the zip does not hold it")]
    Missing {
        /// Its name.
        file: String,
    },
    /// A file that unpacks to more than any image has.
    #[error("{file} unpacks to more than {limit} bytes, which is no image")]
    TooLarge {
        /// Its name.
        file: String,
        /// The most that is unpacked.
        limit: u64,
    },
    /// A file of another size than the manifest says.
    #[error("{file} has {found} bytes, {MANIFEST} says {manifest}: the package is damaged or was put together wrongly")]
    Size {
        /// Its name.
        file: String,
        /// What the manifest says.
        manifest: u64,
        /// What was unpacked.
        found: usize,
    },
    /// A file that cannot be unpacked.
    #[error("{file} cannot be unpacked: {reason}")]
    Damaged {
        /// Its name.
        file: String,
        /// What the reader said.
        reason: String,
    },
}

fn listed(files: &[String]) -> String {
    if files.is_empty() { "no files".into() } else { files.join(", ") }
}

#[cfg(test)]
mod tests;
