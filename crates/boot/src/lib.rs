//! An MCUboot-compatible bootloader core: no_std, no statics, power-fail safe under torn writes.
#![no_std]
