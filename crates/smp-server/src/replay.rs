//! Every recorded request of the OS and image groups, answered by a device like the one that was recorded.
//!
//! What must be the same is the meaning: header, keys and values; not the spelling of the CBOR, and not the words that
//! we add (`rsn`). Where ours means something else, `DIFFERENCES.md` says why, and [`differences`] what.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use crate::fake::{self, IMAGE_LEN, Store};
use ciborium::Value;
use ciborium::cbor;
use otaru_policy::Link;
use otaru_smp::image::UploadRequest;
use otaru_smp::{Body, Group, Header, Message};
use std::collections::BTreeSet;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, fs, vec};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/smp/zephyr-udp.jsonl");
const DIFFERENCES: &str = include_str!("../DIFFERENCES.md");

struct Vector {
    name: String,
    request: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

fn vectors() -> Vec<Vector> {
    let text = fs::read_to_string(VECTORS).unwrap();
    let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
    let vector = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        Vector {
            name: line["name"].as_str().unwrap().to_string(),
            request: bytes(&line["req"]),
            answers: line["rsp"].as_array().unwrap().iter().map(bytes).collect(),
        }
    };
    text.lines().map(vector).collect()
}

/// Requests that ours answers otherwise: the difference's name, and ours.
fn differences(vector: &str) -> Option<(&'static str, Value)> {
    let map = |value: Result<Value, ciborium::value::Error>| value.unwrap();
    let group_error = |rc: u16| map(cbor!({"err" => {"group" => 1, "rc" => rc}}));
    let slot_info = || {
        let slot = |slot| map(cbor!({"slot" => slot, "size" => fake::SLOT_SIZE}));
        map(cbor!({"images" => [{"image" => 0, "slots" => [slot(0), slot(1)], "max_image_size" => 0x67000}]}))
    };
    Some(match vector {
        "length field shorter [v2]" => ("length-bounds-the-body", map(cbor!({"rc" => 3}))),
        "os bootloader bad query [v2]" => ("bootloader-query", map(cbor!({"err" => {"group" => 0, "rc" => 3}}))),
        "img slot info [v2]" | "img slot info [v1]" => ("slot-info", slot_info()),
        "img erase slot1 [v2]" | "img erase slot1 [v1]" | "img erase default [v2]" | "img erase default [v1]" => {
            ("erase-empty", map(cbor!({})))
        }
        "img erase slot 9 [v2]" => ("erase-no-such-slot", group_error(14)),
        "img erase slot 9 [v1]" => ("erase-no-such-slot", map(cbor!({"rc" => 3}))),
        "erase while pending [v2]" | "erase while pending [v1]" => ("erase-pending", map(cbor!({}))),
        "up: off0 len tiny" => ("first-piece-beyond-len", group_error(31)),
        "up: off0 image 5" => ("upload-image-number", group_error(9)),
        _ => return None,
    })
}

/// The image that was uploaded when the requests were recorded: what is known of it, and made-up bytes for the rest.
fn recorded_image(vectors: &[Vector]) -> (Vec<u8>, [u8; 32]) {
    let body = |name: &str| {
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
        Message::split(&vector.request).unwrap().0.body
    };
    let first = UploadRequest::decode(body("up: start")).unwrap();
    let second = UploadRequest::decode(body("up: next")).unwrap();
    let test = otaru_smp::image::SetStateRequest::decode(body("state: test slot1 [v2]")).unwrap();
    assert_eq!((first.len, second.offset), (Some(IMAGE_LEN), Some(512)));
    let mut image = fake::image([1, 2, 0, 0, 2, 0, 0, 0], test.hash.unwrap().try_into().unwrap());
    image[..512].copy_from_slice(first.data);
    image[512..1024].copy_from_slice(second.data);
    (image, first.sha.unwrap().try_into().unwrap())
}

/// Header without its length, and body without `rsn`, its keys in order.
fn meaning(answer: &[u8]) -> (Header, Value) {
    let (message, rest) = Message::split(answer).unwrap();
    assert!(rest.is_empty());
    let Value::Map(mut entries) = ciborium::from_reader(message.body).unwrap() else { panic!("no map") };
    entries.retain(|(key, _)| key.as_text() != Some("rsn"));
    entries.sort_by_key(|(key, _)| key.as_text().unwrap().to_string());
    (Header { length: 0, ..message.header }, Value::Map(entries))
}

/// Uploads a whole file in pieces of 1024 bytes.
fn upload(device: &mut fake::Device, file: &[u8], sha: &[u8; 32]) -> Value {
    let mut last = Value::Null;
    for (n, data) in file.chunks(1024).enumerate() {
        let request = match u32::try_from(n * 1024).unwrap() {
            0 => UploadRequest::first(data, IMAGE_LEN, Some(sha)),
            offset => UploadRequest::next(offset, data),
        };
        let mut frame = [0; 1200];
        let len = otaru_smp::Request::message(&request, otaru_smp::Version::V2, 0x6f, &mut frame).unwrap();
        last = meaning(&fake::exchange(device, &Link::udp(), &frame[..len])[0]).1;
    }
    last
}

#[test]
fn recorded_requests_mean_the_same_here_or_are_named_differences() {
    let vectors = vectors();
    let (image, sha) = recorded_image(&vectors);
    let mut store = Store::new();
    store.slots[0][..32].copy_from_slice(&image[..32]);
    store.slots[0][20..28].copy_from_slice(&[1, 1, 0, 0, 1, 0, 0, 0]);
    let running = hex::decode("2436c1ea92054f7cd1c39fbc1e82370c769938dfbe7b016221ad4b3506d03c05").unwrap();
    let end = IMAGE_LEN as usize;
    store.slots[0][end - 32..end].copy_from_slice(&running);
    store.known = Some((image.clone(), sha));
    let mut device = fake::device(store);

    let (mut same, mut other, mut others, mut named) = (0, 0, 0, BTreeSet::new());
    for vector in &vectors {
        let name = &vector.name;
        if name == "up: start again" {
            assert_eq!(upload(&mut device, &image, &sha), cbor!({"match" => true, "off" => IMAGE_LEN}).unwrap());
            continue;
        }
        let before = device.images_mut().store_mut().clone();
        let ours: Vec<_> =
            fake::exchange(&mut device, &Link::udp(), &vector.request).iter().map(|a| meaning(a)).collect();
        let group = Header::parse(&vector.request).map(|header| header.group);
        if matches!(group, Some(Group::STAT | Group::SETTINGS | Group::FS | Group::SHELL | Group::BASIC)) {
            others += 1;
            continue;
        }
        let theirs: Vec<_> = vector.answers.iter().map(|a| meaning(a)).collect();
        if let Some((difference, expected)) = differences(name) {
            assert_eq!(ours, [(theirs[0].0, expected)], "{name}");
            assert_ne!(ours, theirs, "{name} is no difference any more");
            named.insert(difference);
            other += 1;
            // The recording goes on from their state, not from ours.
            *device.images_mut().store_mut() = before;
            continue;
        }
        if name.starts_with("os taskstat") {
            assert_eq!(task_keys(&ours[0].1), task_keys(&theirs[0].1), "{name}");
        } else {
            assert_eq!(ours, theirs, "{name}");
        }
        same += 1;
    }
    for difference in &named {
        let heading = format!("## {difference}\n");
        assert!(DIFFERENCES.contains(&heading), "DIFFERENCES.md does not speak of {difference}");
    }
    let named = Vec::from_iter(named).join(", ");
    insta::assert_snapshot!(
        format!("{same} mean the same, {other} do not ({named}), {others} are of other groups"),
        @"122 mean the same, 14 do not (bootloader-query, erase-empty, erase-no-such-slot, erase-pending, first-piece-beyond-len, length-bounds-the-body, slot-info, upload-image-number), 75 are of other groups"
    );
}

/// The keys that each task has and that are required of it.
fn task_keys(body: &Value) -> Vec<String> {
    let tasks = &body.as_map().unwrap()[0];
    assert_eq!(tasks.0.as_text(), Some("tasks"));
    let (_, task) = &tasks.1.as_map().unwrap()[0];
    let keys = task.as_map().unwrap().iter().map(|(key, _)| key.as_text().unwrap().to_string());
    keys.filter(|key| ["prio", "tid", "state"].contains(&key.as_str())).collect()
}

#[test]
fn every_difference_is_told_in_full() {
    let sections: Vec<&str> = DIFFERENCES.split("\n## ").skip(1).collect();
    assert!(!sections.is_empty());
    for section in sections {
        for part in ["Zephyr: ", "otaru: ", "Why: "] {
            assert!(section.contains(part), "no '{part}' in: {section}");
        }
    }
}
