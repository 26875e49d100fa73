//! Boards as they are written down: `[layout.NAME]`.

use otaru_flash::{DeviceId, Geometry, SectorRun, WriteUnit};
use otaru_layout::{Area, DEFAULT_MAX_ALIGN, DEFAULT_MAX_SECTORS, Layout, LayoutError, Mode, Spec};
use serde::Deserialize;

/// A board with one flash device.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Board {
    mode: String,
    write_size: u32,
    #[serde(default = "erased")]
    erased_value: u8,
    primary: Range,
    secondary: Range,
    sectors: Vec<Sectors>,
    max_align: Option<u32>,
    #[serde(default = "max_sectors")]
    max_sectors: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    offset: u32,
    size: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sectors {
    size: u32,
    count: u32,
}

fn erased() -> u8 {
    0xff
}

fn max_sectors() -> u32 {
    DEFAULT_MAX_SECTORS
}

impl Board {
    pub(super) fn layout(&self) -> Result<Layout, BoardError> {
        let mode: Mode = self.mode.parse().map_err(|_| BoardError::Mode { found: self.mode.clone() })?;
        let unit = WriteUnit::new(self.write_size).ok_or(BoardError::WriteSize { found: self.write_size })?;
        if !matches!(self.erased_value, 0 | 0xff) {
            return Err(BoardError::ErasedValue { found: self.erased_value });
        }
        let runs: Vec<_> = self.sectors.iter().map(|run| SectorRun { size: run.size, count: run.count }).collect();
        let flash =
            Geometry::from_runs(&runs, unit, self.erased_value).ok_or(BoardError::Sectors { runs: runs.len() })?;
        let area = |range: Range| Area { device: DeviceId(0), offset: range.offset, len: range.size };
        Ok(Layout::new(&Spec {
            primary: area(self.primary),
            secondary: area(self.secondary),
            max_align: self.max_align.unwrap_or(self.write_size.max(DEFAULT_MAX_ALIGN)),
            max_sectors: self.max_sectors,
            ..Spec::new(mode, &[flash])
        })?)
    }
}

/// Boards that need no project file, as TOML: name and the lines under `[layout.NAME]`.
pub const BOARDS: [(&str, &str); 1] = [(
    "nrf52840dk",
    "mode = \"swap-move\"
write-size = 4
erased-value = 0xff
primary = { offset = 0x0c000, size = 0x76000 }
secondary = { offset = 0x82000, size = 0x76000 }
sectors = [{ size = 4096, count = 256 }]
",
)];

/// The layout of a board that needs no project file; `None` for an unknown name.
#[must_use]
pub fn built_in(name: &str) -> Option<Layout> {
    let (_, text) = BOARDS.into_iter().find(|(board, _)| *board == name)?;
    let board: Board = toml::from_str(text).ok()?;
    board.layout().ok()
}

/// Why a board's lines make no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// An unknown mode.
    #[error("mode = {found:?} is not known; the one there is so far is \"swap-move\"")]
    Mode {
        /// What is written there.
        found: String,
    },
    /// A write size that no flash has.
    #[error("write-size = {found} is no power of two up to 32")]
    WriteSize {
        /// What is written there.
        found: u32,
    },
    /// An erased value that no flash has.
    #[error("erased-value = {found:#04x} is neither 0xff nor 0x00")]
    ErasedValue {
        /// What is written there.
        found: u8,
    },
    /// Sectors that make no flash device.
    #[error(
        "sectors = [ … ] with {runs} runs describes no flash: at most 8 runs, sizes that are multiples of the write size, together less than 4 GiB"
    )]
    Sectors {
        /// How many runs.
        runs: usize,
    },
    /// Slots that break a rule.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}
