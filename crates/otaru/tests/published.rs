//! `docs/json.md` names every event, every field and every error code that the commands can say.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The sources of all commands, without their tests.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            text.push_str(source.split("#[cfg(test)]").next().unwrap());
        }
    }
}

/// The string literals that stand right behind each `mark`.
fn behind<'a>(source: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    source.split(mark).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
}

/// The string literals that stand right before each `mark`.
fn before<'a>(source: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    source.split(mark).filter_map(|text| text.strip_suffix('"')?.rsplit('"').next())
}

/// Codes are two words with a dot between them.
fn is_code(text: &&str) -> bool {
    let word = |part: &str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let is_file = |name: &str| ["bin", "hex", "json", "pem", "toml", "zip"].contains(&name);
    text.split_once('.').is_some_and(|(area, name)| word(area) && word(name) && !is_file(name))
}

#[test]
fn every_event_and_code_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/json.md")).unwrap();
    let mut source = String::new();
    sources(&root.join("src"), &mut source);

    let mut said = BTreeSet::new();
    said.extend(behind(&source, ".event("));
    said.extend(behind(&source, ".timed("));
    said.extend(before(&source, ", json!("));
    said.extend(source.split('"').filter(is_code));
    assert!(said.len() > 60, "the commands say more than {said:?}");

    let named = |name: &&str| page.contains(&format!("`{name}`")) || page.contains(&format!("\"event\":\"{name}\""));
    let missing: Vec<_> = said.into_iter().filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "docs/json.md does not name {missing:?}");
}

/// The words in backticks, on all rows of the page that name this event.
fn fields<'p>(page: &'p str, event: &str) -> BTreeSet<&'p str> {
    let named = format!("`{event}`");
    let rows = page.lines().filter(|line| line.starts_with('|') && line.contains(&named));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_field_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/json.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // imgtool's own names stand inside `inspect`; that page is imgtool's.
    let foreign = ["header", "tlv_area", "trailer"];
    let mut events = BTreeSet::new();
    for args in [
        "new lock",
        "key gen -t ed25519 -o key.pem",
        "key info key.pem",
        "key pub -k key.pem -o key.pub.pem",
        "payload app.raw --name lock",
        "sign app.raw app.bin --version 1.0.0 --pad-header --confirm --project lock",
        "inspect app.bin",
        "verify app.bin --project lock",
        "verify app.bin --key key.pem",
        "demo",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_otaru"));
        let said = command.current_dir(&dir).args(args.split(' ')).arg("--json").output().unwrap();
        for line in String::from_utf8(said.stdout).unwrap().lines() {
            let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
            let event = line["event"].as_str().unwrap();
            let known =
                if event == "error" { "code message next exit".split(' ').collect() } else { fields(&page, event) };
            for field in line.keys().filter(|field| !["event", "ms"].contains(&field.as_str())) {
                let named = known.contains(field.as_str()) || event == "image" && foreign.contains(&field.as_str());
                assert!(named, "docs/json.md does not name the field {field:?} of {event:?}, as {args:?} says it");
            }
            events.insert(event.to_owned());
        }
    }
    assert!(events.len() > 15, "only {events:?} were looked at");
}
