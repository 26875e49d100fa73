//! An SMP server core: bytes in, at most one answer out.
#![no_std]
