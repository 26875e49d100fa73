//! Keys, signing and verification of MCUboot-compatible images, and the project file.
