//! What every message's body can do, and the errors that any answer may hold instead.

use crate::cbor::{DecodeError, EncodeError, Reader, Writer, once};
use crate::code::{Code, GroupError, Rc};
use crate::{Group, HEADER_SIZE, Header, Op, Version};
use core::fmt;

/// The body of a message: a CBOR map that borrows its texts and byte strings.
pub trait Body<'a>: Sized {
    /// Writes the body at the start of `out` and tells how many bytes it takes.
    ///
    /// # Errors
    /// [`EncodeError`], if `out` is too small; `out` then holds part of it.
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError>;

    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`], if `body` is not a map that holds what the message needs.
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError>;
}

/// A body that asks for something, and what answers it.
pub trait Request<'a>: Body<'a> {
    /// Read or write.
    const OP: Op;
    /// The command's group.
    const GROUP: Group;
    /// The command within the group.
    const COMMAND: u8;
    /// The body of a good answer.
    type Response<'r>: Body<'r>;

    /// Writes the whole message, header and body, at the start of `out` and tells how many bytes it takes.
    ///
    /// # Errors
    /// [`EncodeError`], if `out` is too small.
    fn message(&self, version: Version, sequence: u8, out: &mut [u8]) -> Result<usize, EncodeError> {
        let (op, group, command, flags) = (Self::OP, Self::GROUP, Self::COMMAND, Header::WANTS_REASON);
        let header = Header { version, op, flags, length: 0, group, sequence, command };
        write_message(header, out, |body| self.encode(body))
    }
}

/// Writes a message at the start of `out`: a body by `body`, and before it `header` with the body's length. Tells how
/// many bytes it takes.
///
/// # Errors
/// [`EncodeError`], if `out` is too small or the body longer than a header can say.
pub fn write_message(
    header: Header,
    out: &mut [u8],
    body: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<usize, EncodeError> {
    let full = EncodeError { capacity: out.len() };
    let (head, rest) = out.split_first_chunk_mut::<HEADER_SIZE>().ok_or(full)?;
    let written = body(rest).map_err(|_| full)?;
    let length = u16::try_from(written).map_err(|_| full)?;
    *head = Header { length, ..header }.emit();
    HEADER_SIZE.checked_add(written).ok_or(full)
}

/// An answer that refuses: a code, and the server's own words where it sends any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The code.
    pub code: Code,
    /// The server's words (`rsn`).
    pub reason: Option<&'a str>,
}

impl<'a> Failure<'a> {
    /// What an answer's body says has failed, or `None` if it does not say that anything has.
    ///
    /// Knows `{"rc"}` and `{"err": {"group", "rc"}}`; where both are there the group's own counts, and a code of 0
    /// is no failure.
    ///
    /// # Errors
    /// [`DecodeError`], if `body` is not a map or the keys named have other types.
    pub fn find(body: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let (mut rc, mut err, mut reason) = (None, None, None);
        Reader::new(body).map(|key, value| match key {
            "rc" => once(&mut rc, value, Reader::u16),
            "err" => once(&mut err, value, read_group_error),
            "rsn" => once(&mut reason, value, Reader::text),
            _ => value.skip(),
        })?;
        let group = err.filter(|error| error.rc != 0).map(Code::Group);
        let smp = rc.filter(|rc| *rc != 0).map(|rc| Code::Smp(Rc(rc)));
        Ok(group.or(smp).map(|code| Self { code, reason }))
    }

    /// Writes the refusal as `version` knows it: under version 1 a group's code becomes one of the common table.
    ///
    /// # Errors
    /// [`EncodeError`], if `out` is too small.
    pub fn encode(&self, version: Version, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(out);
        writer.map(1_usize.saturating_add(usize::from(self.reason.is_some())))?;
        match self.code {
            Code::Smp(rc) => writer.unsigned_entry("rc", rc.0)?,
            Code::Group(error) if version == Version::V1 => writer.unsigned_entry("rc", error.to_v1().0)?,
            Code::Group(error) => {
                writer.text("err")?;
                writer.map(2)?;
                writer.unsigned_entry("group", error.group.0)?;
                writer.unsigned_entry("rc", error.rc)?;
            }
        }
        if let Some(reason) = self.reason {
            writer.text_entry("rsn", reason)?;
        }
        Ok(writer.written())
    }
}

fn read_group_error(reader: &mut Reader<'_>) -> Result<GroupError, DecodeError> {
    let (mut group, mut rc) = (None, None);
    reader.map(|key, value| match key {
        "group" => once(&mut group, value, Reader::u16),
        "rc" => once(&mut rc, value, Reader::u16),
        _ => value.skip(),
    })?;
    let group = Group(group.ok_or(DecodeError::Missing { key: "group" })?);
    Ok(GroupError { group, rc: rc.ok_or(DecodeError::Missing { key: "rc" })? })
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the device answered {}", self.code)?;
        match self.reason {
            Some(reason) => write!(f, "; it says: {reason}"),
            None => Ok(()),
        }
    }
}

/// Why an answer does not hold what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError<'a> {
    /// The server refused.
    #[error("{0}")]
    Refused(Failure<'a>),
    /// The answer cannot be read.
    #[error("the device's answer cannot be read: {0}")]
    Unreadable(DecodeError),
}

impl From<DecodeError> for AnswerError<'_> {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error)
    }
}

/// Reads an answer's body: a good answer, or the server's refusal.
///
/// # Errors
/// [`AnswerError`].
pub fn read_answer<'a, R: Body<'a>>(body: &'a [u8]) -> Result<R, AnswerError<'a>> {
    match Failure::find(body)? {
        Some(failure) => Err(AnswerError::Refused(failure)),
        None => Ok(R::decode(body)?),
    }
}

/// Bodies that hold nothing: written as an empty map, read from any map.
macro_rules! empty_bodies {
    ($($body:ident),+) => {
        $(impl Body<'_> for $body {
            fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
                let mut writer = Writer::new(out);
                writer.map(0)?;
                Ok(writer.written())
            }

            fn decode(body: &[u8]) -> Result<Self, DecodeError> {
                Reader::new(body).map(|_, value| value.skip())?;
                Ok(Self)
            }
        })+
    };
}

/// The table of requests: body, operation, group, command and the body of a good answer.
macro_rules! requests {
    ($($body:ident $(<$a:lifetime>)?, $op:ident, $group:ident, $command:expr => $response:ident $(<$r:lifetime>)?;)+) => {
        $(impl<'a> Request<'a> for $body $(<$a>)? {
            const OP: Op = Op::$op;
            const GROUP: Group = Group::$group;
            const COMMAND: u8 = $command;
            type Response<'r> = $response $(<$r>)?;
        })+
    };
}

pub(crate) use {empty_bodies, requests};
