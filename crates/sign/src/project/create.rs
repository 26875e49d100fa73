//! A new project: a folder with a project file and a fresh key.

use super::layout::BOARDS;
use crate::file::{Access, Existing, FileError, FileProblem, write};
use crate::key::{KeyError, SigningKey};
use std::path::{Path, PathBuf};

/// The name of the project file.
pub const FILE_NAME: &str = "otaru.toml";

/// Git must not take private keys along; public halves are for everybody.
const GITIGNORE: &str = "# Private keys stay on this machine. Keep a copy where it is safe.\n*.pem\n!*.pub.pem\n";

/// What was made.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub key: SigningKey,
    /// Every file, the project file last.
    pub files: Vec<PathBuf>,
}

/// Makes a project in `folder` with `key` as its signing key. Refuses if any file it would write is there already.
///
/// # Interruption
/// The project file is written last: without it there is no project. Files written before a failure are taken away.
///
/// # Errors
/// A file that is there already or cannot be written, a key that cannot be encoded.
pub fn create(folder: &Path, key: SigningKey) -> Result<Created, CreateError> {
    let keys = folder.join("keys");
    let name = folder.canonicalize().ok().or_else(|| std::path::absolute(folder).ok()).unwrap_or(folder.into());
    let name = name.file_name().map_or("project".into(), |name| name.to_string_lossy().into_owned());
    let files = [
        (keys.join("signing.pem"), key.to_pem()?, Access::Owner),
        (keys.join("signing.pub.pem"), key.public().to_pem(), Access::Default),
        (keys.join(".gitignore"), GITIGNORE.to_owned(), Access::Default),
        (folder.join(FILE_NAME), project_file(&name, &key), Access::Default),
    ];
    if let Some((path, ..)) = files.iter().find(|(path, ..)| path.exists()) {
        return Err(FileError { path: path.clone(), problem: FileProblem::Exists }.into());
    }
    std::fs::create_dir_all(&keys)
        .map_err(|error| FileError { path: keys.clone(), problem: FileProblem::Write(error) })?;
    let mut written = Vec::new();
    for (path, contents, access) in files {
        if let Err(error) = write(&path, contents.as_bytes(), access, Existing::Keep) {
            for path in &written {
                let _ = std::fs::remove_file(path);
            }
            return Err(error.into());
        }
        written.push(path);
    }
    Ok(Created { key, files: written })
}

fn project_file(name: &str, key: &SigningKey) -> String {
    let (board, lines) = BOARDS[0];
    let name = toml::Value::String(name.to_owned());
    let hash = hex::encode(key.public().hash());
    format!(
        "# Paths are relative to this file; absolute paths and ~ work too.

[project]
name = {name}
profile = \"development\" # \"production\" refuses keys whose private half is published

[keys]
signing = \"keys/signing.pem\"
# Refuse any other signing key than the one this project began with:
# pinned = \"sha256:{hash}\"

# The flash of a board: where the slots lie, how it is erased and written.
[layout.{board}]
{lines}
[image]
header-size = 0x200
layout = \"{board}\"
"
    )
}

/// Why no project was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}
