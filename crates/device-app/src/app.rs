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
use otaru_boot::{FlashError, Options};
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
    /// An application that runs from the primary slot of `layout`, and lets `policy` decide who may do what. `keys` and
    /// `options` are the loader's: what it would not boot is not asked of it.
    pub const fn new(flash: F, layout: Layout, keys: K, options: Options, policy: Policy, board: &'a B) -> Self {
        let images = Images::new(Slots::new(flash, layout, keys, options, board));
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
        self.centrals.each_gone(|connection| server.connection_closed(connection));
        let answered = server.handle_next(link, requests, answer).await;
        // Again: this request may be the last of a connection that is gone, and have begun an upload.
        self.centrals.take_gone(|connection| server.connection_closed(connection));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClockError, Info};
    use otaru_crypto::KeySet;
    use otaru_flash::{Blocking, DeviceId, Geometry, WriteUnit};
    use otaru_image::{Flags, HEADER_LEN, Header};
    use otaru_layout::{Area, Mode, Spec};
    use otaru_nor_sim::NorFlash;
    use otaru_policy::{Access, SecurityLevel, Transport};
    use otaru_sim_rt::{ClockMode, run};
    use otaru_smp::image::{UploadRequest, UploadResponse};
    use otaru_smp::os::Task;
    use otaru_smp::{DateTime, Message, Request as _, Version, read_answer};

    struct NoBoard;

    impl Board for NoBoard {
        fn date_time(&self) -> Result<Option<DateTime>, ClockError> {
            Ok(None)
        }

        fn set_date_time(&self, _: DateTime) -> Result<(), ClockError> {
            Ok(())
        }

        fn info(&self) -> Info<'_> {
            Info::default()
        }

        fn tasks(&self) -> &[Task<'_>] {
            &[]
        }
    }

    #[test]
    fn the_last_request_of_a_dead_connection_keeps_nobody_from_uploading() {
        let devices = [Geometry::uniform(4096, 32, WriteUnit::new(4).unwrap(), 0xff)];
        let area = |offset| Area { device: DeviceId(0), offset, len: 0x10000 };
        let spec = Spec { primary: area(0), secondary: area(0x10000), ..Spec::new(Mode::SwapMove, &devices) };
        let flash = Blocking(NorFlash::erased(&devices));
        let policy = Policy::deny_all().with(Transport::Ble, Access::open());
        let layout = Layout::new(&spec).unwrap();
        let app = App::new(flash, layout, KeySet::new(&[]), Options::default(), policy, &NoBoard);
        let mut image = [0x5a; 1000];
        let header = Header {
            load_address: 0,
            header_size: 0x200,
            protected_size: 0,
            image_size: 5000,
            flags: Flags(0),
            version: otaru_image::Version::new(2, 0, 0, 0),
        };
        image[..HEADER_LEN].copy_from_slice(&header.emit());
        run(ClockMode::Virtual, async {
            for (connection, len) in [(1, 6000), (2, 7000)] {
                app.centrals.seen(connection);
                // Told before its request gets its turn.
                app.centrals.gone(Some(connection));
                let (mut frame, mut answer) = ([0; 2000], [0; 200]);
                let request = UploadRequest::first(&image, len, None);
                let length = request.message(Version::V2, 1, &mut frame).unwrap();
                let link = Link::ble(connection, SecurityLevel::L4, true);
                let length = app.handle_next(&link, &mut &frame[..length], &mut answer).await.unwrap();
                let body = Message::split(&answer[..length]).unwrap().0.body;
                assert_eq!(read_answer::<UploadResponse>(body).map(|answer| answer.offset), Ok(1000), "{connection}");
            }
        });
    }
}
