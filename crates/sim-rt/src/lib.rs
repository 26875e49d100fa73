//! A switchable clock (virtual or real), a small executor and the embassy-time driver for hosts.
