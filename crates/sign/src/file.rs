//! Files that hold firmware and images, in and out.

use crate::hex::{HexError, read as read_hex};
use crate::package::{MAX_FILE, Package, PackageError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What a file holds, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The bytes of the firmware or image.
    pub bytes: Vec<u8>,
    /// How they were packed.
    pub format: Format,
}

/// How firmware is packed in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// As it is.
    Binary,
    /// Intel HEX.
    Hex {
        /// Address of the first byte.
        base: u32,
    },
    /// A `dfu_application.zip`.
    Package {
        /// The file that was chosen.
        member: String,
        /// The other files it lists.
        others: Vec<String>,
    },
}

/// More than an image has beyond its firmware.
const ROOM: usize = 0x1_1000;

/// Reads a file: Intel HEX if its name ends in `.hex`, a package if it begins as a zip does, otherwise as it is.
/// `fill` is what flash has where HEX describes nothing; `image` says which image of a package is meant.
///
/// # Errors
/// A file that cannot be read, is too large, or is damaged.
pub fn read(path: &Path, fill: u8, image: u32) -> Result<Contents, FileError> {
    let fail = |problem| FileError { path: path.into(), problem };
    let bytes = whole(path).map_err(fail)?;
    if is_hex(path) {
        return from_hex(&bytes, fill).map_err(fail);
    }
    if bytes.starts_with(b"PK") {
        return from_package(&bytes, fill, image).map_err(fail);
    }
    Ok(Contents { bytes, format: Format::Binary })
}

/// Whether a file of this name is Intel HEX: ends in `.hex`, in any case, as imgtool has it.
#[must_use]
pub fn is_hex(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("hex"))
}

fn whole(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(FileProblem::Read)?;
    // HEX needs more than twice as many characters as it describes bytes.
    let limit = if is_hex(path) { 3 * MAX_FILE } else { MAX_FILE };
    let announced = file.metadata().map_or(0, |about| about.len().min(limit));
    // With room for a header and the TLVs that signing adds: what is not used costs nothing.
    bytes.reserve_exact(usize::try_from(announced).unwrap_or(0) + ROOM);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(FileProblem::Read)?;
    if bytes.len() as u64 > limit { Err(FileProblem::TooLarge { limit }) } else { Ok(bytes) }
}

fn from_hex(bytes: &[u8], fill: u8) -> Result<Contents, FileProblem> {
    let text = std::str::from_utf8(bytes).map_err(|error| FileProblem::NotText { offset: error.valid_up_to() })?;
    let memory = read_hex(text, fill)?;
    Ok(Contents { bytes: memory.bytes, format: Format::Hex { base: memory.base } })
}

fn from_package(bytes: &[u8], fill: u8, image: u32) -> Result<Contents, FileProblem> {
    let mut package = Package::open(bytes)?;
    let chosen = package.choose(image, 0)?.clone();
    let others = package.members().iter().filter(|other| **other != chosen).map(|other| other.file.clone()).collect();
    let packed = package.unpack(&chosen)?;
    let bytes = if is_hex(Path::new(&chosen.file)) { from_hex(&packed, fill)?.bytes } else { packed };
    Ok(Contents { bytes, format: Format::Package { member: chosen.file, others } })
}

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the user's umask lets.
    Default,
    /// Its owner alone: private keys.
    Owner,
}

/// Whether a file that exists may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Keep,
    /// Replace it.
    Replace,
}

/// Writes a file whole or not at all: to a temporary file beside it, which then takes its name. A link is followed, and
/// what is no plain file (`/dev/stdout`) is written to as it is. A file that only its owner may read is on the disk,
/// not only on its way there, before the old one is gone.
///
/// # Errors
/// A file that cannot be written, or exists and is to be kept.
pub fn write(path: &Path, contents: &[u8], access: Access, existing: Existing) -> Result<(), FileError> {
    let fail = |problem| FileError { path: path.into(), problem };
    let target = path.canonicalize().unwrap_or_else(|_| path.into());
    let there = target.metadata().ok();
    if existing == Existing::Replace && there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) {
        let opened = std::fs::OpenOptions::new().write(true).open(&target);
        return opened.and_then(|mut file| file.write_all(contents)).map_err(|error| fail(FileProblem::Write(error)));
    }
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".otaru-");
    #[cfg(unix)]
    if access == Access::Default {
        use std::os::unix::fs::PermissionsExt;
        // A file that is replaced stays as it was; for a new one the umask takes away what the user does not want.
        let kept = there.as_ref().filter(|there| there.is_file()).map(std::fs::Metadata::permissions);
        builder.permissions(kept.unwrap_or_else(|| std::fs::Permissions::from_mode(0o666)));
    }
    #[cfg(not(unix))]
    let _ = access;
    let mut file = builder.tempfile_in(folder).map_err(|error| fail(FileProblem::Write(error)))?;
    file.write_all(contents).map_err(|error| fail(FileProblem::Write(error)))?;
    if access == Access::Owner {
        file.as_file().sync_all().map_err(|error| fail(FileProblem::Write(error)))?;
    }
    let done = match existing {
        Existing::Replace => file.persist(&target),
        Existing::Keep => file.persist_noclobber(&target),
    };
    match done {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(fail(FileProblem::Exists)),
        Err(error) => Err(fail(FileProblem::Write(error.error))),
    }
}

/// What is wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: FileProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The operating system would not have it read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// The operating system would not have it written.
    #[error("cannot be written: {0}")]
    Write(std::io::Error),
    /// It exists and is to be kept.
    #[error("is there already and is not overwritten")]
    Exists,
    /// No image is that large.
    #[error("has more than {limit} bytes, which is no image")]
    TooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// A HEX file that is no text.
    #[error("is no Intel HEX file: byte {offset} is not text")]
    NotText {
        /// The first byte that is not.
        offset: usize,
    },
    /// A damaged HEX file.
    #[error("is no whole Intel HEX file: {0}")]
    Hex(#[from] HexError),
    /// A package that cannot be used.
    #[error(transparent)]
    Package(#[from] PackageError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    /// The error's words without the folder, which differs from run to run.
    fn said<T: std::fmt::Debug>(folder: &tempfile::TempDir, result: Result<T, FileError>) -> String {
        result.unwrap_err().to_string().replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn a_file_is_written_whole_and_kept_unless_it_may_be_replaced() {
        let folder = folder();
        let path = folder.path().join("image.bin");
        write(&path, b"one", Access::Default, Existing::Keep).unwrap();
        let kept = write(&path, b"two", Access::Default, Existing::Keep);
        insta::assert_snapshot!(said(&folder, kept), @"image.bin: is there already and is not overwritten");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write(&path, b"three", Access::Default, Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
        let nowhere = folder.path().join("no/such/folder");
        assert!(
            said(&folder, write(&nowhere, b"", Access::Default, Existing::Keep))
                .starts_with("no/such/folder: cannot be written:")
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_there_stays_what_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let (real, link) = (folder.path().join("real.bin"), folder.path().join("link.bin"));
        std::fs::write(&real, b"old").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, b"new", Access::Default, Existing::Replace).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        write(&pipe, b"through", Access::Default, Existing::Replace).unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(!pipe.metadata().unwrap().is_file(), "the pipe is not replaced");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let path = folder.path().join("key.pem");
        write(&path, b"secret", Access::Owner, Existing::Keep).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn files_are_read_by_what_they_are() {
        let folder = folder();
        let write = |name: &str, contents: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, contents).unwrap();
            path
        };
        let binary = read(&write("a.bin", b"firmware"), 0xff, 0).unwrap();
        assert_eq!(binary, Contents { bytes: b"firmware".into(), format: Format::Binary });
        let hex = read(&write("A.HEX", b":0100040055A6\n:00000001FF\n"), 0xff, 0).unwrap();
        assert_eq!(hex, Contents { bytes: vec![0x55], format: Format::Hex { base: 4 } });
        insta::assert_snapshot!(said(&folder, read(&write("b.hex", b":\xff"), 0xff, 0)), @"b.hex: is no Intel HEX file: byte 1 is not text");
        insta::assert_snapshot!(said(&folder, read(&write("c.hex", b":0100040055A6\n"), 0xff, 0)), @"c.hex: is no whole Intel HEX file: after line 1 there is no end record (:00000001FF): the file is truncated");
        insta::assert_snapshot!(said(&folder, read(&write("d.zip", b"PK\x03\x04"), 0xff, 0)), @"d.zip: these 4 bytes are no zip archive, or a truncated one: invalid Zip archive: Could not find EOCD");
        insta::assert_snapshot!(said(&folder, read(Path::new("nowhere.bin"), 0xff, 0)), @"nowhere.bin: cannot be read: No such file or directory (os error 2)");
    }

    #[test]
    fn a_file_larger_than_any_flash_is_not_read() {
        let folder = folder();
        let path = folder.path().join("large.bin");
        std::fs::File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
        insta::assert_snapshot!(said(&folder, read(&path, 0xff, 0)), @"large.bin: has more than 67108864 bytes, which is no image");
    }
}
