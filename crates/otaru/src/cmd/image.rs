//! `otaru image`: what a device holds, one request at a time.

use crate::cmd::to::{AnyLink, To};
use crate::cmd::upgrade::file::ImageFile;
use crate::cmd::upgrade::telling::{Telling, uploaded_json};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use otaru_smp_client::{Client, SlotState};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Lists, uploads, tests, confirms and erases images on a device.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  otaru image list --to udp:192.0.2.7
  otaru image upload app.signed.bin --to serial:/dev/ttyACM0
  otaru image test 3f2a90c1 --to udp:192.0.2.7
  otaru image confirm --to udp:192.0.2.7")]
pub(crate) struct Image {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists the images.
    List {
        #[command(flatten)]
        to: To,
    },
    /// Uploads a signed .bin, .hex or dfu_application.zip, and does no more.
    Upload {
        /// The image.
        file: PathBuf,
        #[command(flatten)]
        to: To,
        /// Let the device refuse an image that is not newer than what runs.
        #[arg(long)]
        only_newer: bool,
        /// Image number on the device.
        #[arg(long, value_name = "N", default_value_t = 0)]
        image: u32,
    },
    /// Has an image tested at the next boot.
    Test {
        /// Its hash as listed, or the beginning of it.
        hash: String,
        #[command(flatten)]
        to: To,
    },
    /// Confirms an image; by default the running one.
    Confirm {
        /// Its hash as listed, or the beginning of it.
        hash: Option<String>,
        #[command(flatten)]
        to: To,
    },
    /// Erases a slot; by default the one beside the running one.
    Erase {
        /// The slot, counted through all images: 2·image + slot.
        slot: Option<u32>,
        #[command(flatten)]
        to: To,
    },
    /// Lists the slots and the largest image that fits.
    Slots {
        #[command(flatten)]
        to: To,
    },
}

/// Runs `otaru image`.
pub(crate) fn run(image: &Image, output: &Output) -> Result<(), Failure> {
    match &image.action {
        Action::List { to } => to.with(output, async |client| {
            client.connect().await?;
            show(&client.list().await?, output);
            Ok(())
        }),
        Action::Upload { file, to, only_newer, image } => {
            let file = ImageFile::read(file, *image, output)?;
            to.with(output, async |client| upload(client, &file, *only_newer, output).await)
        }
        Action::Test { hash, to } => to.with(output, async |client| {
            client.connect().await?;
            let hash = find(&client.list().await?, hash)?;
            show(&client.set_state(Some(&hash), false).await?, output);
            Ok(())
        }),
        Action::Confirm { hash, to } => to.with(output, async |client| {
            client.connect().await?;
            let hash = match hash {
                Some(hash) => Some(find(&client.list().await?, hash)?),
                None => None,
            };
            show(&client.set_state(hash.as_deref(), true).await?, output);
            Ok(())
        }),
        Action::Erase { slot, to } => to.with(output, async |client| {
            client.connect().await?;
            client.erase(*slot).await?;
            output.note("erased");
            output.timed("done", json!({ "slot": slot }));
            Ok(())
        }),
        Action::Slots { to } => to.with(output, async |client| slots(client, output).await),
    }
}

async fn upload(
    client: &mut Client<AnyLink>,
    file: &ImageFile,
    only_newer: bool,
    output: &Output,
) -> Result<(), Failure> {
    client.connect().await?;
    let mut telling = Telling::new(output);
    let absence = otaru_smp_client::Options::default().absence;
    let mut tell = |event| telling.upload(&event);
    let uploaded = client.upload(&file.firmware(), only_newer, absence, &mut tell).await?;
    telling.uploaded(&uploaded);
    output.timed("done", uploaded_json(&uploaded));
    Ok(())
}

async fn slots(client: &mut Client<AnyLink>, output: &Output) -> Result<(), Failure> {
    client.connect().await?;
    let images = client.slot_info().await?;
    for image in &images {
        for slot in &image.slots {
            let size = slot.size.map_or_else(|| "unknown size".into(), |size| format!("{size} bytes"));
            output.data(format!("image {} slot {}: {size}", image.image, slot.slot));
        }
        if let Some(most) = image.max_image_size {
            output.data(format!("image {}: the largest image that fits has {most} bytes", image.image));
        }
        let slots: Vec<Value> =
            image.slots.iter().map(|slot| json!({ "slot": slot.slot, "size": slot.size, "rc": slot.rc })).collect();
        let fields = json!({ "image": image.image, "slots": slots, "max_image_size": image.max_image_size });
        output.event("slots", fields);
    }
    output.timed("done", json!({ "images": images.len() }));
    Ok(())
}

/// The list, and the end of the command.
fn show(images: &[SlotState], output: &Output) {
    for slot in images {
        output.data(format!("image {} slot {}: {}", slot.image, slot.slot, line(slot)));
        output.event("image", slot_json(slot));
    }
    if images.is_empty() {
        output.note("the device lists no image");
    }
    output.timed("done", json!({ "images": images.len() }));
}

fn line(slot: &SlotState) -> String {
    let flags = [
        (slot.active, "active"),
        (slot.confirmed, "confirmed"),
        (slot.pending, "pending"),
        (slot.permanent, "permanent"),
        (!slot.bootable, "not bootable"),
    ];
    let flags: Vec<&str> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    let flags = if flags.is_empty() { "-".into() } else { flags.join(" ") };
    format!("{} {flags}\n  hash {}", slot.version, hex::encode(&slot.hash))
}

/// A slot, for scripts.
pub(crate) fn slot_json(slot: &SlotState) -> Value {
    json!({
        "image": slot.image, "slot": slot.slot, "version": slot.version, "hash": hex::encode(&slot.hash),
        "bootable": slot.bootable, "active": slot.active, "confirmed": slot.confirmed, "pending": slot.pending,
        "permanent": slot.permanent,
    })
}

/// The hash that begins with `wanted`, if exactly one image has it.
fn find(images: &[SlotState], wanted: &str) -> Result<Vec<u8>, Failure> {
    let usage = |message| Failure::new(Exit::Usage, "hash.unknown", message, "see `otaru image list` for the hashes");
    let prefix = wanted.to_ascii_lowercase();
    if prefix.len() < 4 || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(usage(format!("{wanted:?} is no hash: at least its first 4 hexadecimal digits are needed")));
    }
    let mut found: Vec<&Vec<u8>> = images.iter().map(|slot| &slot.hash).collect();
    found.retain(|hash| hex::encode(hash).starts_with(&prefix));
    found.dedup();
    match found[..] {
        [hash] => Ok(hash.clone()),
        [] => Err(usage(format!("none of the device's {} images has a hash that begins with {wanted}", images.len()))),
        _ => Err(usage(format!("{} images have hashes that begin with {wanted}", found.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(slot: u32, hash: &str) -> SlotState {
        SlotState {
            image: 0,
            slot,
            version: "1.2.3".into(),
            hash: hex::decode(hash).unwrap(),
            bootable: true,
            pending: slot == 1,
            confirmed: slot == 0,
            active: slot == 0,
            permanent: false,
        }
    }

    #[test]
    fn hash_is_found_by_its_beginning() {
        let images = [slot(0, "aabbccdd"), slot(1, "aabb0011")];
        assert_eq!(find(&images, "AABBCC").unwrap(), [0xaa, 0xbb, 0xcc, 0xdd]);
        let same = [slot(0, "aabbccdd"), slot(1, "aabbccdd")];
        assert_eq!(find(&same, "aabb").unwrap().len(), 4);
        let said: String = ["aabb", "ffff", "aab", "xyz1"]
            .iter()
            .map(|hash| format!("{}\n", find(&images, hash).unwrap_err()))
            .collect();
        insta::assert_snapshot!(said, @r#"
        error: 2 images have hashes that begin with aabb
         next: see `otaru image list` for the hashes
         code: hash.unknown (exit status 2)
        error: none of the device's 2 images has a hash that begins with ffff
         next: see `otaru image list` for the hashes
         code: hash.unknown (exit status 2)
        error: "aab" is no hash: at least its first 4 hexadecimal digits are needed
         next: see `otaru image list` for the hashes
         code: hash.unknown (exit status 2)
        error: "xyz1" is no hash: at least its first 4 hexadecimal digits are needed
         next: see `otaru image list` for the hashes
         code: hash.unknown (exit status 2)
        "#);
    }

    #[test]
    fn slot_is_a_line_with_its_flags() {
        let said = format!("{}\n{}", line(&slot(0, "aabb")), line(&slot(1, "ccdd")));
        insta::assert_snapshot!(said, @r"
        1.2.3 active confirmed
          hash aabb
        1.2.3 pending
          hash ccdd
        ");
    }
}
