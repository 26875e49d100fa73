//! An application on simulated flash, in virtual time, asked as a transport would.

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, with_timeout};
use otaru_boot::Options;
use otaru_crypto::{KeySet, PublicKey, Sha256};
use otaru_device_app::{App, Board, ClockError, Event, Info, Trial};
use otaru_flash::{Blocking, DeviceId, Geometry, WriteUnit};
use otaru_image::Version;
use otaru_layout::{Area, Layout, Mode, Slot, Spec};
use otaru_nor_sim::{Counters, NorFlash};
use otaru_policy::{Access, Link, Policy, Transport};
use otaru_sign::build::{Plan, Request as Trailer, SignedImage, sign};
use otaru_sign::key::SigningKey;
use otaru_sim_rt::{ClockMode, run};
use otaru_smp::image::{
    EraseRequest, EraseResponse, SetStateRequest, StateRequest, StateResponse, UploadRequest, UploadResponse,
};
use otaru_smp::os::{DateTimeRequest, DateTimeResponse, ResetRequest, ResetResponse, SetDateTimeRequest};
use otaru_smp::os::{SetDateTimeResponse, Task};
use otaru_smp::{Body, DateTime, Message, Request, Version as SmpVersion, read_answer};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const SECTOR: u32 = 4096;
const SLOT: u32 = 16 * SECTOR;

fn layout() -> Layout {
    let devices = [Geometry::uniform(SECTOR, 32, WriteUnit::new(4).unwrap(), 0xff)];
    let area = |offset| Area { device: DeviceId(0), offset, len: SLOT };
    Layout::new(&Spec { primary: area(0), secondary: area(SLOT), ..Spec::new(Mode::SwapMove, &devices) }).unwrap()
}

fn image(key: &SigningKey, version: Version, payload: usize) -> SignedImage {
    let layout = layout();
    let plan = Plan { version, header_size: 0x200, pad_header: true, layout: Some(&layout), request: Trailer::None };
    sign(&vec![0x5a; payload], key, &plan).unwrap()
}

/// Flash with `running` in the primary slot and `other` in the secondary.
fn flash(running: &SignedImage, other: Option<&[u8]>) -> Shared {
    let layout = layout();
    let mut flash = NorFlash::erased(&layout.devices().collect::<Vec<_>>());
    flash.load(layout.address(Slot::Primary, 0).unwrap(), running.image()).unwrap();
    if let Some(bytes) = other {
        flash.load(layout.address(Slot::Secondary, 0).unwrap(), bytes).unwrap();
    }
    Shared(Rc::new(RefCell::new(flash)))
}

/// Flash that the test looks at while the application has it.
#[derive(Clone)]
struct Shared(Rc<RefCell<NorFlash>>);

impl Shared {
    fn counters(&self) -> Counters {
        self.0.borrow().counters()
    }
}

impl otaru_flash::ReadFlash for Shared {
    type Error = otaru_nor_sim::NorError;

    fn read(&mut self, at: otaru_flash::FlashAddr, out: &mut [u8]) -> Result<(), Self::Error> {
        self.0.borrow_mut().read(at, out)
    }
}

impl otaru_flash::Flash for Shared {
    fn write(&mut self, at: otaru_flash::FlashAddr, data: &[u8]) -> Result<(), Self::Error> {
        self.0.borrow_mut().write(at, data)
    }

    fn erase(&mut self, at: otaru_flash::FlashAddr, len: u32) -> Result<(), Self::Error> {
        self.0.borrow_mut().erase(at, len)
    }
}

#[derive(Default)]
struct TestBoard {
    clock: Cell<Option<DateTime>>,
    broken: Cell<bool>,
    events: RefCell<Vec<Event>>,
}

impl Board for TestBoard {
    fn date_time(&self) -> Result<Option<DateTime>, ClockError> {
        if self.broken.get() { Err(ClockError) } else { Ok(self.clock.get()) }
    }

    fn set_date_time(&self, date_time: DateTime) -> Result<(), ClockError> {
        self.clock.set(Some(date_time));
        Ok(())
    }

    fn info(&self) -> Info<'_> {
        Info { kernel: "otaru", ..Info::default() }
    }

    fn tasks(&self) -> &[Task<'_>] {
        &[]
    }

    fn event(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
}

/// Runs `test` with an application that trusts `key`.
fn with_app<T>(
    key: &SigningKey,
    flash: &Shared,
    board: &TestBoard,
    test: impl AsyncFnOnce(&App<'_, Blocking<Shared>, KeySet<'_>, TestBoard>) -> T,
) -> T {
    let keys = [PublicKey::from_der(key.public().to_der()).unwrap()];
    let policy = Policy::deny_all().with(Transport::Udp, Access::open());
    let app = App::new(Blocking(flash.clone()), layout(), KeySet::new(&keys), Options::default(), policy, board);
    run(ClockMode::Virtual, test(&app))
}

/// Asks over UDP; the answer's body.
async fn ask<'a, R: Request<'a>>(app: &App<'_, Blocking<Shared>, KeySet<'_>, TestBoard>, request: &R) -> Vec<u8> {
    let (mut frame, mut answer) = (vec![0; 4096], vec![0; 4096]);
    let len = request.message(SmpVersion::V2, 1, &mut frame).unwrap();
    let len = app.handle_next(&Link::udp(), &mut &frame[..len], &mut answer).await.unwrap();
    Message::split(&answer[..len]).unwrap().0.body.to_vec()
}

/// The refusal in an answer that was to be an `R`.
fn refusal<'a, R: Body<'a>>(body: &'a [u8]) -> String {
    read_answer::<R>(body).map(|_| ()).unwrap_err().to_string()
}

/// Always the same key, so that every run is.
fn key() -> SigningKey {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIOy+Oz+baT7qivmL5IYIC2dxJuQKxQQruQZLIMdshYYW\n\
        -----END PRIVATE KEY-----\n";
    SigningKey::from_pem(pem).unwrap()
}

#[test]
fn sectors_that_are_blank_are_not_erased_again() {
    let key = key();
    let running = image(&key, Version::new(1, 0, 0, 0), 1000);
    let update = image(&key, Version::new(2, 0, 0, 0), 9000);
    for (before, erases) in [(None, 0), (Some(&[0x77; 5000][..]), 2), (Some(&[0x77; 3 * 4096][..]), 3)] {
        let flash = flash(&running, before);
        with_app(&key, &flash, &TestBoard::default(), async |app| {
            for (n, piece) in update.image().chunks(1000).enumerate() {
                let len = u32::try_from(update.image().len()).unwrap();
                let body = match n {
                    0 => ask(app, &UploadRequest::first(piece, len, None)).await,
                    n => ask(app, &UploadRequest::next(u32::try_from(n * 1000).unwrap(), piece)).await,
                };
                read_answer::<UploadResponse>(&body).unwrap();
            }
        });
        assert_eq!(flash.counters().erases, erases, "{} bytes before", before.map_or(0, <[u8]>::len));
    }
}

#[test]
fn the_sector_ahead_is_erased_while_nobody_asks() {
    let key = key();
    let running = image(&key, Version::new(1, 0, 0, 0), 1000);
    let update = image(&key, Version::new(2, 0, 0, 0), 9000);
    let flash = flash(&running, Some(&[0x77; 3 * 4096]));
    with_app(&key, &flash, &TestBoard::default(), async |app| {
        let len = u32::try_from(update.image().len()).unwrap();
        ask(app, &UploadRequest::first(&update.image()[..1000], len, None)).await;
        // The first, and the one with the TLVs to come.
        assert_eq!(flash.counters().erases, 2);
        let idle = with_timeout(Duration::from_millis(100), app.run()).await;
        assert!(idle.is_err(), "nobody asked for a restart");
        assert_eq!(flash.counters().erases, 3);
    });
}

#[test]
fn an_upload_that_stopped_is_not_taken_for_the_image_before_it() {
    let key = key();
    let running = image(&key, Version::new(1, 0, 0, 0), 1000);
    let before = image(&key, Version::new(2, 0, 0, 0), 9000);
    let after = image(&key, Version::new(3, 0, 0, 0), 9000);
    let flash = flash(&running, Some(before.image()));
    with_app(&key, &flash, &TestBoard::default(), async |app| {
        let listed = async || {
            let body = ask(app, &StateRequest).await;
            let state = read_answer::<StateResponse<'_>>(&body).unwrap();
            state.images.iter().map(|image| image.version.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed().await, ["1.0.0", "2.0.0"]);
        let len = u32::try_from(after.image().len()).unwrap();
        assert_eq!(len, u32::try_from(before.image().len()).unwrap());
        let body = ask(app, &UploadRequest::first(&after.image()[..1000], len, None)).await;
        read_answer::<UploadResponse>(&body).unwrap();
        assert_eq!(listed().await, ["1.0.0"]);
    });
}

#[test]
fn an_erasure_is_no_upload() {
    let key = key();
    let running = image(&key, Version::new(1, 0, 0, 0), 1000);
    let update = image(&key, Version::new(2, 0, 0, 0), 1000);
    let flash = flash(&running, Some(update.image()));
    let board = TestBoard::default();
    with_app(&key, &flash, &board, async |app| {
        let sha = Sha256::of(update.image());
        let len = u32::try_from(update.image().len()).unwrap();
        let body = ask(app, &UploadRequest::first(&update.image()[..1000], len, Some(&sha))).await;
        assert_eq!(read_answer::<UploadResponse>(&body).unwrap().matches, Some(true), "it is there already");
        read_answer::<EraseResponse>(&ask(app, &EraseRequest { slot: None }).await).unwrap();
    });
    assert_eq!(*board.events.borrow(), [Event::Erased]);
}

#[test]
fn a_reset_comes_a_while_after_its_answer_was_sent() {
    let key = key();
    let flash = flash(&image(&key, Version::new(1, 0, 0, 0), 1000), None);
    for (sent_after, reset_after) in [(0, 250), (700, 950), (60_000, 2250)] {
        with_app(&key, &flash, &TestBoard::default(), async |app| {
            let start = Instant::now();
            let transport = async {
                ask(app, &ResetRequest::default()).await;
                embassy_time::Timer::after(Duration::from_millis(sent_after)).await;
                app.answered();
                core::future::pending::<()>().await;
            };
            match select(transport, app.run()).await {
                Either::First(()) => unreachable!(),
                Either::Second(restart) => assert_eq!(restart.request, ResetRequest::default()),
            }
            assert_eq!(start.elapsed(), Duration::from_millis(reset_after), "sent after {sent_after} ms");
        });
    }
}

#[test]
fn a_boot_mode_that_is_not_there_is_refused() {
    let key = key();
    let flash = flash(&image(&key, Version::new(1, 0, 0, 0), 1000), None);
    let board = TestBoard::default();
    with_app(&key, &flash, &board, async |app| {
        let body = ask(app, &ResetRequest { force: true, boot_mode: Some(1) }).await;
        insta::assert_snapshot!(refusal::<ResetResponse>(&body), @"the device answered rc 8 (NOT_SUPPORTED): the device does not have this command; it says: boot mode 1 is not there: this bootloader has no recovery mode");
        assert!(with_timeout(Duration::from_secs(10), app.run()).await.is_err());
        let body = ask(app, &ResetRequest { force: false, boot_mode: Some(0) }).await;
        read_answer::<ResetResponse>(&body).unwrap();
    });
    assert_eq!(*board.events.borrow(), [Event::Restarting]);
}

#[test]
fn the_clock_is_the_boards() {
    let key = key();
    let flash = flash(&image(&key, Version::new(1, 0, 0, 0), 1000), None);
    let board = TestBoard::default();
    with_app(&key, &flash, &board, async |app| {
        let body = ask(app, &DateTimeRequest).await;
        insta::assert_snapshot!(refusal::<DateTimeResponse<'_>>(&body), @"the device answered OS group error 4 (RTC_NOT_SET): the device's clock was never set");
        let body = ask(app, &SetDateTimeRequest { datetime: "2026-11-20T10:20:30" }).await;
        read_answer::<SetDateTimeResponse>(&body).unwrap();
        let body = ask(app, &DateTimeRequest).await;
        assert_eq!(read_answer::<DateTimeResponse<'_>>(&body).unwrap().datetime, "2026-11-20T10:20:30");
        board.broken.set(true);
        let body = ask(app, &DateTimeRequest).await;
        insta::assert_snapshot!(refusal::<DateTimeResponse<'_>>(&body), @"the device answered OS group error 5 (RTC_COMMAND_FAILED): the device's clock did not carry out the command; it says: the clock does not answer");
    });
}

#[test]
fn only_an_image_on_trial_is_tried() {
    let key = key();
    let flash = flash(&image(&key, Version::new(1, 0, 0, 0), 1000), None);
    with_app(&key, &flash, &TestBoard::default(), async |app| {
        let never = async { panic!("nobody is to run the self-test of an image that was confirmed long ago") };
        assert_eq!(app.trial(never, true).await, Ok(Trial::None));
    });
    assert_eq!(flash.counters().writes, 0);
}

#[test]
fn an_upload_of_an_image_that_is_not_newer_is_refused_if_asked_to() {
    let key = key();
    let running = image(&key, Version::new(1, 2, 3, 4), 1000);
    let flash = flash(&running, None);
    with_app(&key, &flash, &TestBoard::default(), async |app| {
        let same = image(&key, Version::new(1, 2, 3, 9), 1000);
        let len = u32::try_from(same.image().len()).unwrap();
        let request = UploadRequest { upgrade: true, ..UploadRequest::first(same.image(), len, None) };
        let body = ask(app, &request).await;
        insta::assert_snapshot!(refusal::<UploadResponse>(&body), @"the device answered image group error 27 (CURRENT_VERSION_IS_NEWER): the running image is as new or newer; it says: 1.2.3+9 is not newer than 1.2.3+4, which runs (build numbers do not count)");
        let body = ask(app, &UploadRequest { upgrade: false, ..request }).await;
        read_answer::<UploadResponse>(&body).unwrap();
    });
}

#[test]
fn each_way_of_being_no_image_to_boot_has_its_words() {
    let key = key();
    let running = image(&key, Version::new(1, 0, 0, 0), 1000);
    let good = image(&key, Version::new(2, 0, 0, 0), 1000);
    let mut words = String::new();
    let mut bad_signature = good.image().to_vec();
    *bad_signature.last_mut().unwrap() ^= 1;
    let mut not_bootable = good.image().to_vec();
    not_bootable[16] = 0x10;
    let mut damaged = good.image().to_vec();
    damaged[0x300] ^= 1;
    for bytes in [&bad_signature, &not_bootable, &damaged] {
        let flash = flash(&running, Some(bytes));
        let board = TestBoard::default();
        with_app(&key, &flash, &board, async |app| {
            let body = ask(app, &SetStateRequest { hash: Some(good.digest()), confirm: false }).await;
            words += &(refusal::<StateResponse<'_>>(&body) + "\n");
            let body = ask(app, &StateRequest).await;
            let state = read_answer::<StateResponse<'_>>(&body).unwrap();
            assert!(state.images.iter().all(|image| !image.pending));
        });
        assert!(matches!(board.events.borrow()[..], [Event::Rejected(_)]));
        assert_eq!(flash.counters().writes, 0);
    }
    insta::assert_snapshot!(words, @r"
    the device answered image group error 5 (INVALID_TLV): the image is damaged, or its signature is by no key that the device trusts; it says: the Ed25519 signature by trusted key 0 does not verify
    the device answered image group error 22 (INVALID_IMAGE_HEADER): the image's header did not come whole, or asks for something that the device cannot do; it says: the image is flagged as not bootable
    the device answered image group error 5 (INVALID_TLV): the image is damaged, or its signature is by no key that the device trusts; it says: the image is damaged: its SHA-256 begins 6bdc3685, its hash TLV says d98287fb
    ");
}
