use core::fmt;

use super::{Flag, Magic, SwapState};

/// What kind of swap is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SwapType {
    /// None.
    #[default]
    None,
    /// Swap the secondary image in for one boot; it stays only if it is confirmed.
    Test,
    /// Swap the secondary image in for good.
    Permanent,
    /// Swap back: the image on trial was not confirmed.
    Revert,
}

impl SwapType {
    /// The number that stands for it on flash (`BOOT_SWAP_TYPE_*`).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 1,
            Self::Test => 2,
            Self::Permanent => 3,
            Self::Revert => 4,
        }
    }

    /// What a number stands for.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::None),
            2 => Some(Self::Test),
            3 => Some(Self::Permanent),
            4 => Some(Self::Revert),
            _ => None,
        }
    }
}

impl fmt::Display for SwapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Test => "test",
            Self::Permanent => "perm",
            Self::Revert => "revert",
        })
    }
}

/// What two complete trailers ask for: MCUboot's table (`boot_swap_type_multi`), the first row that matches.
///
/// | primary | secondary | swap |
/// |---|---|---|
/// | any | magic good, image_ok unset | test |
/// | any | magic good, image_ok set | permanent |
/// | magic good, image_ok unset, copy_done not erased | any | revert |
/// | otherwise | | none |
///
/// In one point it differs: MCUboot wants copy_done to be 1 for a revert. A cut while that byte was programmed then
/// leaves an unconfirmed image for ever. Here any byte that is not erased counts.
#[must_use]
pub fn swap_type(primary: &SwapState, secondary: &SwapState) -> SwapType {
    match (secondary.magic, secondary.image_ok) {
        (Magic::Good, Flag::Unset) => return SwapType::Test,
        (Magic::Good, Flag::Set) => return SwapType::Permanent,
        _ => {}
    }
    match (primary.magic, primary.image_ok, primary.copy_done) {
        (Magic::Good, Flag::Unset, Flag::Set | Flag::Bad) => SwapType::Revert,
        _ => SwapType::None,
    }
}
