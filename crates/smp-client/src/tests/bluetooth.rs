//! The same upgrade over a simulated, encrypted radio: pairing, bonds, and what is said when there are none.

use super::model::{After, Model, Swap};
use super::{device, runs, two};
use crate::link::ble::ble;
use crate::{Client, ClientError, Event, LinkError, Options, Outcome, UpgradeError, upgrade};
use bt_hci::controller::ExternalController;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer};
use otaru_ble::central::{self, PasskeySource, Target};
use otaru_ble::peripheral::{self, FRAME, FrameHandler, Link};
use otaru_ble::pool::PeripheralHeapPool;
use otaru_ble::{Address, Passkey, RamBonds};
use otaru_radio_sim::{Air, AirConfig, ControllerConfig, Entropy, VirtualController};
use otaru_sim_rt::{ClockMode, run};
use std::cell::{Cell, RefCell};

const NAME: &str = "lock";
const DEVICE: Address = Address::random_static([0xc1, 0, 0, 0, 0, 0x0d]);
const CLIENT: Address = Address::random_static([0xce, 0, 0, 0, 0, 0x01]);

type Controller = ExternalController<VirtualController, 10>;

/// The model device, with a Bluetooth host that restarts when it does.
struct Device<'a> {
    model: RefCell<&'a mut Model>,
    bonds: RamBonds,
    display: Cell<Option<Passkey>>,
    restart: Signal<NoopRawMutex, ()>,
}

impl FrameHandler for Device<'_> {
    async fn handle(&self, _link: &Link, request: &[u8], answer: &mut [u8]) -> Option<usize> {
        let (out, after) = self.model.borrow_mut().handle(request);
        if let After::Restart { .. } = after {
            self.restart.signal(());
        }
        let out = out.filter(|_| !matches!(after, After::Restart { answered: false }))?;
        answer.get_mut(..out.len())?.copy_from_slice(&out);
        Some(out.len())
    }
}

impl Device<'_> {
    async fn run(&self, controller: &Controller) {
        let config = peripheral::Config::new(NAME).unwrap().address(DEVICE).unwrap();
        let events = |event| {
            if let peripheral::Event::Passkey { passkey, .. } = event {
                self.display.set(Some(passkey));
            }
        };
        loop {
            let mut resources = Box::new(peripheral::Resources::<PeripheralHeapPool, FRAME, 4>::new());
            let serving = peripheral::run(controller, &mut *resources, &config, self, &self.bonds, &events);
            let restart = async {
                self.restart.wait().await;
                // The answer leaves before the device does.
                Timer::after(Duration::from_millis(250)).await;
            };
            if let Either::First(error) = select(Box::pin(serving), restart).await {
                panic!("the device's controller failed: {error}");
            }
            let swap_ms = self.model.borrow().swap_ms;
            Timer::after(Duration::from_millis(swap_ms)).await;
            self.model.borrow_mut().boot();
        }
    }
}

/// A user who reads the display, changed by what the test adds.
struct Reads<'a, 'b>(&'a Device<'b>, u32);

impl PasskeySource for Reads<'_, '_> {
    async fn passkey(&mut self, _device: &Address) -> Option<Passkey> {
        Passkey::new(self.0.display.get()?.value() ^ self.1)
    }
}

/// What the user does when asked for a passkey.
#[derive(Clone, Copy)]
enum User {
    Reads,
    Misreads,
    Away,
}

type Told = Vec<Event>;

/// Brings version 2 onto the device as each user in turn, with the client's bonds kept between them.
fn go(model: &mut Model, users: &[User]) -> Vec<(Result<Outcome, UpgradeError>, Told)> {
    // After a failed pairing the device makes the next one wait.
    go_after(Duration::from_secs(60), model, users)
}

/// With this long between them.
fn go_after(pause: Duration, model: &mut Model, users: &[User]) -> Vec<(Result<Outcome, UpgradeError>, Told)> {
    let air = Air::new(AirConfig { entropy: Entropy::Seeded(7), ..AirConfig::default() });
    let controller = || ExternalController::new(air.attach(ControllerConfig::default()));
    let device =
        Device { model: RefCell::new(model), bonds: RamBonds::new(), display: Cell::new(None), restart: Signal::new() };
    let (device_controller, bonds, (_, new)) = (controller(), RamBonds::new(), two());
    let clients = async {
        let mut results = Vec::new();
        for user in users {
            let (link, radio) = ble(NAME);
            let config = central::Config::new(Target::Name(NAME), CLIENT);
            let mut client = Client::new(link);
            let mut told = Vec::new();
            let mut tell = |event| told.push(event);
            let firmware = new.firmware();
            let options = Options::default();
            let upgraded = upgrade(&mut client, &firmware, &options, &mut tell);
            let open = || Ok(controller());
            let result = match user {
                User::Away => beside(upgraded, radio.run(open, &config, &bonds, &mut None, &|_| ())).await,
                User::Reads => {
                    beside(upgraded, radio.run(open, &config, &bonds, &mut Reads(&device, 0), &|_| ())).await
                }
                User::Misreads => {
                    beside(upgraded, radio.run(open, &config, &bonds, &mut Reads(&device, 1), &|_| ())).await
                }
            };
            results.push((result, told));
            Timer::after(pause).await;
        }
        results
    };
    run(ClockMode::Virtual, async {
        let world = select(Box::pin(device.run(&device_controller)), air.drive());
        match select(Box::pin(clients), world).await {
            Either::First(results) => results,
            Either::Second(_) => unreachable!("the world runs for ever"),
        }
    })
}

async fn beside<T, N>(job: impl Future<Output = T>, radio: impl Future<Output = N>) -> T {
    match select(Box::pin(job), Box::pin(radio)).await {
        Either::First(result) => result,
        Either::Second(_) => unreachable!("the radio runs for ever"),
    }
}

#[test]
fn passkey_is_read_from_the_display_then_the_upgrade_goes_its_road() {
    let mut model = device();
    let results = go(&mut model, &[User::Reads]);
    assert_eq!(results[0].0, Ok(Outcome::Confirmed { already: false }), "{:?}", results[0].1);
    assert_eq!(runs(&model), ("2.0.0", false));
}

#[test]
fn nobody_reads_the_passkey_then_it_is_said_and_nothing_is_sent() {
    let mut model = device();
    let results = go(&mut model, &[User::Away]);
    let Err(UpgradeError::Client(ClientError::Link(error))) = &results[0].0 else { panic!("{:?}", results[0].0) };
    assert!(matches!(error, LinkError::Unpaired { .. }), "{error:?}");
    insta::assert_snapshot!(error, @"lock wants a paired link: C1:00:00:00:00:0D shows a passkey that has to be entered here, and none was given");
    assert_eq!((model.uploads, model.boots), (0, 0));
}

#[test]
fn passkey_is_misread_then_it_is_said_and_the_next_attempt_may_succeed() {
    let mut model = device();
    let results = go(&mut model, &[User::Misreads, User::Reads]);
    let Err(UpgradeError::Client(ClientError::Link(error))) = &results[0].0 else { panic!("{:?}", results[0].0) };
    assert!(matches!(error, LinkError::PairingFailed { .. }), "{error:?}");
    insta::assert_snapshot!(error, @"pairing with lock failed: the passkeys did not match (pairing failed, reason 0x04)");
    assert_eq!(results[1].0, Ok(Outcome::Confirmed { already: false }));
}

#[test]
fn pairing_is_tried_too_soon_then_it_is_said_to_wait() {
    let mut model = device();
    let results = go_after(Duration::from_millis(10), &mut model, &[User::Misreads, User::Reads]);
    let Err(UpgradeError::Client(ClientError::Link(error))) = &results[1].0 else { panic!("{:?}", results[1].0) };
    assert!(matches!(error, LinkError::PairingDelayed { .. }), "{error:?}");
    insta::assert_snapshot!(error, @"lock does not pair yet: C1:00:00:00:00:0D ended the link instead of pairing (0x05): after failed attempts a device makes the next one wait");
}

#[test]
fn bond_is_there_then_nobody_is_asked_again() {
    let mut model = device();
    let results = go(&mut model, &[User::Reads, User::Away]);
    assert_eq!(results[1].0, Ok(Outcome::Confirmed { already: true }), "{:?}", results[1].1);
}

#[test]
fn power_is_cut_in_the_upload_then_it_goes_on_over_a_new_connection() {
    let mut model = device();
    model.dies_at = Some(25_000);
    let results = go(&mut model, &[User::Reads]);
    assert_eq!(results[0].0, Ok(Outcome::Confirmed { already: false }), "{:?}", results[0].1);
    assert_eq!((runs(&model), model.swap), (("2.0.0", false), Swap::None));
}

#[test]
fn device_is_not_there_then_it_is_said_within_the_search() {
    let air = Air::new(AirConfig { entropy: Entropy::Seeded(7), ..AirConfig::default() });
    let (link, radio) = ble(NAME);
    let config = central::Config::new(Target::Name(NAME), CLIENT);
    let bonds = RamBonds::new();
    let open = || Ok(ExternalController::<_, 10>::new(air.attach(ControllerConfig::default())));
    let mut client = Client::new(link);
    let mut nobody = None;
    let error = run(ClockMode::Virtual, async {
        let radio = radio.run(open, &config, &bonds, &mut nobody, &|_| ());
        match select(beside(client.connect(), radio), air.drive()).await {
            Either::First(result) => result.unwrap_err(),
            Either::Second(never) => match never {},
        }
    });
    insta::assert_snapshot!(error, @"lock is not there: the device was not heard within 10 s; 0 other devices were");
}

#[test]
fn controller_is_not_there_then_it_is_said() {
    let (link, radio) = ble(NAME);
    let config = central::Config::new(Target::Name(NAME), CLIENT);
    let bonds = RamBonds::new();
    let open = || Err::<Controller, _>("no controller at 127.0.0.1:9000: connection refused".to_owned());
    let mut client = Client::new(link);
    let mut nobody = None;
    let radio = radio.run(open, &config, &bonds, &mut nobody, &|_| ());
    let error = run(ClockMode::Virtual, beside(client.connect(), radio)).unwrap_err();
    insta::assert_snapshot!(error, @"lock is not there: no controller at 127.0.0.1:9000: connection refused");
}
