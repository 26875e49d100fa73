//! The application object: one server for all transports, and what happens besides answering.

use crate::Board;
use crate::ble::Centrals;
use crate::os::Os;
use crate::slots::Slots;
use core::future::Future;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer};
use otaru_boot::FlashError;
use otaru_crypto::TrustedKeys;
use otaru_flash::AsyncFlash;
use otaru_layout::Layout;
use otaru_policy::{Link, Policy};
use otaru_smp::os::ResetRequest;
use otaru_smp_server::{Images, Server};

/// From the answer to a reset request until the reset: time to leave the radio or the wire. As Zephyr's servers.
const RESET_DELAY: Duration = Duration::from_millis(250);

/// How long a reset waits for its answer to be sent, should the transport never say so.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// An updatable application. `F` is all flash of the board, `K` the keys its loader trusts.
pub struct App<'a, F: AsyncFlash, K: TrustedKeys, B: Board> {
    server: Mutex<NoopRawMutex, Groups<'a, F, K, B>>,
    pub(crate) centrals: Centrals,
    reset: Signal<NoopRawMutex, ResetRequest>,
    answered: Signal<NoopRawMutex, ()>,
    served: Signal<NoopRawMutex, ()>,
}

type Groups<'a, F, K, B> = Server<Os<'a, B>, Images<Slots<'a, F, K, B>>>;

/// Why the device is to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the device is to restart now"]
pub struct Restart {
    /// What the peer asked for.
    pub request: ResetRequest,
}

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after a failed trial the device is to restart"]
pub enum Trial {
    /// The running image is not on trial: nothing was tested.
    None,
    /// The self-test passed. Somebody else is to confirm the image.
    Passed,
    /// The self-test passed, and the image is permanent now.
    Confirmed,
    /// The self-test failed. A restart now brings the old image back.
    Failed,
}

impl<'a, F: AsyncFlash, K: TrustedKeys, B: Board> App<'a, F, K, B> {
    /// An application that runs from the primary slot of `layout`, and lets `policy` decide who may do what.
    pub const fn new(flash: F, layout: Layout, keys: K, policy: Policy, board: &'a B) -> Self {
        let images = Images::new(Slots::new(flash, layout, keys, board));
        Self {
            server: Mutex::new(Server::new(policy, Os(board), images)),
            centrals: Centrals::new(),
            reset: Signal::new(),
            answered: Signal::new(),
            served: Signal::new(),
        }
    }

    /// Takes the first message off the front of `requests` and answers it: writes the answer to `answer` and gives its
    /// length in bytes, or `None` if there is nothing to answer to. A datagram may hold several messages: send the
    /// answer, say so with [`answered`](Self::answered), and call it again until it gives `None`.
    ///
    /// Requests of several transports wait for each other.
    ///
    /// # Interruption
    /// Dropping the future is a power cut to the flash operation under way: an upload is lost, everything else is asked
    /// for wholly or not at all.
    pub async fn handle_next(&self, link: &Link, requests: &mut &[u8], answer: &mut [u8]) -> Option<usize> {
        let mut server = self.server.lock().await;
        self.centrals.take_gone(|connection| server.connection_closed(connection));
        let answered = server.handle_next(link, requests, answer).await;
        if let Some(request) = server.take_reset() {
            self.answered.reset();
            self.reset.signal(request);
        }
        self.served.signal(());
        answered
    }

    /// Tells that the last answer was sent, or never will be.
    pub fn answered(&self) {
        self.answered.signal(());
    }

    /// Erases flash ahead of a running upload, and returns when a peer asked for a restart and its answer had time to
    /// arrive. To be joined with the transports; the device is to be reset then.
    pub async fn run(&self) -> Restart {
        match select(self.restart(), self.work_ahead()).await {
            Either::First(restart) => restart,
            Either::Second(never) => never,
        }
    }

    /// If the running image is on trial, has it prove itself: runs `self_test`, and confirms the image if that gives
    /// `true` and `confirm` says that nobody else is to. To be done before transports are served, with the watchdog
    /// running.
    ///
    /// # Interruption
    /// Unless the image was confirmed, the next boot reverts to the old one.
    ///
    /// # Errors
    /// If flash cannot be read, or not be written to confirm.
    pub async fn trial(
        &self,
        self_test: impl Future<Output = bool>,
        confirm: bool,
    ) -> Result<Trial, FlashError<F::Error>> {
        if !self.server.lock().await.images_mut().store_mut().status()?.on_trial() {
            return Ok(Trial::None);
        }
        if !self_test.await {
            return Ok(Trial::Failed);
        }
        if !confirm {
            return Ok(Trial::Passed);
        }
        self.server.lock().await.images_mut().store_mut().confirm().await?;
        Ok(Trial::Confirmed)
    }

    async fn restart(&self) -> Restart {
        let request = self.reset.wait().await;
        // Whether it was sent or has no one to go to: the reset was agreed to.
        let _ = select(self.answered.wait(), Timer::after(ANSWER_PATIENCE)).await;
        Timer::after(RESET_DELAY).await;
        Restart { request }
    }

    async fn work_ahead<T>(&self) -> T {
        loop {
            self.served.wait().await;
            self.server.lock().await.idle().await;
        }
    }
}
