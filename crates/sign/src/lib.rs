//! Keys, signing and verification of MCUboot-compatible images, and the project file.

pub mod build;
pub mod hex;
pub mod inspect;
pub mod key;
pub mod known;

#[cfg(test)]
mod test_support;
