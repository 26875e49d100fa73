//! The files of a vector folder, as its README.md describes them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use otaru_flash::{DeviceId, FlashAddr};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One loader build with its flash layout.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) id: String,
    pub(super) mode: String,
    pub(super) signature: Signature,
    pub(super) encryption: Option<serde_json::Value>,
    pub(super) erased_value: u8,
    pub(super) max_align: u32,
    pub(super) max_sectors: u32,
    pub(super) devices: Vec<Device>,
    pub(super) areas: Areas,
    pub(super) trailer: Trailer,
    pub(super) options: BTreeMap<String, serde_json::Value>,
}

impl Config {
    /// Whether an option is on.
    pub(super) fn option(&self, name: &str) -> bool {
        self.options.get(name).is_some_and(|value| value == true)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Signature {
    #[serde(rename = "type")]
    pub(super) scheme: String,
    pub(super) hash: String,
    pub(super) public_keys: Vec<KeyFiles>,
}

#[derive(Debug, Deserialize)]
pub(super) struct KeyFiles {
    pub(super) der: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub(super) id: u8,
    pub(super) size: u32,
    pub(super) align: u32,
    pub(super) sectors: Vec<Run>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) size: u32,
    pub(super) count: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Areas {
    pub(super) images: Vec<Slots>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Slots {
    pub(super) primary: Area,
    pub(super) secondary: Area,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Area {
    pub(super) device: u8,
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl Area {
    pub(super) fn address(&self) -> FlashAddr {
        FlashAddr::new(DeviceId(self.device), self.offset)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Trailer {
    /// Where each cell starts, counted from the end of the slot: negative.
    pub(super) cells: BTreeMap<String, i64>,
}

/// One power-up.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) family: String,
    pub(super) config: String,
    pub(super) input: Input,
    pub(super) expect: Expect,
    pub(super) compare: Vec<Row>,
    #[serde(default)]
    pub(super) may_reject: bool,
    pub(super) quirk: Option<String>,
    pub(super) wanted_versions: Option<Vec<String>>,
}

/// Device id to blob id.
pub(super) type FlashBlobs = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
pub(super) struct Input {
    pub(super) flash: FlashBlobs,
}

#[derive(Debug, Deserialize)]
pub(super) struct Expect {
    pub(super) result: String,
    pub(super) device: Option<u8>,
    pub(super) image_offset: Option<u32>,
    pub(super) version: Option<String>,
    pub(super) flash: FlashBlobs,
}

/// One range to compare: a JSON array in this order.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) level: String,
    pub(super) what: String,
    pub(super) _image: u32,
    pub(super) slot: String,
    pub(super) device: u8,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// One table of what each combination of trailer fields leads to.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    pub(super) config: String,
    pub(super) layout: String,
    pub(super) base: FlashBlobs,
    /// slot, field, value to what is laid over the base.
    pub(super) patches: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<Patch>>>>,
    pub(super) rows: Vec<TableRow>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Patch {
    pub(super) device: u8,
    pub(super) offset: u32,
    pub(super) bytes: String,
}

/// One row of a table: a JSON array in this order.
#[derive(Debug, Deserialize)]
pub(super) struct TableRow {
    pub(super) primary: String,
    pub(super) secondary: String,
    pub(super) result: String,
    pub(super) _swap_type: Option<String>,
    pub(super) primary_after: SlotAfter,
    pub(super) secondary_after: SlotAfter,
    pub(super) check: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct SlotAfter {
    pub(super) version: Option<String>,
    pub(super) letters: String,
    pub(super) swap_info: Option<u8>,
}

/// A folder of vectors.
pub(super) struct Folder {
    root: PathBuf,
    pub(super) configs: Vec<Config>,
    blobs: BTreeMap<String, (usize, usize, usize)>,
    pack: Vec<u8>,
}

impl Folder {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let pack = root.join("blobs.pack");
        Ok(Self {
            configs: read_json(&root.join("configs.json"))?,
            blobs: read_json(&root.join("blobs.json"))?,
            pack: fs::read(&pack).with_context(|| format!("cannot read {}", pack.display()))?,
            root: root.to_owned(),
        })
    }

    pub(super) fn config(&self, id: &str) -> Result<&Config> {
        self.configs.iter().find(|config| config.id == id).with_context(|| format!("no config has the id {id}"))
    }

    /// All cases of all families, in the order of their files' names.
    pub(super) fn cases(&self) -> Result<Vec<Case>> {
        let dir = self.root.join("cases");
        let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        paths.sort();
        let mut cases = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            for (index, line) in text.lines().enumerate() {
                let case = serde_json::from_str(line);
                cases.push(case.with_context(|| format!("{}, line {}", path.display(), index + 1))?);
            }
        }
        Ok(cases)
    }

    pub(super) fn tables(&self) -> Result<Vec<Table>> {
        read_json(&self.root.join("cases/trailer-table.json"))
    }

    /// The public keys of a config, in the form that a loader embeds.
    pub(super) fn keys(&self, config: &Config) -> Result<Vec<Vec<u8>>> {
        let read = |files: &KeyFiles| {
            let path = self.root.join(&files.der);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        config.signature.public_keys.iter().map(read).collect()
    }

    /// The bytes of one device.
    pub(super) fn device(&self, flash: &FlashBlobs, device: &Device) -> Result<Vec<u8>> {
        let id = flash.get(&device.id.to_string());
        let id = id.with_context(|| format!("there is no blob for device {}", device.id))?;
        let bytes = self.blob(id)?;
        ensure!(
            bytes.len() == device.size as usize,
            "blob {id} has {} bytes, and device {} has {}",
            bytes.len(),
            device.id,
            device.size
        );
        Ok(bytes)
    }

    fn blob(&self, id: &str) -> Result<Vec<u8>> {
        let Some(&(offset, packed, length)) = self.blobs.get(id) else { bail!("blobs.json has no blob {id}") };
        let range = self.pack.get(offset..).and_then(|rest| rest.get(..packed));
        let packed = range.with_context(|| format!("blobs.pack ends before the end of blob {id}"))?;
        let mut bytes = Vec::new();
        // One byte more than promised is enough to see that there is more.
        let limit = length as u64 + 1;
        let read = GzDecoder::new(packed).take(limit).read_to_end(&mut bytes);
        read.with_context(|| format!("blob {id} cannot be unpacked"))?;
        ensure!(bytes.len() == length, "blob {id} does not have the {length} bytes that blobs.json promises");
        Ok(bytes)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not of the format of boot vectors", path.display()))
}
