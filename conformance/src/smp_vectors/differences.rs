//! The differences that have a name: how to know one by a request and the two answers to it. What each is, and why, is
//! told under the same names in `crates/smp-server/DIFFERENCES.md`.

use super::meaning::{Meaning, bytes, decode, entry, number};
use ciborium::Value;
use otaru_smp::{Group, HEADER_SIZE, Header, Rc, command};

/// A request and both answers to it.
pub(super) struct Case<'a> {
    pub(super) request: &'a [u8],
    pub(super) theirs: &'a [Meaning],
    pub(super) ours: &'a [Meaning],
}

/// The name of the difference that a case shows.
pub(super) fn name(case: &Case<'_>) -> Option<&'static str> {
    let seen = Seen::of(case)?;
    RULES.iter().find(|(_, holds)| holds(&seen)).map(|(name, _)| *name)
}

/// A case of one message, taken apart.
struct Seen<'a> {
    header: Header,
    /// The CBOR that follows the header, to its own end.
    body: Value,
    /// Whether bytes follow the body that the header announces.
    more: bool,
    theirs: &'a Meaning,
    ours: &'a Meaning,
    counts: (usize, usize),
}

impl<'a> Seen<'a> {
    fn of(case: &Case<'a>) -> Option<Self> {
        let header = Header::parse(case.request)?;
        let rest = case.request.get(HEADER_SIZE..)?;
        Some(Self {
            header,
            body: decode(rest).unwrap_or(Value::Null),
            more: rest.len() > usize::from(header.length),
            theirs: case.theirs.first()?,
            ours: case.ours.first()?,
            counts: (case.theirs.len(), case.ours.len()),
        })
    }

    fn is(&self, group: Group, command: u8) -> bool {
        (self.header.group, self.header.command) == (group, command)
    }

    fn image(&self, command: u8) -> bool {
        self.is(Group::IMAGE, command)
    }

    fn number(&self, key: &str) -> Option<i128> {
        entry(&self.body, key).and_then(number)
    }

    fn offsets(&self) -> (Option<i128>, Option<i128>) {
        let offset = |meaning: &Meaning| meaning.body().and_then(|body| entry(body, "off")).and_then(number);
        (offset(self.theirs), offset(self.ours))
    }
}

type Rule = (&'static str, fn(&Seen<'_>) -> bool);

const INVALID: i128 = Rc::INVALID.0 as i128;
const NOT_SUPPORTED: i128 = Rc::NOT_SUPPORTED.0 as i128;

/// The first that holds names the difference. `is_error` is given a group's code and what version 1 has for it.
const RULES: [Rule; 15] = [
    ("length-bounds-the-body", |it| it.more && it.ours.is_rc(INVALID) && !it.theirs.is_refusal()),
    ("refusals-end-a-datagram", |it| it.more && it.ours == it.theirs && it.ours.is_refusal() && it.counts.1 == 1),
    ("negative-and-repeated-keys", |it| it.ours.is_rc(INVALID) && negative_or_repeated(&it.body)),
    ("bootloader-query", |it| {
        it.is(Group::OS, command::os::BOOTLOADER) && it.theirs.is_rc(INVALID) && it.ours.is_error(0, 3, 5)
    }),
    ("clock", |it| {
        let answered = it.ours.is_error(0, 4, 5) || it.ours.has("datetime") || it.ours.is_empty();
        it.is(Group::OS, command::os::DATE_TIME) && it.theirs.is_rc(NOT_SUPPORTED) && answered
    }),
    ("slot-info", |it| it.image(command::image::SLOT_INFO) && it.theirs.is_rc(NOT_SUPPORTED) && it.ours.has("images")),
    ("erase-empty", |it| it.image(command::image::ERASE) && it.theirs.is_error(1, 1, 1) && it.ours.is_empty()),
    ("erase-pending", |it| it.image(command::image::ERASE) && it.theirs.is_error(1, 9, 6) && it.ours.is_empty()),
    ("erase-no-such-slot", |it| {
        it.image(command::image::ERASE) && it.theirs.is_error(1, 10, 1) && it.ours.is_error(1, 14, 3)
    }),
    ("confirm-untested", |it| {
        let confirms = entry(&it.body, "confirm") == Some(&Value::Bool(true));
        it.image(command::image::STATE) && confirms && it.theirs.has("images") && it.ours.is_error(1, 32, 1)
    }),
    ("upload-image-number", |it| {
        it.image(command::image::UPLOAD) && it.number("image") > Some(0) && it.ours.is_error(1, 9, 6)
    }),
    ("first-piece-beyond-len", |it| {
        let piece = entry(&it.body, "data").and_then(bytes).map_or(0, <[u8]>::len);
        let beyond = it.number("len").is_some_and(|len| len < piece as i128);
        it.image(command::image::UPLOAD) && it.number("off") == Some(0) && beyond && it.ours.is_error(1, 31, 1)
    }),
    ("match-on-the-last-answer", |it| {
        let (theirs, ours) = it.offsets();
        it.image(command::image::UPLOAD)
            && theirs.is_some()
            && theirs == ours
            && it.ours.has("match")
            && !it.theirs.has("match")
    }),
    ("finished-upload-remembered", |it| {
        it.image(command::image::UPLOAD)
            && it.offsets().0 == Some(0)
            && it.offsets().1 > Some(0)
            && it.ours.has("match")
    }),
    ("resume-needs-the-length", |it| {
        let again = it.number("off") == Some(0) && entry(&it.body, "sha").is_some();
        let (theirs, ours) = it.offsets();
        it.image(command::image::UPLOAD) && again && ours.is_some() && ours < theirs
    }),
];

/// Whether a map has a key twice or a negative number.
fn negative_or_repeated(map: &Value) -> bool {
    let entries = map.as_map().map(Vec::as_slice).unwrap_or_default();
    entries.iter().enumerate().any(|(n, (key, value))| {
        number(value) < Some(0) && value.is_integer() || entries.iter().take(n).any(|(earlier, _)| earlier == key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told_in_the_servers_own_table() {
        let table = include_str!("../../../crates/smp-server/DIFFERENCES.md");
        for (name, _) in RULES {
            assert!(table.contains(&format!("## {name}\n")), "DIFFERENCES.md does not speak of {name}");
        }
    }

    #[test]
    fn the_same_answers_to_another_request_have_no_name() {
        let answer = |hex: &str| Meaning::of(&hex::decode(hex).unwrap());
        // `{"rc": 8}` and `{"images": []}`, to a slot-info request and to an erase request.
        let theirs = [answer("0900000500010006a162726308")];
        let ours = [answer("0900000900010006a166696d6167657380")];
        let named =
            |request: &str| name(&Case { request: &hex::decode(request).unwrap(), theirs: &theirs, ours: &ours });
        assert_eq!(named("0800000100010006a0"), Some("slot-info"));
        assert_eq!(named("0800000100010005a0"), None);
    }
}
