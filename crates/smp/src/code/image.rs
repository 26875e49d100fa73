//! Codes of the image group.

use super::{Explanation, Rc};
use core::fmt;

/// Makes the codes, so that number, name, sentence and next step of each stand in one place.
macro_rules! image_errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $rc:literal => $v1:ident, $sentence:literal, $next:literal;)+) => {
        /// A code of the image group.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct ImageError(pub u16);

        impl ImageError {
            $($(#[doc = $doc])+ pub const $name: Self = Self($rc);)+

            /// All known codes, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What the code means, where it is a known one.
            #[must_use]
            pub const fn explain(self) -> Option<Explanation> {
                Some(match self {
                    $(Self::$name => Explanation { name: stringify!($name), sentence: $sentence, next: $next },)+
                    _ => return None,
                })
            }

            /// The code of the common table that stands for this one under version 1.
            #[must_use]
            pub const fn to_v1(self) -> Rc {
                match self {
                    $(Self::$name => Rc::$v1,)+
                    _ => Rc::UNKNOWN,
                }
            }
        }
    };
}

image_errors! {
    /// No better code.
    UNKNOWN = 1 => UNKNOWN,
        "the device gives no reason", "list the images and repeat the request";
    /// The flash's description could not be read.
    FLASH_CONFIG_QUERY_FAIL = 2 => UNKNOWN,
        "the device could not read its own flash layout", "check the firmware's slot definitions";
    /// A slot holds no image.
    NO_IMAGE = 3 => NO_ENTRY,
        "the slot holds no image", "upload one first";
    /// An image has no TLV area.
    NO_TLVS = 4 => NO_ENTRY,
        "the image has no TLV area, so it was never signed or not wholly uploaded", "sign it and upload it again";
    /// A TLV makes no sense.
    INVALID_TLV = 5 => UNKNOWN,
        "the image is damaged, or its signature is by no key that the device trusts",
        "upload it again; if it stays so sign it with the key that the device's bootloader was built with";
    /// An image has more than one hash.
    TLV_MULTIPLE_HASHES_FOUND = 6 => UNKNOWN,
        "the image holds more than one hash", "sign it again with one tool";
    /// A TLV has a wrong size.
    TLV_INVALID_SIZE = 7 => UNKNOWN,
        "a TLV of the image has a wrong size", "sign the image again and upload it again";
    /// No slot holds an image with this hash.
    HASH_NOT_FOUND = 8 => UNKNOWN,
        "no slot holds an image with this hash", "list the images for their hashes, or upload the image first";
    /// No slot can take an upload or be erased now.
    NO_FREE_SLOT = 9 => BAD_STATE,
        "the slot is in use", "confirm or reset if an image is on trial; reset or erase if one is pending";
    /// A slot's flash could not be opened.
    FLASH_OPEN_FAILED = 10 => UNKNOWN,
        "the device could not open the slot's flash", "check the slot number and the firmware's slot definitions";
    /// Reading flash failed.
    FLASH_READ_FAILED = 11 => UNKNOWN,
        "the device could not read its flash", "repeat the request; if it stays so the flash is failing";
    /// Writing flash failed.
    FLASH_WRITE_FAILED = 12 => UNKNOWN,
        "the device could not write its flash", "upload again; if it stays so the flash is failing";
    /// Erasing flash failed.
    FLASH_ERASE_FAILED = 13 => UNKNOWN,
        "the device could not erase its flash", "repeat the request; if it stays so the flash is failing";
    /// No such slot.
    INVALID_SLOT = 14 => INVALID,
        "the device has no such slot", "list the images for the slots there are";
    /// No memory for an upload.
    NO_FREE_MEMORY = 15 => NO_MEMORY,
        "the device has no memory left for the upload", "reset it and upload again";
    /// An upload's flash context exists already.
    FLASH_CONTEXT_ALREADY_SET = 16 => UNKNOWN,
        "the device has an upload under way already", "let it end, or reset the device";
    /// An upload's flash context is missing.
    FLASH_CONTEXT_NOT_SET = 17 => UNKNOWN,
        "the device has no upload under way", "start the upload from its first byte";
    /// A slot's flash device is missing.
    FLASH_AREA_DEVICE_NULL = 18 => UNKNOWN,
        "the slot's flash device is missing", "check the firmware's slot definitions";
    /// A flash page's offset makes no sense.
    INVALID_PAGE_OFFSET = 19 => INVALID,
        "the upload met an invalid flash page", "check the firmware's slot definitions";
    /// An upload has no offset.
    INVALID_OFFSET = 20 => INVALID,
        "the upload request has no offset", "use a client that sends \"off\"";
    /// An upload's first piece has no length, or one that its header contradicts.
    INVALID_LENGTH = 21 => INVALID,
        "the upload's length is not given, or less than the image's header speaks of",
        "send the whole signed file, with a client that sends \"len\"";
    /// An upload's first piece is too short for a header, or an image's header asks for what the device has not.
    INVALID_IMAGE_HEADER = 22 => INVALID,
        "the image's header did not come whole, or asks for something that the device cannot do",
        "sign the image for this device; if it is, send first pieces of 32 bytes or more";
    /// Not an image.
    INVALID_IMAGE_HEADER_MAGIC = 23 => UNKNOWN,
        "what was sent is no MCUboot image", "send the signed image, not the raw binary or an archive";
    /// A hash of impossible length.
    INVALID_HASH = 24 => INVALID,
        "the hash that was given has a wrong length", "give the 32 bytes that the image list shows";
    /// An image linked for another address.
    INVALID_FLASH_ADDRESS = 25 => INVALID,
        "the image was built for another slot", "send the file that was built for the free slot";
    /// The running version cannot be read.
    VERSION_GET_FAILED = 26 => UNKNOWN,
        "the device could not read the version that is running", "upload without asking for upgrade only";
    /// The upload is not newer than what runs.
    CURRENT_VERSION_IS_NEWER = 27 => BAD_STATE,
        "the running image is as new or newer", "sign the image with a higher version, or allow a downgrade";
    /// Another image is pending, or one is on trial.
    IMAGE_ALREADY_PENDING = 28 => BAD_STATE,
        "another image is already pending or on trial", "reset the device, or confirm the image on trial, then repeat";
    /// An image's vector table makes no sense.
    INVALID_IMAGE_VECTOR_TABLE = 29 => UNKNOWN,
        "the image's vector table is invalid", "check the image's header size and link address";
    /// An image larger than its slot takes.
    INVALID_IMAGE_TOO_LARGE = 30 => UNKNOWN,
        "the image is too large for the slot", "make the firmware smaller or the slots larger";
    /// More data than announced.
    INVALID_IMAGE_DATA_OVERRUN = 31 => UNKNOWN,
        "more data was sent than the upload announced", "start the upload from its first byte";
    /// An image that may not be confirmed.
    IMAGE_CONFIRMATION_DENIED = 32 => UNKNOWN,
        "the device does not confirm an image that is not running", "test it, reset, then confirm what runs";
    /// A test of what runs.
    IMAGE_SETTING_TEST_TO_ACTIVE_DENIED = 33 => UNKNOWN,
        "the image is running already, it cannot be marked for test", "confirm it if it is on trial";
    /// The running slot is unknown.
    ACTIVE_SLOT_NOT_KNOWN = 34 => UNKNOWN,
        "the device cannot tell which slot it runs from", "check that bootloader and application were built to match";
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::GroupError::from(*self).fmt(f)
    }
}
