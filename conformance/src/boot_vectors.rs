//! Power-ups recorded from MCUboot, replayed with our loader on simulated flash.
//!
//! `conformance/boot/README.md` gives the format of such a folder. What our loader can be asked to do is replayed, on flash
//! that refuses what real flash would; everything else is counted with the reason why it is not.

mod case;
mod format;
mod loader;
mod report;
mod table;

use std::path::Path;

use anyhow::{Context, Result};

use format::{Config, Folder};
pub use report::Report;

/// Replays every case and every decision table of a folder that our loader has the mode and the options for.
///
/// # Errors
/// A folder that cannot be read or is not of the format.
pub fn run(dir: &Path) -> Result<Report> {
    let folder = Folder::open(dir).with_context(|| format!("{} is no folder of boot vectors", dir.display()))?;
    let mut report = Report::default();
    for case in folder.cases()? {
        let config = folder.config(&case.config).with_context(|| format!("case {}", case.name))?;
        if let Some(reason) = not_for_us(config) {
            report.skip(&reason, 1);
            continue;
        }
        let verdict = case::replay(&folder, config, &case).with_context(|| format!("case {}", case.name))?;
        report.add(&case.family, &case.name, verdict);
    }
    for table in folder.tables()? {
        let config = folder.config(&table.config).with_context(|| format!("a trailer table of {}", table.config))?;
        if let Some(reason) = not_for_us(config) {
            report.skip(&reason, table.rows.len());
            continue;
        }
        table::replay(&folder, config, &table, &mut report)
            .with_context(|| format!("the trailer table of {}", config.id))?;
    }
    Ok(report)
}

/// Why our loader cannot be asked to do what this config's does.
fn not_for_us(config: &Config) -> Option<String> {
    if config.mode != "swap-move" {
        return Some(format!("mode {}", config.mode));
    }
    if config.encryption.is_some() {
        return Some("encrypted images".into());
    }
    if config.areas.images.len() != 1 {
        return Some(format!("{} images", config.areas.images.len()));
    }
    let signature = &config.signature;
    if !matches!(signature.scheme.as_str(), "ecdsa-p256" | "ed25519" | "rsa-2048") || signature.hash != "sha256" {
        return Some(format!("signature {} over {}", signature.scheme, signature.hash));
    }
    for (name, value) in &config.options {
        let default = match name.as_str() {
            "validate_primary" => value == true,
            "downgrade_prevention" => value == "none",
            _ => value == false,
        };
        if !default {
            return Some(format!("option {name} {value}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_power_ups_end_as_recorded() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot");
        let report = run(&dir).unwrap();
        assert!(report.passed(), "{report}");
        insta::assert_snapshot!(report, @r#"
        family             passed failed  strict rows that match
        bad-primary             3      0  4 of 4
        bad-secondary           6      0  12 of 12
        confirm                 3      0  8 of 8
        interrupted            15      0  60 of 60
        layout                  6      0  20 of 20
        permanent               2      0  4 of 4
        quiescent               1      0  0 of 0
        test-revert             3      0  8 of 8
        trailer-table          30      0  59 of 60
        all                    69      0  175 of 176
        skipped 9: 2 images
        skipped 21: encrypted images
        skipped 8: mode direct-xip
        skipped 58: mode overwrite-only
        skipped 3: mode ram-load
        skipped 96: mode swap-offset
        skipped 96: mode swap-scratch
        skipped 3: option bootstrap true
        skipped 3: option downgrade_prevention "security-counter"
        skipped 4: option downgrade_prevention "version"
        skipped 10: option hw_rollback_protection true
        skipped 2: option tlv_allow_list true
        skipped 1: option validate_primary false
        skipped 1: signature ecdsa-p384 over sha384
        skipped 2: signature none over sha256
        differs, not required: trailer-table/move-ecdsa.s1024n7a4/uploaded/gub-uuu: the primary slot ends with 1.1.0+0 gss, the reference's with 1.0.0+0 gub
        differs, not required: trailer-table/move-ecdsa.s1024n7a4/uploaded/gub-uuu: the secondary slot ends with 1.0.0+0 uuu, the reference's with 1.1.0+0 uuu
        69 cases replayed, 0 failed
        "#);
    }

    #[test]
    fn a_folder_without_vectors_is_refused() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let error = run(&dir).unwrap_err();
        assert!(error.to_string().ends_with("src is no folder of boot vectors"), "{error}");
    }
}
