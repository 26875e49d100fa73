//! The channels between a session and whoever speaks SMP over it.

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;

/// Frames that may wait in each direction.
const WAITING: usize = 4;

type Bytes<const FRAME: usize> = heapless::Vec<u8, FRAME>;

/// Frames out and in. Shared by reference between [`run`](super::run) and its user, who may be on another thread.
///
/// `run` starts with empty channels. Frames given from then on wait until the session is ready. When the `run` future ends,
/// nobody takes frames any more: wait for both.
pub struct Frames<const FRAME: usize> {
    out: Channel<CriticalSectionRawMutex, Bytes<FRAME>, WAITING>,
    back: Channel<CriticalSectionRawMutex, Bytes<FRAME>, WAITING>,
    close: Signal<CriticalSectionRawMutex, ()>,
}

/// A frame was longer than the buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes does not fit the buffers of {limit}")]
#[non_exhaustive]
pub struct FrameTooLong {
    /// Bytes of the frame.
    pub length: usize,
    /// Bytes of a buffer.
    pub limit: usize,
}

impl<const FRAME: usize> Frames<FRAME> {
    /// Empty channels.
    pub const fn new() -> Self {
        Self { out: Channel::new(), back: Channel::new(), close: Signal::new() }
    }

    /// Gives a frame to the session, once there is room.
    ///
    /// # Errors
    ///
    /// [`FrameTooLong`] if it does not fit.
    pub async fn send(&self, frame: &[u8]) -> Result<(), FrameTooLong> {
        let bytes = Bytes::from_slice(frame).map_err(|_| FrameTooLong { length: frame.len(), limit: FRAME })?;
        self.out.send(bytes).await;
        Ok(())
    }

    /// Waits for a frame from the device and writes it to the start of `frame`; what does not fit there is cut off. Returns
    /// its length.
    pub async fn receive(&self, frame: &mut [u8]) -> usize {
        let bytes = self.back.receive().await;
        frame.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
        bytes.len()
    }

    /// Asks the session to end, at whatever step it is. Frames that still wait are not sent.
    pub fn close(&self) {
        self.close.signal(());
    }

    /// Forgets what an earlier session left.
    pub(super) fn clear(&self) {
        self.out.clear();
        self.back.clear();
        self.close.reset();
    }

    pub(super) async fn next_out(&self) -> Bytes<FRAME> {
        self.out.receive().await
    }

    pub(super) async fn put_back(&self, frame: &[u8]) {
        // Reassembled in a buffer of the same size.
        if let Ok(bytes) = Bytes::from_slice(frame) {
            self.back.send(bytes).await;
        }
    }

    pub(super) async fn closed(&self) {
        self.close.wait().await;
    }
}

impl<const FRAME: usize> Default for Frames<FRAME> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn a_frame_too_long_says_so() {
        let error = FrameTooLong { length: 2476, limit: 2475 };
        insta::assert_snapshot!(error, @"a frame of 2476 bytes does not fit the buffers of 2475");
    }
}
