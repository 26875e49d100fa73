//! `otaru sign`: firmware becomes a signed image.

use super::host::{about, keep_apart, number, project, read, shown};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use otaru_image::Version;
use otaru_layout::Layout;
use otaru_sign::build::{DEFAULT_HEADER_SIZE, Plan, Request, SignError, SignedImage};
use otaru_sign::file::{Access, Contents, Existing, Format, is_hex, write};
use otaru_sign::key::{SigningKey, type_name};
use otaru_sign::project::{BOARDS, built_in};
use otaru_sign::{build, known};
use serde_json::json;
use std::borrow::Cow;
use std::path::PathBuf;

/// Sign firmware: .bin or Intel HEX in, .bin or Intel HEX out, as the names end.
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
#[command(
    after_help = "Key and layout come from the project (otaru.toml here, above, or with --project), or from --key and --layout.\n\n\
    Examples:\n  otaru sign zephyr.bin app.bin --version 1.2.3\n  \
    otaru sign app.hex factory.hex --version 1.2.3+4 --confirm\n  \
    otaru sign raw.bin app.bin --version 2.0.0 --key keys/ec.pem --layout nrf52840dk --pad-header"
)]
pub(crate) struct Sign {
    /// The firmware.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The signed image; replaced if it is there.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Its version: major.minor.revision+build.
    #[arg(long, value_name = "V")]
    version: Version,
    /// The project's folder or file.
    #[arg(long, value_name = "DIR", conflicts_with = "key")]
    project: Option<PathBuf>,
    /// The private key, instead of a project's.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The board: one of the project's layouts, or with --key one that otaru knows.
    #[arg(long, value_name = "NAME")]
    layout: Option<String>,
    /// Bytes from the start of the image to its payload [default: the project's, or 0x200].
    #[arg(long, value_name = "N", value_parser = number)]
    header_size: Option<u32>,
    /// Put room for the header in front of the firmware, which otherwise must begin with as many zeros.
    #[arg(long)]
    pad_header: bool,
    /// Fill up to the end of the secondary slot with a trailer that asks for a test of this image.
    #[arg(long, conflicts_with = "confirm")]
    pad: bool,
    /// Fill up to the end of the primary slot with a trailer that confirms this image: for the factory.
    #[arg(long)]
    confirm: bool,
    /// Where the image begins, for HEX made of firmware that has no address.
    #[arg(long, value_name = "ADDR", value_parser = number)]
    hex_addr: Option<u32>,
    /// With --key: sign with a key whose private half is published, for experiments.
    #[arg(long, requires = "key")]
    allow_published_key: bool,
}

/// What the project or the options name.
struct With {
    key: SigningKey,
    /// Where the key is.
    key_file: PathBuf,
    layout: Option<(String, Layout)>,
    header_size: u16,
}

/// Runs `otaru sign`.
pub(crate) fn run(sign: &Sign, output: &Output) -> Result<(), Failure> {
    let with = with(sign)?;
    warn_of_published_key(sign, &with.key, output)?;
    let Contents { bytes: firmware, format } = read(&sign.input)?;
    let plan = Plan {
        version: sign.version,
        header_size: with.header_size,
        pad_header: sign.pad_header,
        layout: with.layout.as_ref().map(|(_, layout)| layout),
        request: match (sign.pad, sign.confirm) {
            (true, _) => Request::Test,
            (_, true) => Request::Confirmed,
            _ => Request::None,
        },
    };
    if plan.layout.is_none() {
        output.warn("no layout is named, so nobody checks that the image fits its slots: use --layout or --project");
    }
    let signed = build::sign_in_place(firmware, &with.key, &plan).map_err(|error| match error {
        // A key's failure is not about the firmware.
        SignError::Key(error) => error.into(),
        error => about(&sign.input, error.into()),
    })?;
    keep_apart(&sign.input, "the firmware", &sign.output)?;
    keep_apart(&with.key_file, "the key", &sign.output)?;
    let bytes = packed(sign, &format, &signed, with.header_size)?;
    write(&sign.output, &bytes, Access::Default, Existing::Replace)?;
    tell(sign, &with, &signed, output);
    Ok(())
}

fn with(sign: &Sign) -> Result<With, Failure> {
    let asked = sign.header_size.map(|size| {
        u16::try_from(size).map_err(|_| {
            let message = format!("--header-size {size:#x} is more than the 0xffff that an image header can say");
            Failure::new(Exit::Usage, "usage", message, "0x200 suits most chips")
        })
    });
    let asked = asked.transpose()?;
    if let Some(path) = &sign.key {
        let layout = sign.layout.as_deref().map(known_board).transpose()?;
        let header_size = asked.unwrap_or(DEFAULT_HEADER_SIZE);
        return Ok(With { key: SigningKey::load(path)?, key_file: path.clone(), layout, header_size });
    }
    let project = project(sign.project.as_deref())?.ok_or_else(|| {
        let message = "no otaru.toml here or in a folder above, and no --key";
        Failure::new(
            Exit::Usage,
            "project.none",
            message,
            "name a project with --project, or make one with otaru new DIR",
        )
    })?;
    Ok(With {
        key: project.signing_key()?,
        key_file: project.signing_key_file().unwrap_or_default(),
        layout: Some(project.layout(sign.layout.as_deref())?),
        header_size: asked.unwrap_or(project.header_size()),
    })
}

fn known_board(name: &str) -> Result<(String, Layout), Failure> {
    built_in(name).map(|layout| (name.to_owned(), layout)).ok_or_else(|| {
        let boards: Vec<_> = BOARDS.iter().map(|(board, _)| *board).collect();
        let message = format!("{name:?} is no board that otaru knows; it knows {}", boards.join(", "));
        Failure::new(
            Exit::Usage,
            "project.layout",
            message,
            "describe the board in an otaru.toml: otaru new DIR writes one",
        )
    })
}

/// A project's profile has had its say already; without one, published keys must be asked for.
fn warn_of_published_key(sign: &Sign, key: &SigningKey, output: &Output) -> Result<(), Failure> {
    let Some(name) = known::published(&key.public().hash()) else { return Ok(()) };
    if sign.key.is_some() && !sign.allow_published_key {
        let next = "make a key of your own with otaru key gen, or ask for this one with --allow-published-key";
        let message = format!("the key is {name}: its private half is public, so anyone can sign what it signs");
        return Err(Failure::new(Exit::Usage, "key.published", message, next));
    }
    output.warn(format!("the key is {name}: anyone can sign what it signs; never ship a device that trusts it"));
    Ok(())
}

/// The bytes of the file to write.
fn packed<'s>(
    sign: &Sign,
    format: &Format,
    signed: &'s SignedImage,
    header_size: u16,
) -> Result<Cow<'s, [u8]>, Failure> {
    if !is_hex(&sign.output) {
        return Ok(signed.to_bin());
    }
    let usage = |message: String, next: &str| Failure::new(Exit::Usage, "sign.address", message, next);
    let room = if sign.pad_header { u32::from(header_size) } else { 0 };
    let base = match (sign.hex_addr, format) {
        (Some(address), _) => address,
        (None, Format::Hex { base }) => base.checked_sub(room).ok_or_else(|| {
            let message = format!("there is no room for a header of {room} bytes below address {base:#x}");
            usage(message, "link the firmware at a higher address, or say where the image begins with --hex-addr")
        })?,
        (None, _) => {
            let message = format!("{} has no address, and HEX needs one", sign.input.display());
            return Err(usage(message, "say where the image begins with --hex-addr, as in --hex-addr 0xc000"));
        }
    };
    let text = signed.to_hex(base).map_err(|error| usage(error.to_string(), "choose a lower address"))?;
    Ok(text.into_bytes().into())
}

fn tell(sign: &Sign, with: &With, signed: &SignedImage, output: &Output) {
    let (size, hash) = (signed.image().len(), hex::encode(signed.digest()));
    let key_hash = hex::encode(with.key.public().hash());
    let limit = with.layout.as_ref().map(|(_, layout)| layout.max_image_size());
    let of = limit.map_or_else(String::new, |limit| format!(" of {limit} that fit"));
    output.note(format!("wrote {}: version {}, {size} bytes{of}", sign.output.display(), sign.version));
    output.note(format!("its hash is {hash}"));
    if let Some(slot) = signed.slot() {
        output.note(format!("its trailer is at the end of the {slot} slot"));
    }
    output.event(
        "done",
        json!({
            "file": shown(&sign.output),
            "version": sign.version.to_string(),
            "size": size,
            "max_size": limit,
            "layout": with.layout.as_ref().map(|(name, _)| name),
            "hash": hash,
            "key": { "type": type_name(with.key.scheme()), "hash": key_hash },
            "trailer": signed.slot().map(|slot| slot.to_string()),
        }),
    );
}
