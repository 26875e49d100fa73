//! `otaru new`: a project with a fresh key.

use super::host::{KeyType, shown};
use crate::failure::Failure;
use crate::output::Output;
use otaru_sign::key::{SigningKey, type_name};
use otaru_sign::project::create;
use serde_json::json;
use std::path::PathBuf;

/// Make a project: a folder with otaru.toml, a fresh signing key and the layout of a board.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  otaru new lock\n  otaru new lock --key ed25519")]
pub(crate) struct New {
    /// The folder; made if it is not there. Nothing in it is overwritten.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Type of the signing key.
    #[arg(long, value_enum, default_value_t)]
    key: KeyType,
}

/// Runs `otaru new`.
pub(crate) fn run(new: &New, output: &Output) -> Result<(), Failure> {
    let created = create(&new.folder, SigningKey::generate(new.key.into())?)?;
    let (key_type, hash) = (type_name(created.key.scheme()), hex::encode(created.key.public().hash()));
    for file in &created.files {
        output.note(format!("wrote {}", file.display()));
    }
    output.note(format!("Sign with it: otaru sign IN OUT --version 1.0.0 --project {}", new.folder.display()));
    output.note(format!("Keep a copy of the private key where it is safe: devices that trust {hash} take no other."));
    let files: Vec<_> = created.files.iter().map(|file| shown(file)).collect();
    output.event("done", json!({ "files": files, "key": { "type": key_type, "hash": hash } }));
    Ok(())
}
