//! Codecs for MCUboot-compatible image headers, TLV areas and trailers.
#![no_std]
