//! The project file: `otaru.toml`, which names the key once and describes the boards.
//!
//! Every path in it is resolved against the folder that holds it; absolute paths and `~` work. What cannot be found
//! is said with the path it was resolved to.

mod create;
mod layout;

pub use create::{CreateError, Created, FILE_NAME, create};
pub use layout::{BOARDS, BoardError, built_in};

use crate::build::DEFAULT_HEADER_SIZE;
use crate::key::{LoadError, SigningKey, VerifyingKey, type_name};
use crate::known;
use otaru_layout::Layout;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A project file that was read. Keys and layouts in it are looked at when they are asked for.
#[derive(Clone, Debug)]
pub struct Project {
    file: PathBuf,
    text: Text,
}

/// How strictly keys are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Published keys are used, with a warning.
    #[default]
    Development,
    /// Published keys are refused.
    Production,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Text {
    #[serde(default)]
    project: About,
    #[serde(default)]
    keys: Keys,
    #[serde(default)]
    layout: BTreeMap<String, layout::Board>,
    #[serde(default)]
    image: Image,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct About {
    name: Option<String>,
    #[serde(default)]
    profile: Profile,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Keys {
    signing: Option<String>,
    encryption: Option<String>,
    pinned: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Image {
    header_size: Option<u16>,
    layout: Option<String>,
}

impl Project {
    /// Reads a project file, or the one in a folder.
    ///
    /// # Errors
    /// [`ProjectError`].
    pub fn load(path: &Path) -> Result<Self, ProjectError> {
        let file = if path.is_dir() { path.join(FILE_NAME) } else { path.to_path_buf() };
        let text = std::fs::read_to_string(&file).map_err(|error| ProjectError::Read { file: file.clone(), error })?;
        let text = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let before = &text.as_bytes()[..at];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            ProjectError::Syntax { file: file.clone(), line, column, reason: error.message().replace('\n', ", ") }
        })?;
        Ok(Self { file, text })
    }

    /// The project file in `folder` or the nearest folder above it.
    #[must_use]
    pub fn find(folder: &Path) -> Option<PathBuf> {
        folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|file| file.is_file())
    }

    /// The project file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text.project.name.as_deref()
    }

    /// Its profile.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.text.project.profile
    }

    /// Bytes from the start of an image to its payload.
    #[must_use]
    pub fn header_size(&self) -> u16 {
        self.text.image.header_size.unwrap_or(DEFAULT_HEADER_SIZE)
    }

    /// The key that signs, checked against the pin and the profile.
    ///
    /// # Errors
    /// No such key, not the pinned one, or a published one in production.
    pub fn signing_key(&self) -> Result<SigningKey, ProjectError> {
        let (path, written) = self.signing_path()?;
        let key = SigningKey::load(&path).map_err(|error| self.no_key(written, error))?;
        self.check_key(key.public())?;
        if let Some(written) = &self.text.keys.encryption {
            // Signed but in the clear is not what this project wants.
            return Err(ProjectError::Encryption { file: self.file.clone(), written: written.clone() });
        }
        Ok(key)
    }

    /// Where that key is, if one is named.
    #[must_use]
    pub fn signing_key_file(&self) -> Option<PathBuf> {
        self.signing_path().ok().map(|(path, _)| path)
    }

    /// The public half of that key: what devices of this project trust.
    ///
    /// # Errors
    /// As [`Self::signing_key`]; a file with the public half alone will do.
    pub fn verifying_key(&self) -> Result<VerifyingKey, ProjectError> {
        let (path, written) = self.signing_path()?;
        let key = VerifyingKey::load(&path).map_err(|error| self.no_key(written, error))?;
        self.check_key(&key)?;
        Ok(key)
    }

    /// The layout of a board, or of the one that the project's images are for.
    ///
    /// # Errors
    /// No such layout, several and none chosen, or one that breaks a rule.
    pub fn layout(&self, name: Option<&str>) -> Result<(String, Layout), ProjectError> {
        let names = || self.text.layout.keys().cloned().collect::<Vec<_>>();
        let name = match (name.or(self.text.image.layout.as_deref()), &names()[..]) {
            (Some(name), _) => name.to_owned(),
            (None, [only]) => only.clone(),
            (None, names) => return Err(ProjectError::WhichLayout { file: self.file.clone(), names: names.to_vec() }),
        };
        let Some(board) = self.text.layout.get(&name) else {
            return Err(ProjectError::NoLayout { file: self.file.clone(), name, names: names() });
        };
        match board.layout() {
            Ok(layout) => Ok((name, layout)),
            Err(error) => Err(ProjectError::Layout { file: self.file.clone(), name, error }),
        }
    }

    fn signing_path(&self) -> Result<(PathBuf, &str), ProjectError> {
        let written = self.text.keys.signing.as_deref();
        let written = written.ok_or_else(|| ProjectError::NoSigningKey { file: self.file.clone() })?;
        Ok((self.resolve(written), written))
    }

    fn no_key(&self, written: &str, error: LoadError) -> ProjectError {
        ProjectError::Key { file: self.file.clone(), written: written.into(), error: Box::new(error) }
    }

    /// The pin, then the profile.
    fn check_key(&self, key: &VerifyingKey) -> Result<(), ProjectError> {
        let found = hex::encode(key.hash());
        if let Some(pinned) = &self.text.keys.pinned {
            let hash = pinned.strip_prefix("sha256:").map(str::to_ascii_lowercase);
            let well_formed = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            let Some(pinned) = hash.filter(well_formed) else {
                return Err(ProjectError::Pin { file: self.file.clone(), written: pinned.clone() });
            };
            if pinned != found {
                let key_type = type_name(key.scheme());
                return Err(ProjectError::OtherKey { file: self.file.clone(), pinned, key_type, found });
            }
        }
        self.check_published(known::published(&key.hash()))
    }

    /// What the profile says of a key that is `published` under a name.
    fn check_published(&self, published: Option<&'static str>) -> Result<(), ProjectError> {
        match published {
            Some(name) if self.profile() == Profile::Production => {
                Err(ProjectError::Published { file: self.file.clone(), name })
            }
            _ => Ok(()),
        }
    }

    /// A path written in the project file: absolute, under the home folder, or relative to the file.
    fn resolve(&self, written: &str) -> PathBuf {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        resolve(folder, written, std::env::home_dir().as_deref())
    }
}

fn resolve(folder: &Path, written: &str, home: Option<&Path>) -> PathBuf {
    match (written, written.strip_prefix("~/"), home) {
        ("~", _, Some(home)) => home.to_path_buf(),
        (_, Some(rest), Some(home)) => home.join(rest),
        // Joining an absolute path gives that path.
        _ => folder.join(written),
    }
}

/// What is wrong with a project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// No project file, or not readable.
    #[error("cannot read the project file {}: {error}", file.display())]
    Read {
        /// The file looked for.
        file: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// Not TOML, or something in it that no project has.
    #[error("{}, line {line}, column {column}: {reason}", file.display())]
    Syntax {
        /// The project file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser said.
        reason: String,
    },
    /// No signing key named.
    #[error("{} names no signing key: [keys] signing = \"keys/signing.pem\"", file.display())]
    NoSigningKey {
        /// The project file.
        file: PathBuf,
    },
    /// A key to encrypt images for is named, and nothing here encrypts.
    #[error("{} asks for encrypted images (keys.encryption = {written:?}), which otaru cannot make yet", file.display())]
    Encryption {
        /// The project file.
        file: PathBuf,
        /// What stands there.
        written: String,
    },
    /// The signing key cannot be used.
    #[error("{error} (keys.signing = {written:?} in {})", file.display())]
    Key {
        /// The project file.
        file: PathBuf,
        /// The path as it is written there.
        written: String,
        /// Why not, with the path it was resolved to.
        error: Box<LoadError>,
    },
    /// A pin that is no hash.
    #[error("keys.pinned in {} is {written:?}, not \"sha256:\" and 64 hexadecimal digits", file.display())]
    Pin {
        /// The project file.
        file: PathBuf,
        /// What is written there.
        written: String,
    },
    /// Another key than the pinned one.
    #[error("the {key_type} signing key is {found}, but {} pins {pinned}", file.display())]
    OtherKey {
        /// The project file.
        file: PathBuf,
        /// The pinned hash.
        pinned: String,
        /// Type of the key.
        key_type: &'static str,
        /// Its hash.
        found: String,
    },
    /// A published key in production.
    #[error("the signing key is {name}: its private half is public, and {} has profile = \"production\"", file.display())]
    Published {
        /// The project file.
        file: PathBuf,
        /// What the key is known as.
        name: &'static str,
    },
    /// No layout of that name.
    #[error("{} has no layout {name:?}; it has: {}", file.display(), listed(names))]
    NoLayout {
        /// The project file.
        file: PathBuf,
        /// What was asked for.
        name: String,
        /// What there is.
        names: Vec<String>,
    },
    /// No layout, or several and none chosen.
    #[error("{} does not say which layout images are for ([image] layout = \"…\"); it has: {}", file.display(), listed(names))]
    WhichLayout {
        /// The project file.
        file: PathBuf,
        /// What there is.
        names: Vec<String>,
    },
    /// A layout that breaks a rule.
    #[error("[layout.{name}] in {}: {error}", file.display())]
    Layout {
        /// The project file.
        file: PathBuf,
        /// The layout's name.
        name: String,
        /// The rule.
        error: BoardError,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
