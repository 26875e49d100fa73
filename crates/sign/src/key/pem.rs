//! PEM (RFC 7468), with errors that say where in the file.

use base64ct::{Base64, Encoding};

/// One `-----BEGIN … END-----` section.
#[derive(Debug)]
pub(super) struct Section {
    /// What stands after BEGIN.
    pub(super) label: String,
    /// Line of its BEGIN, from 1.
    pub(super) line: usize,
    /// Whether a header line says that the content is encrypted (the form before PKCS#8).
    pub(super) encrypted: bool,
    /// The decoded content; empty where it is encrypted that way.
    pub(super) der: Vec<u8>,
}

/// Where and why a text is no PEM. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// No line that begins a section.
    #[error("no line says -----BEGIN …-----, so this is no PEM file ({lines} lines)")]
    NoSection {
        /// Lines there are.
        lines: usize,
    },
    /// A section without an end.
    #[error("the {label} that begins in line {begin} has no END line up to line {last}: the file is truncated")]
    Truncated {
        /// What stands after BEGIN.
        label: String,
        /// Its BEGIN line.
        begin: usize,
        /// The last line of the file.
        last: usize,
    },
    /// A section that ends as another one.
    #[error("line {line} ends {end:?}, but the section that begins in line {begin} is {label:?}")]
    WrongEnd {
        /// What stands after BEGIN.
        label: String,
        /// Its BEGIN line.
        begin: usize,
        /// What stands after END.
        end: String,
        /// The END line.
        line: usize,
    },
    /// Something else than base64.
    #[error("line {line}, column {column}: {found:?} is not base64")]
    Character {
        /// Its line.
        line: usize,
        /// Its column, in characters.
        column: usize,
        /// What is there.
        found: char,
    },
    /// Base64 whose length or padding is wrong: characters are missing.
    #[error(
        "lines {first} to {last} hold {characters} base64 characters, which is no whole number of bytes: some are missing"
    )]
    Base64 {
        /// First line of the content.
        first: usize,
        /// Last line of the content.
        last: usize,
        /// Characters of the content.
        characters: usize,
    },
}

/// All sections of a PEM text, at least one.
pub(super) fn sections(text: &str) -> Result<Vec<Section>, PemError> {
    if text.trim().is_empty() {
        return Err(PemError::Empty);
    }
    let mut lines = (1..).zip(text.lines().map(str::trim));
    let mut sections = Vec::new();
    while let Some((line, text)) = lines.next() {
        if let Some(label) = marker(text, "-----BEGIN ") {
            sections.push(section(label, line, &mut lines)?);
        }
    }
    if sections.is_empty() {
        return Err(PemError::NoSection { lines: text.lines().count() });
    }
    Ok(sections)
}

fn section<'t>(
    label: &str,
    begin: usize,
    lines: &mut impl Iterator<Item = (usize, &'t str)>,
) -> Result<Section, PemError> {
    let (mut content, mut last, mut encrypted) = (String::new(), begin, false);
    for (line, text) in lines {
        if let Some(end) = marker(text, "-----END ") {
            if end != label {
                return Err(PemError::WrongEnd { label: label.into(), begin, end: end.into(), line });
            }
            let der = if encrypted { Vec::new() } else { decode(&content, begin + 1, last)? };
            return Ok(Section { label: label.into(), line: begin, encrypted, der });
        }
        last = line;
        if text.contains(':') {
            encrypted |= text.starts_with("Proc-Type:") && text.ends_with("ENCRYPTED");
            continue;
        }
        if let Some((at, found)) = text.chars().enumerate().find(|(_, found)| !is_base64(*found)) {
            return Err(PemError::Character { line, column: at + 1, found });
        }
        content.push_str(text);
    }
    Err(PemError::Truncated { label: label.into(), begin, last })
}

fn marker<'t>(line: &'t str, begin: &str) -> Option<&'t str> {
    line.strip_prefix(begin)?.strip_suffix("-----")
}

fn is_base64(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=')
}

fn decode(content: &str, first: usize, last: usize) -> Result<Vec<u8>, PemError> {
    Base64::decode_vec(content).map_err(|_| PemError::Base64 { first, last, characters: content.len() })
}

/// A section as text.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let content = Base64::encode_string(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = content.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for len in [1, 2, 3, 47, 48, 49, 1000] {
            let der: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let text = encode("TEST", &der);
            assert!(text.lines().all(|line| line.len() <= 64));
            let windows = text.replace('\n', "\r\n");
            for text in [text, windows] {
                let sections = sections(&text).unwrap();
                assert_eq!((sections[0].label.as_str(), sections[0].line), ("TEST", 1));
                assert_eq!(sections[0].der, der);
            }
        }
    }

    #[test]
    fn words_before_and_between_sections_are_skipped() {
        let text = format!("made by hand\n{}a line\n{}", encode("ONE", b"1"), encode("TWO", b"2"));
        let found: Vec<_> = sections(&text).unwrap().into_iter().map(|section| (section.label, section.line)).collect();
        assert_eq!(found, [("ONE".to_owned(), 2), ("TWO".to_owned(), 6)]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let refused = |text: &str| sections(text).unwrap_err().to_string();
        insta::assert_snapshot!(refused("\n \n"), @"the file is empty");
        insta::assert_snapshot!(refused("a\nb\n"), @"no line says -----BEGIN …-----, so this is no PEM file (2 lines)");
        insta::assert_snapshot!(refused("x\n-----BEGIN KEY-----\nAAAA\n"), @"the KEY that begins in line 2 has no END line up to line 3: the file is truncated");
        insta::assert_snapshot!(refused("-----BEGIN KEY-----\nAAAA\n-----END CERT-----\n"), @r#"line 3 ends "CERT", but the section that begins in line 1 is "KEY""#);
        insta::assert_snapshot!(refused("-----BEGIN KEY-----\nAAAA\nAA§A\n-----END KEY-----\n"), @"line 3, column 3: '§' is not base64");
        insta::assert_snapshot!(refused("-----BEGIN KEY-----\nAAAA\nAAA\n-----END KEY-----\n"), @"lines 2 to 3 hold 7 base64 characters, which is no whole number of bytes: some are missing");
    }
}
