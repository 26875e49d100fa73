/// How a device's trailers are cut: the numbers that all cell offsets follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a cell (`BOOT_MAX_ALIGN`): 8, 16 or 32.
    pub max_align: u32,
    /// Bytes of a status record: the write unit of the primary slot.
    pub write_unit: u32,
    /// Sectors that there is room to keep a status of (`BOOT_MAX_IMG_SECTORS`).
    pub max_sectors: u32,
}

/// A field of a trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The magic's cell; the magic itself is its last 16 bytes.
    Magic,
    /// Confirmed, or to be permanent.
    ImageOk,
    /// The swap is complete.
    CopyDone,
    /// Kind of swap and image number.
    SwapInfo,
    /// How many bytes are being swapped, `u32`.
    SwapSize,
}

impl Shape {
    /// Status records for each sector: one while it moves, two while it is swapped.
    pub const RECORDS_PER_SECTOR: u32 = 3;

    /// How far before the end of its slot a cell begins, in bytes.
    #[must_use]
    pub const fn before_end(&self, cell: Cell) -> u32 {
        let magic = if self.max_align > 16 { self.max_align } else { 16 };
        let cells = match cell {
            Cell::Magic => 0u32,
            Cell::ImageOk => 1,
            Cell::CopyDone => 2,
            Cell::SwapInfo => 3,
            Cell::SwapSize => 4,
        };
        magic.saturating_add(cells.saturating_mul(self.max_align))
    }

    /// How far before the end of its slot a status record begins, in bytes; `record` counts from 0.
    #[must_use]
    pub const fn record_before_end(&self, record: u32) -> u32 {
        self.size().saturating_sub(record.saturating_mul(self.write_unit))
    }

    /// How many status records there is room for.
    #[must_use]
    pub const fn records(&self) -> u32 {
        self.max_sectors.saturating_mul(Self::RECORDS_PER_SECTOR)
    }

    /// Bytes of the whole trailer.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.records().saturating_mul(self.write_unit).saturating_add(self.before_end(Cell::SwapSize))
    }
}
