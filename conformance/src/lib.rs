//! Recorded vectors with their runners, the power-cut scenarios of the bootloader and their mutants.

pub mod smp_vectors;
