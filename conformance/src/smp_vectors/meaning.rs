//! What an answer says, whatever its spelling.

use ciborium::Value;
use otaru_smp::{Group, HEADER_SIZE, Header, Version, command};
use std::fmt;

/// Header and body of an answer, without what is one server's alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// A message.
    Message {
        /// Its header, without the length.
        header: Header,
        /// Its body: maps with their keys in order.
        body: Value,
    },
    /// Bytes that are none.
    Broken(Vec<u8>),
}

impl Meaning {
    pub(super) fn of(answer: &[u8]) -> Self {
        let message = || {
            let header = Header::parse(answer)?;
            let mut body = decode(answer.get(HEADER_SIZE..)?)?;
            normalise(&header, &mut body);
            Some(Self::Message { header: Header { length: 0, ..header }, body })
        };
        message().unwrap_or_else(|| Self::Broken(answer.to_vec()))
    }

    /// The body, if this is a message.
    pub(super) fn body(&self) -> Option<&Value> {
        match self {
            Self::Message { body, .. } => Some(body),
            Self::Broken(_) => None,
        }
    }

    /// Whether it refuses with this code of the common table.
    pub(super) fn is_rc(&self, rc: i128) -> bool {
        self.body().and_then(|body| entry(body, "rc")).and_then(number) == Some(rc)
    }

    /// Whether it refuses with this code of a group: as itself, or under version 1 as what the common table has for it.
    pub(super) fn is_error(&self, group: i128, rc: i128, v1: i128) -> bool {
        let Self::Message { header, body } = self else { return false };
        if header.version == Version::V1 {
            return self.is_rc(v1);
        }
        let error = entry(body, "err");
        let field = |key| error.and_then(|error| entry(error, key)).and_then(number);
        (field("group"), field("rc")) == (Some(group), Some(rc))
    }

    /// Whether it refuses at all.
    pub(super) fn is_refusal(&self) -> bool {
        self.has("rc") || self.has("err")
    }

    /// Whether its body has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.body().is_some_and(|body| entry(body, key).is_some())
    }

    /// Whether its body says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.body().and_then(Value::as_map).is_some_and(Vec::is_empty)
    }
}

/// Takes away spelling, added words and what belongs to one server.
fn normalise(header: &Header, body: &mut Value) {
    let Value::Map(entries) = body else { return };
    entries.retain(|(key, _)| key.as_text() != Some("rsn"));
    let command = (header.group, header.command);
    for (key, value) in entries.iter_mut() {
        match key.as_text() {
            Some("output") if command == (Group::OS, command::os::INFO) => *value = kind(value),
            Some("datetime") if command == (Group::OS, command::os::DATE_TIME) => *value = kind(value),
            Some("buf_size" | "buf_count") if command == (Group::OS, command::os::PARAMS) => *value = kind(value),
            Some("tasks") if command == (Group::OS, command::os::TASK_STATS) => *value = tasks(value),
            _ => {}
        }
    }
    sort(body);
}

/// That a value is there, and of which type.
fn kind(value: &Value) -> Value {
    Value::Text(match value {
        Value::Text(_) => "a text".into(),
        Value::Integer(_) => "a number".into(),
        other => format!("{other:?}"),
    })
}

/// What every task is told with, whoever it is.
fn tasks(value: &Value) -> Value {
    let tasks = value.as_map().map(Vec::as_slice).unwrap_or_default();
    let told =
        |key: &str| !tasks.is_empty() && tasks.iter().all(|(_, task)| entry(task, key).and_then(number).is_some());
    let keys = ["prio", "state", "tid"].into_iter().filter(|key| told(key));
    Value::Text(format!("tasks with {}", keys.collect::<Vec<_>>().join(", ")))
}

fn sort(value: &mut Value) {
    match value {
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, value)| sort(value));
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

/// The first item of CBOR in `bytes`, if it is a map.
pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    ciborium::from_reader::<Value, _>(bytes).ok().filter(Value::is_map)
}

/// The value of a key of a map.
pub(super) fn entry<'v>(map: &'v Value, key: &str) -> Option<&'v Value> {
    map.as_map()?.iter().find(|(found, _)| found.as_text() == Some(key)).map(|(_, value)| value)
}

pub(super) fn number(value: &Value) -> Option<i128> {
    value.as_integer().map(Into::into)
}

pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    value.as_bytes().map(Vec::as_slice)
}

/// The header without its length, in hexadecimal, and the body.
impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { header, body } => write!(f, "{} {}", hex::encode(header.emit()), Shown(body)),
            Self::Broken(bytes) => write!(f, "no message: {}", hex::encode(bytes)),
        }
    }
}

/// CBOR as people write it.
struct Shown<'v>(&'v Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Map(entries) => {
                f.write_str("{")?;
                for (n, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}: {}", if n == 0 { "" } else { ", " }, Shown(key), Shown(value))?;
                }
                f.write_str("}")
            }
            Value::Array(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if n == 0 { "" } else { ", " }, Shown(item))?;
                }
                f.write_str("]")
            }
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => write!(f, "h'{}'", hex::encode(bytes)),
            Value::Integer(number) => write!(f, "{}", i128::from(*number)),
            Value::Bool(truth) => write!(f, "{truth}"),
            other => write!(f, "{other:?}"),
        }
    }
}
