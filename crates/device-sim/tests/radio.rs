//! The road over a simulated radio: what needs a passkey, and what a bond is worth after a reset.

mod common;

use bt_hci::controller::ExternalController;
use common::{Log, device, image, key, record};
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_time::{Duration, Timer, with_timeout};
use otaru_ble::central::{self, Frames, PasskeySource, Target};
use otaru_ble::peripheral::Event as BleEvent;
use otaru_ble::pool::CentralHeapPool;
use otaru_ble::{Address, Passkey, RamBonds, Security};
use otaru_device_app::FRAME;
use otaru_device_sim::payload::Record;
use otaru_device_sim::{Device, Event};
use otaru_nor_sim::Timing;
use otaru_radio_sim::{Air, AirConfig, ControllerConfig, Entropy, HciError, VirtualController};
use otaru_sim_rt::{ClockMode, run};
use otaru_smp::image::{SetStateRequest, StateRequest, StateResponse, UploadRequest};
use otaru_smp::os::ResetRequest;
use otaru_smp::{Message, Request, Version, read_answer};
use std::cell::Cell;

const ADDRESS: [u8; 6] = [1, 2, 3, 4, 5, 6];

type Display = Cell<Option<Passkey>>;

/// A client with a radio and bonds of its own.
struct Client {
    radio: ExternalController<VirtualController, 10>,
    bonds: RamBonds,
    frames: Box<Frames<FRAME>>,
}

/// Somebody who reads the device's display, or who cannot see it.
struct User<'a>(Option<&'a Display>);

impl PasskeySource for User<'_> {
    async fn passkey(&mut self, _device: &Address) -> Option<Passkey> {
        self.0?.get()
    }
}

impl Client {
    fn new(air: &Air) -> Self {
        let radio = ExternalController::new(air.attach(ControllerConfig::default()));
        Self { radio, bonds: RamBonds::new(), frames: Box::new(Frames::new()) }
    }

    /// Connects, pairs or uses its bond, does `work` and closes the link.
    async fn session<T>(&self, user: User<'_>, work: impl Future<Output = T>) -> Result<T, central::Failure<HciError>> {
        let own = Address::random_static([0xce, 0, 0, 0, 0, 1]);
        // Without a user it takes the link as it is.
        let minimum = user.0.map_or(Security::None, |_| Security::Authenticated);
        let config = central::Config::new(Target::Name("lock"), own).minimum(minimum);
        let mut memory = Box::new(central::Resources::<CentralHeapPool, FRAME>::new());
        let (mut user, done) = (user, Cell::new(None));
        let session = central::run(&self.radio, &mut *memory, &config, &self.bonds, &mut user, &self.frames, &|_| {});
        let working = async {
            // The session clears the channels when it starts.
            Timer::after_micros(1).await;
            done.set(Some(work.await));
            self.frames.close();
            core::future::pending::<()>().await;
        };
        match select(Box::pin(session), Box::pin(working)).await {
            Either::First(result) => result.map(|()| done.take().expect("it ends well only once it is closed")),
            Either::Second(()) => unreachable!("work waits for the session"),
        }
    }

    async fn ask<'a, R: Request<'a>>(&self, request: &R) -> Vec<u8> {
        let (mut frame, mut answer) = (vec![0; FRAME], vec![0; FRAME]);
        let len = request.message(Version::V2, 7, &mut frame).unwrap();
        self.frames.send(&frame[..len]).await.unwrap();
        let len = self.frames.receive(&mut answer).await;
        Message::split(&answer[..len]).unwrap().0.body.to_vec()
    }

    /// The version in slot 0.
    async fn running(&self) -> String {
        let body = self.ask(&StateRequest).await;
        let state = read_answer::<StateResponse<'_>>(&body).unwrap();
        state.images.iter().next().unwrap().version.to_owned()
    }
}

/// Runs `test` beside the air and the device, whose display it sees.
fn simulate<T>(air: &Air, device: &Device, log: &Log, test: impl AsyncFnOnce(&Display) -> T) -> T {
    let display = Display::default();
    let events = |event: Event| {
        if let Event::Ble(BleEvent::Passkey { passkey, .. }) = event {
            display.set(Some(passkey));
        }
        log.take(&event);
    };
    run(ClockMode::Virtual, async {
        let bounded = with_timeout(Duration::from_secs(900), test(&display));
        match select3(Box::pin(air.drive()), Box::pin(device.run::<T>(&events)), Box::pin(bounded)).await {
            Either3::First(never) => match never {},
            Either3::Second(never) => never,
            Either3::Third(result) => result.expect("the test took longer than 15 minutes of virtual time"),
        }
    })
}

fn air() -> Air {
    Air::new(AirConfig { entropy: Entropy::Seeded(11), ..AirConfig::default() })
}

#[test]
fn a_passkey_opens_the_device_and_the_bond_outlives_the_update() {
    let (air, key, log) = (air(), key(), Log::default());
    let v2 = image(&key, "2.0.0", &Record { confirms_itself: true, ..record("two") });
    let running = image(&key, "1.0.0", &record("one"));
    let device = device(&key, Some(&running), Timing::Nrf52840).with_bluetooth(&air, ADDRESS).unwrap();
    let client = Client::new(&air);
    simulate(&air, &device, &log, async |display| {
        let unseen = client.session(User(None), client.running()).await.unwrap_err();
        assert!(unseen.to_string().contains("passkey"), "{unseen}");
        // A pairing that was given up makes the next one wait.
        Timer::after(Duration::from_secs(2)).await;

        let update = async {
            assert_eq!(client.running().await, "1.0.0");
            let len = u32::try_from(v2.image().len()).unwrap();
            for (n, piece) in (0..).zip(v2.image().chunks(2000)) {
                match n {
                    0 => client.ask(&UploadRequest::first(piece, len, None)).await,
                    n => client.ask(&UploadRequest::next(n * 2000, piece)).await,
                };
            }
            let body = client.ask(&SetStateRequest { hash: Some(v2.digest()), confirm: false }).await;
            read_answer::<StateResponse<'_>>(&body).unwrap();
            client.ask(&ResetRequest::default()).await;
        };
        client.session(User(Some(display)), update).await.unwrap();
        display.set(None);
        while log.count("taking requests") < 2 {
            Timer::after(Duration::from_millis(100)).await;
        }
        let after = client.session(User(None), client.running()).await.unwrap();
        assert_eq!((after.as_str(), display.get()), ("2.0.0", None), "by the bond, without a dialog");
    });
    assert!(log.has("by its bond") && log.has("the running image is confirmed"), "{}", log.lines());
}

#[test]
fn an_image_that_asks_for_nothing_lets_anybody_in() {
    let (air, key, log) = (air(), key(), Log::default());
    let open = image(&key, "1.0.0", &Record { access: otaru_ble::Access::Open, ..record("open") });
    let device = device(&key, Some(&open), Timing::Instant).with_bluetooth(&air, ADDRESS).unwrap();
    let client = Client::new(&air);
    simulate(&air, &device, &log, async |display| {
        assert_eq!(client.session(User(None), client.running()).await.unwrap(), "1.0.0");
        assert_eq!(display.get(), None);
    });
}

#[test]
fn an_upload_whose_central_vanished_can_be_replaced_by_another() {
    let (air, key, log) = (air(), key(), Log::default());
    let open = image(&key, "1.0.0", &Record { access: otaru_ble::Access::Open, ..record("open") });
    let device = device(&key, Some(&open), Timing::Instant).with_bluetooth(&air, ADDRESS).unwrap();
    let (first, second) = (Client::new(&air), Client::new(&air));
    let (one, two) = (image(&key, "2.0.0", &record("one")), image(&key, "3.0.0", &record("two")));
    simulate(&air, &device, &log, async |_| {
        let begin = async |client: &Client, image: &[u8]| {
            let len = u32::try_from(image.len()).unwrap();
            let body = client.ask(&UploadRequest::first(&image[..1000], len, None)).await;
            read_answer::<otaru_smp::image::UploadResponse>(&body).map_err(|error| error.to_string())?;
            Ok::<_, String>(())
        };
        let intrude = async {
            begin(&first, one.image()).await.unwrap();
            let busy = second.session(User(None), begin(&second, two.image())).await.unwrap().unwrap_err();
            assert!(busy.contains("another connection is uploading, 1000 of"), "{busy}");
        };
        first.session(User(None), intrude).await.unwrap();
        Timer::after(Duration::from_secs(1)).await;
        assert_eq!(second.session(User(None), begin(&second, two.image())).await.unwrap(), Ok(()));
    });
}
