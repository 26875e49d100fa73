/// What a loader may be told besides its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Refuse images with TLVs that the signature does not cover and that verifying does not need
    /// (`MCUBOOT_USE_TLV_ALLOW_LIST`): they are bytes that anybody may have put there. On by default.
    pub tlv_allow_list: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { tlv_allow_list: true }
    }
}
