//! What is sent and what is understood of the answers.

use crate::{Refusal, UploadError};
use core::ops::Range;
use otaru_smp::image::{IMAGE_HEADER_SIZE, StateRequest, StateResponse, UploadRequest, UploadResponse};
use otaru_smp::{AnswerError, Code, EncodeError, Group, Message, Op, Rc, Request, Version, command, read_answer};

/// The facts of the file to be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Image number on the device.
    pub image: u32,
    /// Bytes of the file.
    pub len: u32,
    /// SHA-256 of the whole file: what an upload is resumed by.
    pub file_sha: [u8; 32],
    /// The hash that devices list the image under (its SHA-256 TLV), where the file is an image. With it, a lost final
    /// answer costs one request; without it, another upload.
    pub image_hash: Option<[u8; 32]>,
    /// Let the device refuse what is not newer than what runs.
    pub upgrade: bool,
}

/// One SMP frame to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    seq: u8,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    First { image: Option<u32>, len: u32, sha: Option<[u8; 32]>, upgrade: bool, data_len: u16 },
    Next { offset: u32, data_len: u16 },
    State,
}

impl Plan {
    /// The first packet, without its data, for frames of `frame` bytes: with the hash if that leaves room for an image
    /// header.
    fn first(&self, frame: u16) -> Result<Kind, UploadError> {
        let least = u16::try_from(IMAGE_HEADER_SIZE).unwrap_or(u16::MAX).min(clamp(self.len));
        let with = |sha| Kind::First {
            image: Some(self.image).filter(|image| *image != 0),
            len: self.len,
            sha,
            upgrade: self.upgrade,
            data_len: 0,
        };
        for kind in [with(Some(self.file_sha)), with(None)] {
            let room = kind.room(frame);
            if room >= least {
                return Ok(kind.carrying(room.min(clamp(self.len))));
            }
        }
        let needed = clamp(with(None).request(&[]).overhead(IMAGE_HEADER_SIZE)).saturating_add(least);
        Err(UploadError::FrameTooSmall { frame, needed })
    }

    /// Whether frames of `frame` bytes can carry an upload.
    pub(crate) fn fits(&self, frame: u16) -> Result<(), UploadError> {
        self.first(frame).map(drop)
    }

    /// The packet that begins the upload.
    pub(crate) fn first_packet(&self, seq: u8, frame: u16) -> Option<Packet> {
        Some(Packet { seq, kind: self.first(frame).ok()? })
    }

    /// The packet that carries on at `offset`.
    pub(crate) fn next_packet(&self, seq: u8, frame: u16, offset: u32) -> Packet {
        let room = Kind::Next { offset, data_len: 0 }.room(frame);
        let data_len = room.min(clamp(self.len.saturating_sub(offset)));
        Packet { seq, kind: Kind::Next { offset, data_len } }
    }

    /// Whether the first packet holds the file's whole hash.
    pub(crate) fn sends_sha(&self, frame: u16) -> bool {
        matches!(self.first(frame), Ok(Kind::First { sha: Some(_), .. }))
    }
}

impl Packet {
    /// The packet that asks which images there are.
    pub(crate) fn state(seq: u8) -> Self {
        Self { seq, kind: Kind::State }
    }

    /// Which bytes of the file it carries; none for a packet that only asks.
    pub fn data(&self) -> Range<usize> {
        let (offset, len) = match self.kind {
            Kind::First { data_len, .. } => (0, data_len),
            Kind::Next { offset, data_len } => (offset, data_len),
            Kind::State => (0, 0),
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        start..start.saturating_add(len.into())
    }

    /// The file offset behind the last byte it carries.
    pub(crate) fn end(&self) -> u32 {
        u32::try_from(self.data().end).unwrap_or(u32::MAX)
    }

    /// Writes the frame at the start of `out` and tells how many bytes it takes. `data` are the bytes of [`Packet::data`].
    ///
    /// # Errors
    /// [`EncodeError`], if `out` is smaller than the frame size the link was said to have.
    pub fn encode(&self, data: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
        match self.kind {
            Kind::State => StateRequest.message(Version::V2, self.seq, out),
            kind => kind.request(data).message(Version::V2, self.seq, out),
        }
    }
}

impl Kind {
    fn request<'a>(&'a self, data: &'a [u8]) -> UploadRequest<'a> {
        match self {
            Self::First { image, len, sha, upgrade, .. } => UploadRequest {
                image: *image,
                upgrade: *upgrade,
                ..UploadRequest::first(data, *len, sha.as_ref().map(<[u8; 32]>::as_slice))
            },
            Self::Next { offset, .. } => UploadRequest::next(*offset, data),
            Self::State => UploadRequest::next(0, data),
        }
    }

    /// Bytes of data that fit a frame of `frame` bytes beside everything else.
    fn room(&self, frame: u16) -> u16 {
        self.request(&[]).capacity(frame.into()).map_or(0, clamp)
    }

    fn carrying(self, len: u16) -> Self {
        match self {
            Self::First { image, len: whole, sha, upgrade, .. } => {
                Self::First { image, len: whole, sha, upgrade, data_len: len }
            }
            other => other,
        }
    }
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// How far the upload is.
    Upload(UploadResponse),
    /// Whether the list of images holds the one uploaded.
    State { holds_image: bool },
    /// The device has no room, or no time, for this request now.
    Busy(Refusal),
    /// Another refusal.
    Refused(Refusal),
}

impl Answer {
    /// The sequence number and content of the answer in `frame`; `None` if it is no answer to anything sent here.
    pub(crate) fn decode(frame: &[u8], image_hash: Option<&[u8; 32]>) -> Option<(u8, Self)> {
        let (message, _) = Message::split(frame).ok()?;
        let header = message.header;
        let answer = match (header.group, header.command, header.op) {
            (Group::IMAGE, command::image::UPLOAD, Op::WRITE_RESPONSE) => read_answer(message.body).map(Self::Upload),
            (Group::IMAGE, command::image::STATE, Op::READ_RESPONSE) => read_answer(message.body)
                .map(|state: StateResponse<'_>| Self::State { holds_image: holds(&state, image_hash) }),
            _ => return None,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(AnswerError::Refused(failure)) => {
                let refusal = Refusal::from(failure);
                match refusal.code {
                    Code::Smp(Rc::NO_MEMORY | Rc::BUSY) => Self::Busy(refusal),
                    _ => Self::Refused(refusal),
                }
            }
            Err(AnswerError::Unreadable(_)) => return None,
        };
        Some((header.sequence, answer))
    }
}

fn holds(state: &StateResponse<'_>, image_hash: Option<&[u8; 32]>) -> bool {
    state.images.iter().any(|slot| slot.hash.is_some() && slot.hash == image_hash.map(<[u8; 32]>::as_slice))
}

/// As much as a frame's 16-bit length can say.
fn clamp(n: impl TryInto<u16>) -> u16 {
    n.try_into().unwrap_or(u16::MAX)
}
