//! What the commands that only touch this machine share: reading files, finding the project, saying what failed.

use crate::failure::{Exit, Failure};
use otaru_crypto::Scheme;
use otaru_sign::build::SignError;
use otaru_sign::file::{Contents, FileError, FileProblem};
use otaru_sign::inspect::Image;
use otaru_sign::key::{KeyError, LoadError};
use otaru_sign::project::{CreateError, Project, ProjectError};
use std::path::{Path, PathBuf};

/// The types of signing keys, as they are typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyType {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// Ed25519.
    Ed25519,
    /// RSA with 2048 bits.
    #[value(name = "rsa-2048")]
    Rsa2048,
}

impl From<KeyType> for Scheme {
    fn from(key_type: KeyType) -> Self {
        match key_type {
            KeyType::P256 => Self::EcdsaP256,
            KeyType::Ed25519 => Self::Ed25519,
            KeyType::Rsa2048 => Self::Rsa2048,
        }
    }
}

/// A number as people write it: decimal, or hexadecimal after `0x`.
pub(crate) fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("{error}; write it as 512 or 0x200"))
}

/// Reads a file that should hold an image or firmware.
pub(crate) fn read(path: &Path) -> Result<Contents, Failure> {
    read_image(path, 0)
}

/// The same, with that image of a package that holds several.
pub(crate) fn read_image(path: &Path, image: u32) -> Result<Contents, Failure> {
    Ok(otaru_sign::file::read(path, 0xff, image)?)
}

/// Refuses to write over a file that the command needs.
pub(crate) fn keep_apart(needed: &Path, what: &str, output: &Path) -> Result<(), Failure> {
    match (needed.canonicalize(), output.canonicalize()) {
        (Ok(needed), Ok(output)) if needed == output => {
            let message = format!("{} is both {what} and the file to write", output.display());
            Err(Failure::new(Exit::Usage, "usage", message, "give the file to write another name"))
        }
        _ => Ok(()),
    }
}

/// Parses the image that a file holds.
pub(crate) fn parse<'a>(path: &Path, contents: &'a Contents) -> Result<Image<'a>, Failure> {
    Image::parse(&contents.bytes).map_err(|error| {
        Failure::new(
            Exit::Usage,
            "image.malformed",
            format!("{}: {error}", path.display()),
            "give a signed image as .bin or .hex, or a dfu_application.zip that holds one",
        )
    })
}

/// The project that was named, or the one around the current folder.
pub(crate) fn project(named: Option<&Path>) -> Result<Option<Project>, Failure> {
    let found = || Project::find(&std::env::current_dir().ok()?);
    match named.map(PathBuf::from).or_else(found) {
        Some(path) => Ok(Some(Project::load(&path)?)),
        None => Ok(None),
    }
}

/// A failure that is about this file.
pub(crate) fn about(file: &Path, failure: Failure) -> Failure {
    Failure { message: format!("{}: {}", file.display(), failure.message), ..failure }
}

/// A name for the last line of JSON and for sentences.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let (exit, code, next) = match error.problem {
            FileProblem::Exists => (Exit::Usage, "file.exists", "choose another name, or take the file away first"),
            FileProblem::Write(_) => {
                (Exit::Otherwise, "file.write", "check that its folder exists, may be written to and has room")
            }
            FileProblem::Read(_) => (Exit::Usage, "file.read", "check the name"),
            _ => {
                (Exit::Usage, "file.format", "give the file anew: it is damaged, or of another kind than its name says")
            }
        };
        Self::new(exit, code, error.to_string(), next)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let next = match &error {
            LoadError::Read { .. } => "check the name; otaru key gen makes a key",
            LoadError::Key { error, .. } => key_next(error),
            _ => "",
        };
        Self::new(Exit::Usage, "key.unusable", error.to_string(), next)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::new(Exit::Usage, "key.unusable", error.to_string(), key_next(&error))
    }
}

fn key_next(error: &KeyError) -> &'static str {
    match error {
        KeyError::PublicOnly { .. } => "name the file with the private key; only verify is content with a public one",
        KeyError::Encrypted { .. } => "decrypt the key and keep the result readable by you alone",
        KeyError::Unsupported { .. } => "make a key with otaru key gen -t p256|ed25519|rsa-2048 -o FILE",
        KeyError::Random { .. } => "try again",
        _ => "take the key from a backup; a key that is damaged cannot be repaired",
    }
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Self {
        let (code, next) = match &error {
            ProjectError::Read { .. } => {
                ("project.read", "name its folder with --project, or make one with otaru new DIR")
            }
            ProjectError::Key { error, .. } => match &**error {
                LoadError::Key { error, .. } => ("project.key", key_next(error)),
                _ => ("project.key", "correct the path in otaru.toml; it is resolved against the folder of that file"),
            },
            ProjectError::Encryption { .. } => (
                "project.encryption",
                "sign and encrypt with imgtool (-E), or take keys.encryption out for images in the clear",
            ),
            ProjectError::NoSigningKey { .. } => ("project.key", "name the key in otaru.toml, or sign with --key FILE"),
            ProjectError::OtherKey { .. } => {
                ("project.pinned", "sign with the pinned key, or change keys.pinned if devices trust the new one")
            }
            ProjectError::Published { .. } => {
                ("key.published", "make a key of your own: otaru key gen -t p256 -o keys/signing.pem")
            }
            ProjectError::NoLayout { .. } | ProjectError::WhichLayout { .. } | ProjectError::Layout { .. } => {
                ("project.layout", "correct otaru.toml, or name another layout with --layout")
            }
            _ => ("project.syntax", "correct otaru.toml; otaru new DIR writes one to compare with"),
        };
        Self::new(Exit::Usage, code, error.to_string(), next)
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::File(error) => error.into(),
            CreateError::Key(error) => error.into(),
            other => Self::new(Exit::Defect, "defect", other.to_string(), ""),
        }
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        let (code, next) = match error {
            SignError::TooLarge { .. } => {
                ("sign.too-large", "make the firmware smaller, or the slots in the layout larger, in the loader too")
            }
            SignError::AlreadyAnImage => ("sign.already", "otaru inspect shows what is in it"),
            SignError::NoRoomForHeader { .. } | SignError::ShorterThanHeader { .. } => {
                ("sign.no-room", "link the firmware behind room for the header, or sign with --pad-header")
            }
            SignError::TrailerWithoutLayout => {
                ("sign.no-layout", "name a board with --layout, or a project with --project")
            }
            SignError::Key(error) => return error.into(),
            _ => ("sign.refused", "give firmware as the linker makes it, as .bin or .hex"),
        };
        Self::new(Exit::Usage, code, error.to_string(), next)
    }
}

#[cfg(test)]
mod tests;
