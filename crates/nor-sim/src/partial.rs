use core::fmt;

/// What a power cut leaves of the operation it falls into: a write of one unit, or the erase of one sector.
///
/// Each is a function of the old bytes, the bytes the operation was going to leave and the address, so that a run can
/// be replayed. `docs/flash-assumptions.md` says where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Partial {
    /// The cut came before the first bit changed.
    Nothing,
    /// The first half of the bytes are new (of a single byte: its low four bits).
    FirstHalf,
    /// The second half of the bytes are new (of a single byte: its high four bits).
    SecondHalf,
    /// In each byte, only the bits in even places are new.
    EvenBits,
    /// In each byte, only the bits in odd places are new.
    OddBits,
    /// Every second cell is new, from the first: bytes of a write, write units of an erase.
    EvenCells,
    /// Every second cell is new, from the second.
    OddCells,
    /// All is new but the last 16 bytes (of a write: the last byte).
    KeepTail,
    /// Each bit is old or new, by a fixed scramble of its address.
    Mixed,
    /// All bits are programmed, as by a device that programs a sector before it erases it. A write: as [`Self::All`].
    Programmed,
    /// Bytes that have to do with neither old nor new. A write: as [`Self::Mixed`], as no cell it leaves alone changes.
    Noise,
    /// The operation was complete, but nobody was told.
    All,
}

impl Partial {
    /// All of them.
    pub const EVERY: [Self; 12] = [
        Self::Nothing,
        Self::FirstHalf,
        Self::SecondHalf,
        Self::EvenBits,
        Self::OddBits,
        Self::EvenCells,
        Self::OddCells,
        Self::KeepTail,
        Self::Mixed,
        Self::Programmed,
        Self::Noise,
        Self::All,
    ];

    /// The ones that an explorer tries on a write unit.
    pub const OF_WRITE: [Self; 7] =
        [Self::Nothing, Self::FirstHalf, Self::SecondHalf, Self::EvenBits, Self::OddBits, Self::Mixed, Self::All];

    /// The ones that an explorer tries on the erase of a sector.
    pub const OF_ERASE: [Self; 10] = [
        Self::Nothing,
        Self::FirstHalf,
        Self::SecondHalf,
        Self::EvenBits,
        Self::EvenCells,
        Self::OddCells,
        Self::KeepTail,
        Self::Programmed,
        Self::Noise,
        Self::All,
    ];

    /// The letter that stands for it in the id of a run.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Nothing => 'n',
            Self::FirstHalf => 'f',
            Self::SecondHalf => 's',
            Self::EvenBits => 'e',
            Self::OddBits => 'o',
            Self::EvenCells => 'v',
            Self::OddCells => 'd',
            Self::KeepTail => 't',
            Self::Mixed => 'm',
            Self::Programmed => 'p',
            Self::Noise => 'g',
            Self::All => 'a',
        }
    }

    /// The one that `letter` stands for.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::EVERY.into_iter().find(|partial| partial.letter() == letter)
    }

    /// Turns `new`, what a write was going to leave at `offset`, into what it does leave over `old`.
    pub(crate) fn tear_write(self, offset: u32, old: &[u8], new: &mut [u8]) {
        match self {
            Self::Programmed => Self::All,
            Self::Noise => Self::Mixed,
            other => other,
        }
        .tear(offset, old, new, Tear { cell: 1, tail: 1, programmed: 0 });
    }

    /// Turns `new`, a sector of erased bytes at `offset`, into what the erase does leave over `old`.
    pub(crate) fn tear_erase(self, offset: u32, old: &[u8], new: &mut [u8], unit: u32, erased: u8) {
        let cell = usize::try_from(unit).unwrap_or(1);
        self.tear(offset, old, new, Tear { cell, tail: 16, programmed: !erased });
    }

    fn tear(self, offset: u32, old: &[u8], new: &mut [u8], shape: Tear) {
        let len = new.len();
        for (index, (new, &old)) in new.iter_mut().zip(old).enumerate() {
            let at = offset.wrapping_add(u32::try_from(index).unwrap_or(0));
            // The bits that take their new value.
            let mask = match self {
                Self::Nothing => 0x00,
                Self::All => 0xff,
                Self::FirstHalf if len == 1 => 0x0f,
                Self::SecondHalf if len == 1 => 0xf0,
                Self::FirstHalf => whole(index < len / 2),
                Self::SecondHalf => whole(index >= len / 2),
                Self::EvenBits => 0x55,
                Self::OddBits => 0xaa,
                Self::EvenCells => whole((index / shape.cell).is_multiple_of(2)),
                Self::OddCells => whole(!(index / shape.cell).is_multiple_of(2)),
                Self::KeepTail => whole(index + shape.tail < len),
                Self::Mixed => scramble(at),
                Self::Programmed => {
                    *new = shape.programmed;
                    continue;
                }
                Self::Noise => {
                    *new = scramble(!at);
                    continue;
                }
            };
            *new = (old & !mask) | (*new & mask);
        }
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing done",
            Self::FirstHalf => "first half done",
            Self::SecondHalf => "second half done",
            Self::EvenBits => "even bits done",
            Self::OddBits => "odd bits done",
            Self::EvenCells => "even cells done",
            Self::OddCells => "odd cells done",
            Self::KeepTail => "all done but the tail",
            Self::Mixed => "scattered bits done",
            Self::Programmed => "all bits programmed",
            Self::Noise => "noise",
            Self::All => "all done",
        })
    }
}

#[derive(Clone, Copy)]
struct Tear {
    cell: usize,
    tail: usize,
    programmed: u8,
}

fn whole(new: bool) -> u8 {
    if new { 0xff } else { 0x00 }
}

/// A byte that looks like chance and depends on the address alone.
fn scramble(at: u32) -> u8 {
    let mut x = at.wrapping_add(0x9e37_79b9).wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    (x >> 16).to_le_bytes()[0]
}
