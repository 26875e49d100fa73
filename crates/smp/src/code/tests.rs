//! Every code's name, translation and words.

use super::*;
use std::fmt::Write;
use std::format;
use std::string::{String, ToString};

/// The numbers, and what version 1 makes of them, as Zephyr's server has them.
#[test]
fn image_codes_translate_to_version_1() {
    for code in 0..=40 {
        let rc = match code {
            3 | 4 => 5,
            9 | 27 | 28 => 6,
            15 => 2,
            14 | 19 | 20 | 21 | 22 | 24 | 25 => 3,
            _ => 1,
        };
        assert_eq!(GroupError { group: Group::IMAGE, rc: code }.to_v1(), Rc(rc), "image error {code}");
    }
    let numbers: std::vec::Vec<u16> = ImageError::ALL.iter().map(|error| error.0).collect();
    assert_eq!(numbers, (1..=34).collect::<std::vec::Vec<u16>>());
}

#[test]
fn os_codes_translate_to_version_1() {
    for (code, rc) in [(1, 1), (2, 3), (3, 5), (4, 5), (5, 1), (6, 1), (7, 1), (8, 1)] {
        assert_eq!(GroupError { group: Group::OS, rc: code }.to_v1(), Rc(rc), "OS error {code}");
    }
    assert_eq!(GroupError { group: Group::FS, rc: 3 }.to_v1(), Rc::UNKNOWN);
}

#[test]
fn every_code_is_explained_in_a_clause_and_a_next_step() {
    let image = ImageError::ALL.iter().map(|error| Code::from(*error));
    let os = (1..=7).map(|rc| Code::from(OsError(rc)));
    let smp = (0..=13).map(|rc| Code::from(Rc(rc)));
    for code in image.chain(os).chain(smp) {
        let Explanation { name, sentence, next } = code.explain().unwrap();
        assert!(code.to_string().contains(name) && code.to_string().ends_with(sentence), "{code}");
        for words in [sentence, next] {
            assert!(words.chars().next().is_some_and(|first| first.is_lowercase()), "{words}");
            assert!(!words.ends_with('.') && !words.contains("  "), "{words}");
        }
        assert_ne!(sentence, next);
    }
}

#[test]
fn unknown_codes_are_shown_as_numbers() {
    insta::assert_snapshot!(Rc(14), @"rc 14");
    insta::assert_snapshot!(Rc(300), @"rc 300");
    insta::assert_snapshot!(ImageError(35), @"image group error 35");
    insta::assert_snapshot!(OsError(0), @"OS group error 0");
    insta::assert_snapshot!(GroupError { group: Group::FS, rc: 11 }, @"file group error 11");
    insta::assert_snapshot!(GroupError { group: Group(64), rc: 1 }, @"group 64 error 1");
    assert_eq!(Code::from(GroupError { group: Group(64), rc: 1 }).explain(), None);
}

#[test]
fn what_users_read() {
    let mut words = String::new();
    let mut line = |code: Code| {
        let explanation = code.explain().unwrap();
        writeln!(words, "{code}; {}", explanation.next).unwrap();
    };
    ImageError::ALL.iter().for_each(|error| line((*error).into()));
    (1..=7).for_each(|rc| line(OsError(rc).into()));
    (0..=13).for_each(|rc| line(Rc(rc).into()));
    insta::assert_snapshot!(words);
    assert_eq!(format!("{}", ImageError::NO_IMAGE.explain().unwrap()), "the slot holds no image; upload one first");
    let groups = [0, 1, 2, 3, 8, 9, 10, 63, 64].map(|group| Group(group).to_string()).join(", ");
    insta::assert_snapshot!(groups, @"OS group, image group, statistics group, settings group, file group, shell group, enumeration group, basic group, group 64");
    insta::assert_snapshot!(format!("{} {}", crate::Version::V1, crate::Version::V2), @"SMP version 1 SMP version 2");
}
