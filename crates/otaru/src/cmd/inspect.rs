//! `otaru inspect`: what an image says, in sentences or with the field names of imgtool's `dumpinfo`.

use super::host::{parse, read, shown};
use crate::failure::Failure;
use crate::output::Output;
use otaru_image::tlv::{Entry, TlvType};
use otaru_image::{MAGIC, tlv};
use otaru_sign::file::{Contents, Format};
use otaru_sign::inspect::{Image, TrailerFields, is_signature};
use otaru_sign::known;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show what an image says: header, TLVs, trailer, and whether its hash holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  otaru inspect app.bin\n  otaru inspect dfu_application.zip --json")]
pub(crate) struct Inspect {
    /// A signed image: .bin, .hex, or a dfu_application.zip.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs `otaru inspect`.
pub(crate) fn run(inspect: &Inspect, output: &Output) -> Result<(), Failure> {
    let contents = read(&inspect.file)?;
    let image = parse(&inspect.file, &contents)?;
    for sentence in sentences(&shown(&inspect.file), &contents, &image) {
        output.data(sentence);
    }
    output.event("image", fields(&shown(&inspect.file), &contents, &image));
    output.event("done", json!({}));
    Ok(())
}

fn sentences(file: &str, contents: &Contents, image: &Image<'_>) -> Vec<String> {
    let header = image.header();
    let mut said = match &contents.format {
        Format::Hex { base } => vec![format!("{file} is Intel HEX and begins at {base:#010x}.")],
        Format::Package { member, others } if others.is_empty() => {
            vec![format!("{file} is a package; this is its {member}.")]
        }
        Format::Package { member, others } => {
            vec![format!("{file} is a package; this is its {member}, beside {}.", others.join(", "))]
        }
        _ => Vec::new(),
    };
    said.push(format!(
        "{file} holds an image of version {} in {} bytes: a header of {}, a payload of {}, and TLVs.",
        header.version,
        image.image().len(),
        header.header_size,
        header.image_size
    ));
    if header.load_address != 0 || header.flags != otaru_image::Flags::NONE {
        said.push(format!("Flags: {}; load address {:#010x}.", header.flags, header.load_address));
    }
    said.push(match image.check_hash() {
        Ok(hash) => format!("Its hash holds: {}.", hex::encode(hash)),
        Err(error) => format!("Its hash does not hold: {error}."),
    });
    said.extend(image.entries().iter().filter_map(|entry| about(entry, image.value(entry))));
    match image.trailer() {
        None => said.push("No trailer.".into()),
        Some(TrailerFields { cells: None, magic }) => {
            said.push(format!("Bytes follow it that end in no trailer's magic but {}.", hex::encode(magic)));
        }
        Some(TrailerFields { cells: Some(cells), .. }) => said.push(format!(
            "A trailer follows it: image_ok {:#04x}, copy_done {:#04x}, swap_info {:#04x}.",
            cells.image_ok, cells.copy_done, cells.swap_info
        )),
    }
    said
}

/// A sentence about an entry; the hash has had its own.
fn about(entry: &Entry, value: &[u8]) -> Option<String> {
    let kind = entry.kind;
    let place = if entry.protected { "Protected" } else { "Unprotected" };
    Some(match kind {
        TlvType::SHA256 => return None,
        TlvType::KEYHASH => {
            let published = <&[u8; 32]>::try_from(value).ok().and_then(known::published);
            let warning = published.map_or_else(String::new, |name| format!(" Anyone can sign with it: it is {name}."));
            format!("Its key is {}.{warning}", hex::encode(value))
        }
        kind if is_signature(kind) => format!("Signature: {kind}, {} bytes.", entry.len),
        _ => format!("{place}: {kind}, {} bytes: {}.", entry.len, hex::encode(value)),
    })
}

/// The field names and values of imgtool's `dumpinfo -f json`, and what it does not say.
fn fields(file: &str, contents: &Contents, image: &Image<'_>) -> Value {
    let header = image.header();
    let start = header.tlv_offset().unwrap_or(u32::MAX) as usize;
    let protected_end = start + usize::from(header.protected_size);
    let total = |at: usize| u16::from_le_bytes([image.image()[at + 2], image.image()[at + 3]]);
    let area = |protected: bool| -> Vec<Value> {
        let entries = image.entries().iter().filter(|entry| entry.protected == protected);
        entries
            .map(|entry| {
                json!({
                    "type": entry.kind.0,
                    "type_name": entry.kind.name().unwrap_or("UNKNOWN"),
                    "len": entry.len,
                    "data": hex::encode(image.value(entry)),
                })
            })
            .collect()
    };
    let (mut protected_info, protected) = (json!({}), area(true));
    if header.protected_size > 0 {
        protected_info = json!({ "magic": tlv::PROTECTED, "tlv_tot": total(start) });
    }
    let areas = json!({
        "tlv_hdr_prot": protected_info,
        "tlvs_prot": protected,
        "tlv_hdr": { "magic": tlv::UNPROTECTED, "tlv_tot": total(protected_end) },
        "tlvs": area(false),
    });
    json!({
        "file": file,
        "format": match &contents.format {
            Format::Hex { .. } => "hex",
            Format::Package { .. } => "package",
            _ => "binary",
        },
        "address": if let Format::Hex { base } = contents.format { Some(base) } else { None },
        "size": image.image().len(),
        "hash": image.hash().map(hex::encode),
        "hash_ok": image.check_hash().is_ok(),
        "header": {
            "magic": MAGIC,
            "load_addr": header.load_address,
            "hdr_size": header.header_size,
            "protected_tlv_size": header.protected_size,
            "img_size": header.image_size,
            "flags": header.flags.0,
            "version": header.version.to_string(),
        },
        "tlv_area": areas,
        "trailer": image.trailer().map_or(json!({}), trailer),
    })
}

fn trailer(trailer: TrailerFields) -> Value {
    let mut fields = json!({ "magic": hex::encode(trailer.magic) });
    if let Some(cells) = trailer.cells {
        fields["image_ok"] = cells.image_ok.into();
        fields["copy_done"] = cells.copy_done.into();
        fields["swap_info"] = cells.swap_info.into();
        fields["swap_size"] = cells.swap_size.into();
    }
    fields
}
