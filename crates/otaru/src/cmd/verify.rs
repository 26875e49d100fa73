//! `otaru verify`: would a loader that trusts this key take this image?

use super::host::{parse, project, read, shown};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use otaru_layout::Layout;
use otaru_sign::inspect::VerifyError;
use otaru_sign::key::{VerifyingKey, type_name};
use otaru_sign::known;
use otaru_sign::project::ProjectError;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check an image: its hash, its signature, and whether it fits the slots.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The key and the layout come from the project (otaru.toml here, above, or with --project), or the key from --key.\n\
    Without any key only the hash is checked, and that is said.\n\n\
    Examples:\n  otaru verify app.bin\n  otaru verify app.hex --key keys/signing.pub.pem"
)]
pub(crate) struct Verify {
    /// A signed image: .bin, .hex, or a dfu_application.zip.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key that must have signed it: PEM, public or private, or DER.
    #[arg(long, value_name = "PUB", conflicts_with = "project")]
    key: Option<PathBuf>,
    /// The project whose key must have signed it, and whose slots it must fit.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

/// Runs `otaru verify`.
pub(crate) fn run(verify: &Verify, output: &Output) -> Result<(), Failure> {
    let (key, layout) = against(verify)?;
    let contents = read(&verify.file)?;
    let image = parse(&verify.file, &contents)?;
    let hash = match &key {
        Some(key) => image.verify(std::slice::from_ref(key)).and_then(|_| image.check_hash()),
        None => image.check_hash(),
    };
    let hash = hash.map_err(|error| refused(&verify.file, &error))?;
    if let Some(layout) = &layout {
        check_size(&verify.file, image.image().len(), layout)?;
    }
    let header = image.header();
    output.data(format!("{}: version {}, hash {}", verify.file.display(), header.version, hex::encode(hash)));
    match &key {
        Some(key) => {
            output.data(format!("signed by the {} key {}", type_name(key.scheme()), hex::encode(key.hash())));
            if let Some(name) = known::published(&key.hash()) {
                output.warn(format!("the key is {name}: anyone can sign with it"));
            }
        }
        None => output.warn("the signature is not checked: no key is named, use --key or --project"),
    }
    output.event(
        "done",
        json!({
            "file": shown(&verify.file),
            "version": header.version.to_string(),
            "hash": hex::encode(hash),
            "size": image.image().len(),
            "max_size": layout.map(|layout| layout.max_image_size()),
            "key": key.map(|key| json!({ "type": type_name(key.scheme()), "hash": hex::encode(key.hash()) })),
        }),
    );
    Ok(())
}

/// The key and the slots to check against.
fn against(verify: &Verify) -> Result<(Option<VerifyingKey>, Option<Layout>), Failure> {
    if let Some(path) = &verify.key {
        return Ok((Some(VerifyingKey::load(path)?), None));
    }
    match project(verify.project.as_deref())? {
        Some(project) => {
            let layout = match project.layout(None) {
                Ok((_, layout)) => Some(layout),
                // A project of several boards: the signature is the same for all of them.
                Err(ProjectError::WhichLayout { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            Ok((Some(project.verifying_key()?), layout))
        }
        None => Ok((None, None)),
    }
}

pub(super) fn refused(file: &Path, error: &VerifyError) -> Failure {
    let (code, next) = match error {
        VerifyError::Hash { .. } => ("image.damaged", "get the image again: it was changed after it was signed"),
        VerifyError::NotSigned => ("image.unsigned", "sign the firmware with otaru sign"),
        VerifyError::Stranger { .. } => {
            ("image.stranger", "check with the key it was signed with, or sign it with this one")
        }
        VerifyError::Signature { .. } => {
            ("image.signature", "do not use it: it names the key, but was not signed with it")
        }
        _ => (
            "image.unverifiable",
            "sign the firmware with otaru sign, or with imgtool and one of its three default kinds of keys",
        ),
    };
    Failure::new(Exit::Verification, code, format!("{}: {error}", file.display()), next)
}

fn check_size(file: &Path, size: usize, layout: &Layout) -> Result<(), Failure> {
    let max = layout.max_image_size();
    if size <= max as usize {
        return Ok(());
    }
    let message =
        format!("{}: the image has {size} bytes, {} more than the {max} that fit", file.display(), size - max as usize);
    Err(Failure::new(Exit::Verification, "image.too-large", message, "make the firmware smaller, or the slots larger"))
}
