//! Recorded vectors with their runners, the power-cut scenarios of the bootloader and their mutants.
//!
//! ```text
//!   boot/      recorded power-ups of MCUboot ──▶ boot_vectors ──▶ otaru-boot on simulated flash
//!   smp/       recorded answers of Zephyr ──▶ smp_vectors ──▶ otaru-device-app on simulated flash
//!   mutants/   known mistakes ──▶ mutants ──▶ a copy of the crates, broken ──▶ power_cut must notice
//!              power_cut: updates with power cut at every operation, in every way, any number of times
//! ```
//!
//! Nothing here is part of a device or of the `otaru` command; `cargo xtask` runs it through the binary `otaru-lab`.
//!
//! ```no_run
//! let report = otaru_conformance::boot_vectors::run("conformance/boot".as_ref()).unwrap();
//! assert!(report.passed(), "{report}");
//! ```

pub mod boot_vectors;
pub mod mutants;
pub mod power_cut;
pub mod smp_vectors;
