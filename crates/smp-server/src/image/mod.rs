//! The image group: the trait, its dispatch, and [`Images`], which holds the rules.

mod images;
mod state;
mod store;
mod upload;

pub use images::Images;
pub use store::{Candidate, ImageStore, SlotImage, SwapType};

use crate::{Failure, Gate};
use otaru_policy::Action;
use otaru_smp::command::image as command;
use otaru_smp::image::{EraseRequest, EraseResponse, SetStateRequest, UploadRequest, UploadResponse};
use otaru_smp::{Body, Op};

/// What an application offers of the image group: [`Images`] for any that can swap. Every method answers 'not
/// supported' until it is written.
#[expect(async_fn_in_trait, reason = "device executors are single-threaded: no Send bound is wanted")]
pub trait ImageGroup {
    /// Encodes an [`otaru_smp::image::StateResponse`] into `out` and tells its length.
    ///
    /// # Errors
    /// Whatever shall be answered.
    async fn state(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        let _ = out;
        Err(Failure::not_supported())
    }

    /// Marks an image for test, or confirms one, and then answers as [`state`](Self::state). The gate has been asked
    /// for [`Action::Test`] or [`Action::Confirm`], by what `request` says.
    ///
    /// # Errors
    /// Whatever shall be answered.
    async fn set_state(
        &mut self,
        gate: Gate<'_>,
        request: &SetStateRequest<'_>,
        out: &mut [u8],
    ) -> Result<usize, Failure> {
        let _ = (gate, request, out);
        Err(Failure::not_supported())
    }

    /// Takes a piece of an image. The gate has been asked for [`Action::Upload`].
    ///
    /// # Errors
    /// Whatever shall be answered.
    async fn upload(&mut self, gate: Gate<'_>, request: &UploadRequest<'_>) -> Result<UploadResponse, Failure> {
        let _ = (gate, request);
        Err(Failure::not_supported())
    }

    /// Erases a slot. The gate has been asked for [`Action::Erase`].
    ///
    /// # Errors
    /// Whatever shall be answered.
    async fn erase(&mut self, gate: Gate<'_>, request: &EraseRequest) -> Result<(), Failure> {
        let _ = (gate, request);
        Err(Failure::not_supported())
    }

    /// Encodes an [`otaru_smp::image::SlotInfoResponse`] into `out` and tells its length.
    ///
    /// # Errors
    /// Whatever shall be answered.
    async fn slot_info(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        let _ = out;
        Err(Failure::not_supported())
    }

    /// Does what is better done while no request waits.
    async fn idle(&mut self) {}

    /// Learns that a connection is gone.
    fn connection_closed(&mut self, connection: u32) {
        let _ = connection;
    }
}

/// Answers a request of the image group with the length of the body in `out`.
pub(crate) async fn dispatch<G: ImageGroup>(
    group: &mut G,
    gate: Gate<'_>,
    (op, number): (Op, u8),
    body: &[u8],
    out: &mut [u8],
) -> Result<usize, Failure> {
    match (number, op) {
        (command::STATE, Op::READ) => {
            gate.ask(Action::Observe)?;
            group.state(out).await
        }
        (command::STATE, Op::WRITE) => {
            let request = SetStateRequest::decode(body);
            let confirm = request.is_ok_and(|request| request.confirm);
            gate.ask(if confirm { Action::Confirm } else { Action::Test })?;
            group.set_state(gate, &request?, out).await
        }
        (command::UPLOAD, Op::WRITE) => {
            gate.ask(Action::Upload)?;
            Ok(group.upload(gate, &UploadRequest::decode(body)?).await?.encode(out)?)
        }
        (command::ERASE, Op::WRITE) => {
            gate.ask(Action::Erase)?;
            group.erase(gate, &EraseRequest::decode(body)?).await?;
            Ok(EraseResponse.encode(out)?)
        }
        (command::SLOT_INFO, Op::READ) => {
            gate.ask(Action::Observe)?;
            group.slot_info(out).await
        }
        _ => Err(Failure::not_supported()),
    }
}

#[cfg(test)]
mod tests;
