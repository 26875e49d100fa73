//! A device and clients on one simulated air, in virtual time.
#![expect(dead_code, reason = "each test file uses its part")]

use core::cell::{Cell, RefCell};
use core::future::{Future, pending};

use bt_hci::controller::ExternalController;
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer, with_timeout};
use otaru_ble::central::{self, Frames, PasskeySource, Target};
use otaru_ble::peripheral::{self, FRAME, FrameHandler, Link};
use otaru_ble::pool::{CentralHeapPool, PeripheralHeapPool};
use otaru_ble::{Access, Address, Passkey, RamBonds};
use otaru_radio_sim::{Air, AirConfig, ControllerConfig, Entropy, HciError, VirtualController};
use otaru_sim_rt::ClockMode;

pub(crate) mod raw;

pub(crate) type Controller = ExternalController<VirtualController, 10>;
pub(crate) type Failure = central::Failure<HciError>;

pub(crate) const DEVICE: Address = Address::random_static([0xc1, 0, 0, 0, 0, 0x0d]);
pub(crate) const NAME: &str = "lock";

/// Frame buffers of the device.
pub(crate) const FRAMES: usize = 4;

pub(crate) fn air() -> Air {
    Air::new(AirConfig { entropy: Entropy::Seeded(7), ..AirConfig::default() })
}

pub(crate) fn controller(air: &Air) -> Controller {
    ExternalController::new(air.attach(ControllerConfig::default()))
}

/// Runs `test` beside the air and a device, in virtual time, and not for ever.
pub(crate) fn simulate<T>(air: &Air, device: &Device, test: impl Future<Output = T>) -> T {
    otaru_sim_rt::run(ClockMode::Virtual, async {
        let bounded = with_timeout(Duration::from_secs(900), test);
        match select3(Box::pin(air.drive()), Box::pin(device.run()), Box::pin(bounded)).await {
            Either3::First(never) => match never {},
            Either3::Second(error) => panic!("the device's controller failed: {error}"),
            Either3::Third(result) => result.expect("the test took longer than 15 minutes of virtual time"),
        }
    })
}

/// Everything that was reported, in order.
pub(crate) struct Log<E>(RefCell<Vec<E>>);

impl<E: Copy + core::fmt::Display> Log<E> {
    fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    pub(crate) fn count(&self, matches: impl Fn(&E) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| matches(event)).count()
    }

    pub(crate) fn find<T>(&self, choose: impl Fn(&E) -> Option<T>) -> Option<T> {
        self.0.borrow().iter().rev().find_map(choose)
    }

    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// The lines of the events that are chosen.
    pub(crate) fn lines(&self, choose: impl Fn(&E) -> bool) -> String {
        let events = self.0.borrow();
        events.iter().filter(|event| choose(event)).map(|event| format!("{event}\n")).collect()
    }
}

/// Echoes requests, after a while.
pub(crate) struct Echo {
    pub(crate) takes: Cell<Duration>,
    /// Answers with no more than a header.
    pub(crate) short: Cell<bool>,
    /// Whose requests there were.
    pub(crate) links: RefCell<Vec<Link>>,
}

impl FrameHandler for Echo {
    async fn handle(&self, link: &Link, request: &[u8], answer: &mut [u8]) -> Option<usize> {
        self.links.borrow_mut().push(*link);
        Timer::after(self.takes.get()).await;
        if self.short.get() {
            let header = [0x0b, 0, 0, 0, 0, 0, request[6], 0];
            answer[..8].copy_from_slice(&header);
            return Some(8);
        }
        let room = answer.get_mut(..request.len())?;
        room.copy_from_slice(request);
        room[0] |= 1;
        Some(request.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    Reboot,
    PowerOff,
}

pub(crate) struct Device {
    controller: Mutex<NoopRawMutex, Option<Controller>>,
    pub(crate) config: RefCell<peripheral::Config<'static>>,
    pub(crate) handler: Echo,
    pub(crate) bonds: RamBonds,
    pub(crate) log: Log<peripheral::Event>,
    /// What its display shows.
    pub(crate) display: Cell<Option<Passkey>>,
    interrupt: Signal<NoopRawMutex, Interrupt>,
}

impl Device {
    pub(crate) fn new(air: &Air) -> Self {
        Self::with_access(air, Access::Authenticated)
    }

    pub(crate) fn with_access(air: &Air, access: Access) -> Self {
        let config = peripheral::Config::new(NAME).unwrap().address(DEVICE).unwrap().access(access);
        Self {
            controller: Mutex::new(Some(controller(air))),
            config: RefCell::new(config),
            handler: Echo { takes: Cell::new(Duration::MIN), short: Cell::new(false), links: RefCell::new(Vec::new()) },
            bonds: RamBonds::new(),
            log: Log::new(),
            display: Cell::new(None),
            interrupt: Signal::new(),
        }
    }

    /// Starts the device's Bluetooth anew, from its bond store.
    pub(crate) fn reboot(&self) {
        self.interrupt.signal(Interrupt::Reboot);
    }

    /// Takes the device off the air, without a word.
    pub(crate) fn power_off(&self) {
        self.interrupt.signal(Interrupt::PowerOff);
    }

    pub(crate) async fn run(&self) -> HciError {
        loop {
            let mut resources = Box::new(peripheral::Resources::<PeripheralHeapPool, FRAME, FRAMES>::new());
            let events = |event| {
                if let peripheral::Event::Passkey { passkey, .. } = event {
                    self.display.set(Some(passkey));
                }
                self.log.0.borrow_mut().push(event);
            };
            let config = self.config.borrow().clone();
            let interrupt = {
                let controller = self.controller.lock().await;
                let controller = controller.as_ref().expect("the device is switched on");
                let device = peripheral::run(controller, &mut *resources, &config, &self.handler, &self.bonds, &events);
                match select(Box::pin(device), self.interrupt.wait()).await {
                    Either::First(error) => return error,
                    Either::Second(interrupt) => interrupt,
                }
            };
            if interrupt == Interrupt::PowerOff {
                self.controller.lock().await.take();
                pending::<()>().await;
            }
        }
    }
}

pub(crate) struct Client {
    own: Address,
    controller: Controller,
    pub(crate) config: RefCell<central::Config<'static>>,
    pub(crate) bonds: RamBonds,
    pub(crate) log: Log<central::Event>,
    pub(crate) frames: Box<Frames<FRAME>>,
}

impl Client {
    /// A client with an address of its own.
    pub(crate) fn new(air: &Air, last: u8) -> Self {
        let own = Address::random_static([0xce, 0, 0, 0, 0, last]);
        Self {
            own,
            controller: controller(air),
            config: RefCell::new(central::Config::new(Target::Name(NAME), own)),
            bonds: RamBonds::new(),
            log: Log::new(),
            frames: Box::new(Frames::new()),
        }
    }

    pub(crate) fn own(&self) -> Address {
        self.own
    }

    /// A session in which `work` is done once frames flow.
    pub(crate) async fn session<T>(
        &self,
        mut passkeys: impl PasskeySource,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut resources = Box::new(central::Resources::<CentralHeapPool, FRAME>::new());
        let events = |event| self.log.0.borrow_mut().push(event);
        let config = self.config.borrow().clone();
        let session =
            central::run(&self.controller, &mut *resources, &config, &self.bonds, &mut passkeys, &self.frames, &events);
        let done = Cell::new(None);
        let working = async {
            // The session clears the channels when it starts.
            Timer::after_micros(1).await;
            done.set(Some(work.await));
            self.frames.close();
            pending::<()>().await;
        };
        match select(Box::pin(session), Box::pin(working)).await {
            Either::First(result) => result.map(|()| done.take().expect("a session ends well when it is closed only")),
            Either::Second(()) => unreachable!("work waits for the session"),
        }
    }

    /// One request and its answer.
    pub(crate) async fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.frames.send(request).await.unwrap();
        self.answer().await
    }

    pub(crate) async fn answer(&self) -> Vec<u8> {
        let mut answer = vec![0; FRAME];
        let length = self.frames.receive(&mut answer).await;
        answer.truncate(length);
        answer
    }
}

/// A user who reads the device's display.
pub(crate) struct Reads<'a>(pub(crate) &'a Device);

impl PasskeySource for Reads<'_> {
    async fn passkey(&mut self, device: &Address) -> Option<Passkey> {
        assert_eq!(*device, DEVICE);
        self.0.display.get()
    }
}

/// A user who reads it wrong.
pub(crate) struct Misreads<'a>(pub(crate) &'a Device);

impl PasskeySource for Misreads<'_> {
    async fn passkey(&mut self, _device: &Address) -> Option<Passkey> {
        let shown = self.0.display.get()?.value();
        Passkey::new(shown ^ 1)
    }
}

/// A write request of `length` bytes in all, with a body that tells where each byte belongs.
pub(crate) fn request(sequence: u8, length: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(length - 8).unwrap().to_be_bytes();
    let mut frame = vec![0x0a, 0, high, low, 0, 0, sequence, 0];
    frame.extend((8..length).map(|i| (i as u8) ^ sequence ^ ((i >> 8) as u8)));
    frame
}

/// What [`Echo`] answers to it.
pub(crate) fn echo(request: &[u8]) -> Vec<u8> {
    let mut answer = request.to_vec();
    answer[0] |= 1;
    answer
}
