//! A recorded file, and what is known of the server it was recorded from.

use super::meaning::{bytes, decode, entry, number};
use anyhow::{Context, Result, ensure};
use ciborium::Value;
use otaru_image::Version;
use otaru_smp::{Group, HEADER_SIZE, Header, Message};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    name: String,
    req: String,
    rsp: Vec<String>,
    replay: bool,
}

/// One request and its answers.
pub(super) struct Vector {
    pub(super) line: usize,
    pub(super) name: String,
    /// Empty if it was too long to record.
    pub(super) request: Vec<u8>,
    pub(super) answers: Vec<Vec<u8>>,
    /// Whether it can be sent as it is.
    pub(super) replay: bool,
}

/// A recorded file.
pub(super) struct Recording {
    pub(super) vectors: Vec<Vector>,
    /// What slot 0 and slot 1 were listed with.
    pub(super) listed: [Option<Listed>; 2],
    /// The file that was uploaded.
    pub(super) file: Option<File>,
}

/// An image as the server listed it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) version: Version,
    pub(super) hash: Vec<u8>,
}

/// A file by what the first piece of its upload says.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) len: u32,
    pub(super) sha: Vec<u8>,
}

impl Recording {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let lines = (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty());
        let vectors = lines.map(|(line, text)| vector(line, text).with_context(|| format!("line {line}")));
        let vectors: Vec<_> = vectors.collect::<Result<_>>()?;
        ensure!(!vectors.is_empty(), "it holds no vectors");
        let file =
            vectors.iter().filter(|vector| !vector.replay).chain(&vectors).find_map(|vector| file(&vector.request));
        let listed = [0, 1].map(|slot| vectors.iter().flat_map(|vector| &vector.answers).find_map(|a| listed(a, slot)));
        Ok(Self { vectors, listed, file })
    }
}

fn vector(line: usize, text: &str) -> Result<Vector> {
    let Line { name, req, rsp, replay } = serde_json::from_str(text)?;
    let request = hex::decode(req).context("req")?;
    let answers = rsp.iter().map(hex::decode).collect::<Result<_, _>>().context("rsp")?;
    Ok(Vector { line, name, request, answers, replay })
}

/// The file that a first piece is of.
fn file(request: &[u8]) -> Option<File> {
    let header = Header::parse(request)?;
    let body = decode(request.get(HEADER_SIZE..)?)?;
    let upload = header.group == Group::IMAGE && header.command == otaru_smp::command::image::UPLOAD;
    let sha = bytes(entry(&body, "sha")?)?.to_vec();
    let len = u32::try_from(number(entry(&body, "len")?)?).ok()?;
    (upload && sha.len() == 32).then_some(File { len, sha })
}

/// What an answer lists in a slot.
fn listed(answer: &[u8], slot: i128) -> Option<Listed> {
    let body = decode(Message::split(answer).ok()?.0.body)?;
    let images = entry(&body, "images")?.as_array()?;
    let image = images.iter().find(|image| entry(image, "slot").and_then(number) == Some(slot))?;
    let version = match entry(image, "version")? {
        Value::Text(text) => version(text)?,
        _ => return None,
    };
    Some(Listed { version, hash: bytes(entry(image, "hash")?)?.to_vec() })
}

/// Reads `1.2.3` or `1.2.3.4`.
fn version(text: &str) -> Option<Version> {
    let mut fields = text.split('.').map(str::parse::<u32>);
    let mut next = || fields.next()?.ok();
    let (major, minor, revision, build) = (next()?, next()?, next()?, next().unwrap_or(0));
    Some(Version::new(major.try_into().ok()?, minor.try_into().ok()?, revision.try_into().ok()?, build))
}
