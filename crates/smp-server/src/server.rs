//! The dispatcher: from a message to the group that answers it, and from what it says to a message.

use crate::{Failure, Gate, ImageGroup, OsGroup, image, os};
use otaru_policy::{Link, Policy};
use otaru_smp::os::ResetRequest;
use otaru_smp::{Group, HEADER_SIZE, Header, Message, MessageError, Op, Rc};

/// The least buffer for answers, in bytes: room for any refusal without words.
pub const MIN_ANSWER_SIZE: usize = 32;

/// An SMP server over the application's groups.
#[derive(Debug)]
pub struct Server<O, I> {
    policy: Policy,
    os: O,
    images: I,
    reset: Option<ResetRequest>,
}

impl<O: OsGroup, I: ImageGroup> Server<O, I> {
    /// A server that asks `policy` for every request.
    pub const fn new(policy: Policy, os: O, images: I) -> Self {
        Self { policy, os, images, reset: None }
    }

    /// Answers the message in `request`: writes the answer to `answer` and tells its length. `None` if there is nothing
    /// to answer to: fewer bytes than a header has. What follows the message is not looked at.
    ///
    /// A buffer for the answer of less than [`MIN_ANSWER_SIZE`] bytes, too, is no answer, and then nothing is done
    /// either. An answer that does not fit into it is replaced by rc 7.
    pub async fn handle(&mut self, link: &Link, request: &[u8], answer: &mut [u8]) -> Option<usize> {
        let mut requests = request;
        self.handle_next(link, &mut requests, answer).await
    }

    /// As [`handle`](Self::handle), for a datagram with several messages: takes the first off the front of `requests`.
    /// Call it, send the answer, and call it again until it gives `None`. A refusal drops the messages after it.
    pub async fn handle_next(&mut self, link: &Link, requests: &mut &[u8], answer: &mut [u8]) -> Option<usize> {
        let bytes = core::mem::take(requests);
        if answer.len() < MIN_ANSWER_SIZE {
            return None;
        }
        let (message, rest) = match Message::split(bytes) {
            Ok(split) => split,
            Err(MessageError::Body { header, announced, found }) => {
                let reason = format_args!("the header announces a body of {announced} bytes, {found} followed it");
                return refuse(&header, &Failure::new(Rc::CORRUPT).because(reason), answer);
            }
            Err(_) => return None,
        };
        let header = message.header;
        let (_, out) = answer.split_first_chunk_mut::<HEADER_SIZE>()?;
        match self.dispatch(link, &message, out).await {
            Ok(len) => {
                *requests = rest;
                finish(&header, len, answer)
            }
            Err(failure) => refuse(&header, &failure, answer),
        }
    }

    /// The restart that a peer asked for and the application agreed to. To be carried out once the answer was sent.
    pub const fn take_reset(&mut self) -> Option<ResetRequest> {
        self.reset.take()
    }

    /// Does what is better done while no request waits: erasing flash ahead of an upload.
    ///
    /// # Interruption
    /// As [`crate::ImageStore::erase_sector_at`].
    pub async fn idle(&mut self) {
        self.images.idle().await;
    }

    /// Tells that a connection is gone: an upload over it may be continued or replaced by others.
    pub fn connection_closed(&mut self, connection: u32) {
        self.images.connection_closed(connection);
    }

    /// The policy, to be changed for the requests to come.
    pub const fn policy_mut(&mut self) -> &mut Policy {
        &mut self.policy
    }

    /// The OS group.
    pub const fn os_mut(&mut self) -> &mut O {
        &mut self.os
    }

    /// The image group.
    pub const fn images_mut(&mut self) -> &mut I {
        &mut self.images
    }

    /// Carries out a request and writes the body of a good answer.
    async fn dispatch(&mut self, link: &Link, message: &Message<'_>, out: &mut [u8]) -> Result<usize, Failure> {
        let Message { header, body } = *message;
        if !header.version.is_known() {
            return Err(Failure::new(Rc::TOO_NEW));
        }
        if !matches!(header.op, Op::READ | Op::WRITE) {
            return Err(Failure::not_supported());
        }
        let gate = Gate::new(&self.policy, link);
        let command = (header.op, header.command);
        match header.group {
            Group::OS => {
                let done = os::dispatch(&mut self.os, gate, command, body, out).await?;
                self.reset = done.reset.or(self.reset.take());
                Ok(done.len)
            }
            Group::IMAGE => image::dispatch(&mut self.images, gate, command, body, out).await,
            _ => Err(Failure::not_supported()),
        }
    }
}

/// Writes the refusal of a request.
fn refuse(request: &Header, failure: &Failure, answer: &mut [u8]) -> Option<usize> {
    let (_, out) = answer.split_first_chunk_mut::<HEADER_SIZE>()?;
    let len = failure.encode(request, out).ok()?;
    finish(request, len, answer)
}

/// Puts the header before a body of `len` bytes; `None` if there are not so many or no header can say so.
fn finish(request: &Header, len: usize, answer: &mut [u8]) -> Option<usize> {
    let header = request.answer(u16::try_from(len).ok()?);
    let whole = HEADER_SIZE.checked_add(len).filter(|whole| *whole <= answer.len())?;
    *answer.first_chunk_mut()? = header.emit();
    Some(whole)
}

#[cfg(test)]
mod tests;
