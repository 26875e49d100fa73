use super::*;
use std::io::Write;
use zip::write::SimpleFileOptions;

/// A zip of these entries.
fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, contents) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(contents).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A package with this manifest and a file `app.bin`.
fn package(manifest: &str) -> Vec<u8> {
    zip_of(&[("manifest.json", manifest.as_bytes()), ("app.bin", b"image"), ("net.bin", b"network")])
}

fn chosen(manifest: &str) -> Result<(String, Vec<u8>), PackageError> {
    let bytes = package(manifest);
    let mut package = Package::open(&bytes)?;
    let member = package.choose(0, 0)?.clone();
    Ok((member.file.clone(), package.unpack(&member)?))
}

fn refused(manifest: &str) -> String {
    chosen(manifest).unwrap_err().to_string()
}

#[test]
fn every_dialect_of_one_image_is_understood() {
    let app = ("app.bin".to_owned(), b"image".to_vec());
    for (dialect, manifest) in [
        (
            "sysbuild, two images",
            r#"{"format-version":1,"time":1733000000,"name":"omi","files":[
                {"type":"application","board":"omi","soc":"nrf5340","load_address":66048,"image_index":"0",
                 "slot_index_primary":"1","slot_index_secondary":"2","version_MCUBOOT":"0.0.4+0",
                 "size":5,"file":"app.bin","modtime":1733000000},
                {"type":"application","board":"omi/nrf5340/cpunet","soc":"nrf5340","load_address":16812032,
                 "image_index":"1","slot_index_primary":"3","slot_index_secondary":"4","version_MCUBOOT":null,
                 "size":7,"file":"net.bin","modtime":1733000000}]}"#,
        ),
        (
            "child image, one image",
            r#"{"format-version":0,"time":1,"files":[{"type":"application","board":"nrf52840dk_nrf52840",
                "soc":"nrf52840","load_address":49664,"version_MCUBOOT":"1.2.3+4","size":5,"file":"app.bin","modtime":1}]}"#,
        ),
        (
            "child image, two images in their order",
            r#"{"format-version":0,"files":[{"type":"application","size":5,"file":"app.bin"},
                {"type":"application","size":7,"file":"net.bin"}]}"#,
        ),
        (
            "cloud",
            r#"{"name":"a name","description":"","fwversion":"1.2.3","format-version":1,
                "files":[{"file":"app.bin","type":"application","size":5}]}"#,
        ),
        ("numbers as numbers", r#"{"files":[{"file":"app.bin","image_index":0},{"file":"net.bin","image_index":1}]}"#),
        ("the old spelling", r#"{"files":[{"file":"net.bin","image":1},{"file":"app.bin","image":0}]}"#),
        ("sizes as text", r#"{"files":[{"file":"app.bin","size":"5","image_index":null}]}"#),
        ("a later format", r#"{"format-version":7,"new":{},"files":[{"file":"app.bin","also new":[1]}]}"#),
        (
            "one file for each slot",
            r#"{"files":[{"file":"net.bin","image_index":"0","slot":"0","version_MCUBOOT+XIP":"1.0.0"},
                {"file":"app.bin","image_index":"0","slot":"1"}]}"#,
        ),
        ("slots as numbers, no image number", r#"{"files":[{"file":"net.bin","slot":0},{"file":"app.bin","slot":1}]}"#),
        ("a loader beside it", r#"{"files":[{"file":"net.bin","type":"mcuboot"},{"file":"app.bin","type":"bin"}]}"#),
    ] {
        assert_eq!(chosen(manifest), Ok(app.clone()), "{dialect}");
    }
}

#[test]
fn a_device_that_runs_from_the_secondary_slot_gets_the_other_file() {
    let bytes = package(r#"{"files":[{"file":"net.bin","slot":"0"},{"file":"app.bin","slot":"1"}]}"#);
    let package = Package::open(&bytes).unwrap();
    assert_eq!(package.choose(0, 0).unwrap().file, "app.bin");
    assert_eq!(package.choose(0, 1).unwrap().file, "net.bin");
}

#[test]
fn what_the_manifest_says_of_a_file_is_kept() {
    let bytes = package(
        r#"{"files":[{"file":"app.bin","type":"application","board":"omi","image_index":"2","slot":"5",
            "version_MCUBOOT":"1.2.3+4","size":5}]}"#,
    );
    let member = Member {
        file: "app.bin".into(),
        kind: Some("application".into()),
        image: 2,
        slot: Some(5),
        version: Some("1.2.3+4".into()),
        board: Some("omi".into()),
        size: Some(5),
    };
    assert_eq!(Package::open(&bytes).unwrap().members(), [member]);
}

#[test]
fn what_cannot_be_used_is_refused_in_words() {
    let open = |bytes: &[u8]| Package::open(bytes).unwrap_err().to_string();
    insta::assert_snapshot!(open(b"PK not a zip"), @"these 12 bytes are no zip archive, or a truncated one: invalid Zip archive: Could not find EOCD");
    insta::assert_snapshot!(open(&zip_of(&[("app.bin", b"image")])), @"there is no manifest.json among the 1 entries of the zip, so it is no update package");
    insta::assert_snapshot!(refused("{\n \"files\": [,]}"), @"manifest.json, line 2, column 12: expected value");
    insta::assert_snapshot!(refused(r#"{"manifest":{"application":{"bin_file":"a.bin","dat_file":"a.dat"},"dfu_version":0.5}}"#), @"this is a legacy package for the nRF5 SDK's bootloader, which does not speak SMP; it needs an image signed for MCUboot instead");
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"root.suit","type":"suit-envelope"},{"file":"c","type":"cache"}]}"#), @"this is a SUIT package, which MCUboot-compatible loaders cannot install");
    insta::assert_snapshot!(refused(r#"{"format-version":1}"#), @r#"manifest.json has no list "files", so it names no image"#);
    insta::assert_snapshot!(refused(r#"{"files":[]}"#), @"the package has no file for image 0; it has: no files");
    insta::assert_snapshot!(refused(r#"{"files":[{"type":"application"}]}"#), @"manifest.json: files[0].file is nothing, which cannot be understood");
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"app.bin"},{"file":"app.bin","image_index":"-1"}]}"#), @r#"manifest.json: files[1].image_index is "-1", which cannot be understood"#);
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"app.bin","size":1.5}]}"#), @"manifest.json: files[0].size is 1.5, which cannot be understood");
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"app.bin","image_index":"1"},{"file":"b","type":"mcuboot","slot":0}]}"#), @"the package has no file for image 0; it has: app.bin (no type, image 1), b (mcuboot, image 0, slot 0)");
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"app.bin","image_index":0},{"file":"net.bin","image_index":0}]}"#), @"the package has several files for image 0: app.bin (no type, image 0), net.bin (no type, image 0)");
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"gone.bin"}]}"#), @r#"manifest.json lists "gone.bin", but the zip does not hold it"#);
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"app.bin","size":4}]}"#), @"app.bin has 5 bytes, manifest.json says 4: the package is damaged or was put together wrongly");
    for name in ["../app.bin", "/app.bin", "a/../../app.bin", "..\\\\app.bin", ""] {
        let manifest = format!(r#"{{"files":[{{"file":"{name}"}}]}}"#);
        assert!(matches!(chosen(&manifest), Err(PackageError::Name { .. })), "{name}");
    }
    insta::assert_snapshot!(refused(r#"{"files":[{"file":"../app.bin"}]}"#), @r#"manifest.json names "../app.bin", which is no name inside the package"#);
}

#[test]
fn a_damaged_file_is_noticed() {
    let bytes = package(r#"{"files":[{"file":"app.bin"}]}"#);
    let at = bytes.windows(7).position(|window| window == b"app.bin").unwrap() + 7;
    let mut damaged = bytes.clone();
    damaged[at + 1] ^= 0x40;
    let mut package = Package::open(&damaged).unwrap();
    let member = package.members()[0].clone();
    assert!(matches!(package.unpack(&member), Err(PackageError::Damaged { .. })));
    for len in (0..bytes.len()).step_by(7) {
        assert!(Package::open(&bytes[..len]).is_err(), "{len} bytes of {}", bytes.len());
    }
}

#[test]
fn a_zip_bomb_is_not_unpacked() {
    let zeros = vec![0; MAX_FILE as usize + 1];
    let bytes = zip_of(&[("manifest.json", br#"{"files":[{"file":"app.bin"}]}"#), ("app.bin", &zeros)]);
    assert!(bytes.len() < 1024 * 1024);
    let mut package = Package::open(&bytes).unwrap();
    let member = package.members()[0].clone();
    insta::assert_snapshot!(package.unpack(&member).unwrap_err(), @"app.bin unpacks to more than 67108864 bytes, which is no image");
    let bytes = zip_of(&[("manifest.json", &zeros[..MAX_MANIFEST as usize + 1])]);
    insta::assert_snapshot!(Package::open(&bytes).unwrap_err(), @"manifest.json unpacks to more than 1048576 bytes, which is no image");
}
