//! Slots and sector maps of a device, and how large an image may be in them.
#![no_std]
