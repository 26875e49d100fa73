//! An image file, read and checked before anything of it is sent.

use crate::cmd::host::{parse, read_image, shown};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use otaru_crypto::Sha256;
use otaru_sign::file::Format;
use otaru_sign::inspect::{VerifyError, is_signature};
use otaru_smp_client::Firmware;
use serde_json::json;
use std::path::Path;

/// What was read: the image alone, without padding or trailer, and its facts.
#[derive(Debug)]
pub(crate) struct ImageFile {
    bytes: Vec<u8>,
    sha: [u8; 32],
    hash: [u8; 32],
    version: String,
    /// Image number on the device.
    image: u32,
}

impl ImageFile {
    /// Reads a signed `.bin`, `.hex` or `dfu_application.zip` and checks header, TLV bounds and image hash.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub(crate) fn read(path: &Path, image: u32, output: &Output) -> Result<Self, Failure> {
        let contents = read_image(path, image)?;
        let name = match &contents.format {
            Format::Package { member, .. } => format!("{}, {member}", path.display()),
            _ => shown(path),
        };
        let parsed = parse(path, &contents)?;
        let hash = match parsed.check_hash() {
            Ok(hash) => hash,
            // Its hash is of what it decrypts to, which only the device can tell.
            Err(VerifyError::Encrypted) => parsed.hash().ok_or_else(|| damaged(&name, &VerifyError::NoHash))?,
            Err(error) => return Err(damaged(&name, &error)),
        };
        if !parsed.entries().iter().any(|entry| is_signature(entry.kind)) {
            output.warn(format!("{name} is not signed: a bootloader that checks signatures will not boot it"));
        }
        if let Format::Package { others, .. } = &contents.format
            && !others.is_empty()
        {
            output.warn(format!(
                "{}: only the file for image {image} is sent, not {}",
                path.display(),
                others.join(", ")
            ));
        }
        let bytes = parsed.image().to_vec();
        let version = parsed.header().version.to_string();
        output.note(format!("{name}: version {version}, {} bytes, hash {}", bytes.len(), hex::encode(&hash[..8])));
        let fields = json!({ "file": shown(path), "version": version, "size": bytes.len(), "hash": hex::encode(hash) });
        output.event("file", fields);
        Ok(Self { sha: Sha256::of(&bytes), bytes, hash, version, image })
    }

    /// As the client wants it.
    pub(crate) fn firmware(&self) -> Firmware<'_> {
        Firmware { bytes: &self.bytes, file_sha: self.sha, hash: self.hash, version: &self.version, image: self.image }
    }
}

fn damaged(name: &str, error: &VerifyError) -> Failure {
    let next = "sign the firmware again, or fetch the file again: it was damaged on its way";
    Failure::new(Exit::Usage, "image.damaged", format!("{name}: {error}"), next)
}
