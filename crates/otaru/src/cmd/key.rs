//! `otaru key`: keys made, shown, and their public halves written for loaders.

use super::host::{KeyType, keep_apart, shown};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use otaru_sign::file::{Access, Existing, write};
use otaru_sign::key::{SigningKey, VerifyingKey, type_name};
use otaru_sign::known;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Make keys, and write their public halves for loaders.
#[derive(Debug, clap::Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeyCommand {
    /// Make a private key (PKCS#8 PEM, not encrypted, readable by its owner alone).
    #[command(after_help = "Example:\n  otaru key gen -t ed25519 -o keys/signing.pem")]
    Gen(Gen),
    /// Write the public half of a key.
    #[command(after_help = "Example:\n  otaru key pub -k keys/signing.pem -e c -o keys.c")]
    Pub(Pub),
    /// Show what a key file holds.
    Info(Info),
}

#[derive(Debug, clap::Args)]
struct Gen {
    /// Type of the key.
    #[arg(short = 't', long = "type", value_enum)]
    key_type: KeyType,
    /// Where to write it.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there: the key in it is lost.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct Pub {
    /// A private or public key.
    #[arg(short, long, value_name = "FILE")]
    key: PathBuf,
    /// As what: der is the form whose SHA-256 is the key hash, and which loaders embed.
    #[arg(short, long, value_enum, default_value_t)]
    encoding: Encoding,
    /// Where to write it; stdout otherwise.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Encoding {
    #[default]
    Pem,
    Der,
    C,
    Rust,
}

#[derive(Debug, clap::Args)]
struct Info {
    /// A private or public key.
    #[arg(value_name = "FILE")]
    key: PathBuf,
}

/// Runs `otaru key`.
pub(crate) fn run(key: &Key, output: &Output) -> Result<(), Failure> {
    match &key.command {
        KeyCommand::Gen(gen_args) => generate(gen_args, output),
        KeyCommand::Pub(pub_args) => public(pub_args, output),
        KeyCommand::Info(info_args) => info(info_args, output),
    }
}

fn generate(args: &Gen, output: &Output) -> Result<(), Failure> {
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let key = SigningKey::generate(args.key_type.into())?;
    write(&args.output, key.to_pem()?.as_bytes(), Access::Owner, existing)?;
    let (key_type, hash) = (type_name(key.scheme()), hex::encode(key.public().hash()));
    output.note(format!("wrote {}: a private {key_type} key, hash {hash}", args.output.display()));
    output.event("done", json!({ "file": shown(&args.output), "key": { "type": key_type, "hash": hash } }));
    Ok(())
}

fn public(args: &Pub, output: &Output) -> Result<(), Failure> {
    let key = VerifyingKey::load(&args.key)?;
    let bytes = match args.encoding {
        Encoding::Pem => key.to_pem().into_bytes(),
        Encoding::Der => key.to_der().to_vec(),
        Encoding::C => key.to_c().into_bytes(),
        Encoding::Rust => key.to_rust().into_bytes(),
    };
    let described = json!({ "type": type_name(key.scheme()), "hash": hex::encode(key.hash()) });
    if let Some(file) = &args.output {
        keep_apart(&args.key, "the key", file)?;
        write(file, &bytes, Access::Default, Existing::Replace)?;
        output.note(format!("wrote {}", file.display()));
        output.event("done", json!({ "file": shown(file), "key": described }));
        return Ok(());
    }
    if output.json() {
        output.event("done", json!({ "key": described, "pem": key.to_pem(), "der": hex::encode(key.to_der()) }));
        return Ok(());
    }
    std::io::stdout().write_all(&bytes).map_err(|error| {
        Failure::new(Exit::Usage, "file.write", format!("stdout cannot be written: {error}"), "write to a file with -o")
    })
}

fn info(args: &Info, output: &Output) -> Result<(), Failure> {
    let private = SigningKey::load(&args.key).is_ok();
    let key = VerifyingKey::load(&args.key)?;
    let (half, key_type, hash) =
        (if private { "private" } else { "public" }, type_name(key.scheme()), hex::encode(key.hash()));
    output.data(format!("{} holds a {half} {key_type} key.", args.key.display()));
    output.data(format!("Its hash, as images name it, is {hash}."));
    let published = known::published(&key.hash());
    if let Some(name) = published {
        output.data(format!("Anyone can sign with it: it is {name}."));
    }
    output.event(
        "done",
        json!({
            "file": shown(&args.key),
            "private": private,
            "key": { "type": key_type, "hash": hash },
            "published": published,
        }),
    );
    Ok(())
}
