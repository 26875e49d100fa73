//! The device: bootloader, application, and what survives between them.

use crate::board::SimBoard;
use crate::bonds::Bonds;
use crate::clock::Clock;
use crate::flash::{AppFlash, SharedFlash, lock};
use crate::loader;
use crate::payload::{Record, SelfTest};
use crate::port::{DatagramPort, SerialPort};
use crate::power::Power;
use crate::{Event, serve};
use bt_hci::controller::ExternalController;
use embassy_futures::join::join3;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Timer};
use otaru_ble::peripheral::{self, ConfigError};
use otaru_ble::pool::PeripheralHeapPool;
use otaru_ble::{Access, Passkey};
use otaru_boot::request::{self, Status};
use otaru_boot::{BootError, FlashError, VerifiedImage};
use otaru_crypto::{KeyError, KeySet, PublicKey};
use otaru_device_app::{App, FRAME, FRAMES, Restart, Trial, ble_access};
use otaru_flash::ReadFlash;
use otaru_layout::Layout;
use otaru_nor_sim::{Cut, NorError, NorFlash};
use otaru_policy::{self as policy, Policy, Transport};
use otaru_radio_sim::{Air, ControllerConfig};
use otaru_smp::os::Task;
use std::convert::Infallible;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// What a device is born with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the slots lie.
    pub layout: Layout,
    /// The public keys that its bootloader and application trust, in DER.
    pub keys: Vec<Vec<u8>>,
    /// How it calls itself, over Bluetooth at most [`peripheral::Config::MAX_NAME`] bytes.
    pub name: String,
    /// The passkey it shows at every pairing, or a new one each time.
    pub passkey: Option<Passkey>,
    /// How flash time passes in the bootloader.
    pub pace: Pace,
}

/// How the time passes that flash is busy in the bootloader, which waits for it and does nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// After the boot, on the executor's clock: for virtual time.
    Afterwards,
    /// With every operation, in a thread of its own: for real time, where a kill may fall between two of them.
    Live,
}

/// A virtual device. Everything but flash, bonds and clock is made anew at each power-on or reset.
pub struct Device {
    config: Config,
    flash: SharedFlash,
    power: Rc<Power>,
    bonds: Bonds,
    clock: Clock,
    datagrams: Option<DatagramPort>,
    serial: Option<SerialPort>,
    bluetooth: Option<Bluetooth>,
}

struct Bluetooth {
    air: Air,
    address: [u8; 6],
}

/// How a life of the device ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the device is to start again"]
pub enum End {
    /// It restarts.
    Reset,
    /// Power is off.
    PowerLost,
}

impl Device {
    /// A device with this flash and nothing plugged in.
    ///
    /// # Errors
    /// A key that is none.
    pub fn new(flash: NorFlash, bonds: Bonds, config: Config) -> Result<Self, KeyError> {
        config.keys.iter().try_for_each(|der| PublicKey::from_der(der).map(|_| ()))?;
        Ok(Self {
            config,
            flash: Arc::new(Mutex::new(flash)),
            power: Rc::default(),
            bonds,
            clock: Clock::default(),
            datagrams: None,
            serial: None,
            bluetooth: None,
        })
    }

    /// This device with a socket.
    #[must_use]
    pub fn with_datagrams(mut self, port: DatagramPort) -> Self {
        self.datagrams = Some(port);
        self
    }

    /// This device with a UART.
    #[must_use]
    pub fn with_serial(mut self, port: SerialPort) -> Self {
        self.serial = Some(port);
        self
    }

    /// This device with a radio on `air`, at a public address given least significant byte first.
    ///
    /// # Errors
    /// The device's name is too long for Bluetooth.
    pub fn with_bluetooth(mut self, air: &Air, address: [u8; 6]) -> Result<Self, ConfigError> {
        peripheral::Config::new(&self.config.name)?;
        self.bluetooth = Some(Bluetooth { air: air.clone(), address });
        Ok(self)
    }

    /// Its supply.
    #[must_use]
    pub fn power(&self) -> Rc<Power> {
        Rc::clone(&self.power)
    }

    /// Plans to lose power within a flash operation: the first from here on is 1.
    pub fn plan_cut(&self, cut: Cut) {
        let mut flash = lock(&self.flash);
        let op = flash.op() + cut.op;
        flash.cut_power(Cut { op, ..cut });
    }

    /// Looks at its flash, or does to it what a programming tool would. Not while the bootloader runs.
    pub fn with_flash<T>(&self, look: impl FnOnce(&mut NorFlash) -> T) -> T {
        look(&mut lock(&self.flash))
    }

    /// Runs it for ever: starts again after each reset, and whenever power comes back.
    pub async fn run<T>(&self, events: &dyn Fn(Event)) -> T {
        loop {
            if self.run_once(events).await == End::PowerLost {
                self.power.until(true).await;
                events(Event::PowerOn);
            }
        }
    }

    /// Runs it, once power is on, until the next reset or until power is lost.
    pub async fn run_once(&self, events: &dyn Fn(Event)) -> End {
        self.power.until(true).await;
        match select(self.power.until(false), self.live(events)).await {
            Either::Second(()) => {
                events(Event::Reset);
                End::Reset
            }
            Either::First(()) => {
                // Ready for the next power-on; until then nobody uses it.
                lock(&self.flash).power_on();
                events(Event::PowerLost);
                End::PowerLost
            }
        }
    }

    /// Boots and runs what was booted, until it restarts. Never ends without an image to run.
    async fn live(&self, events: &dyn Fn(Event)) {
        let booted = loader::run(&self.flash, &self.config).await;
        if let Err(BootError::Flash(FlashError { error: NorError::PowerLost, .. })) = booted.result {
            // Nobody is left to report.
            self.power.cut();
            return std::future::pending().await;
        }
        events(Event::Boot { report: booted.report, busy: booted.busy });
        match booted.result {
            Ok(image) => return self.application(&image, events).await,
            Err(BootError::NoImage(rejection)) => events(Event::NoImage { rejection }),
            Err(error) => events(Event::FlashFailed { error: error.to_string() }),
        }
        std::future::pending().await
    }

    /// Runs the application in an image until it restarts.
    async fn application(&self, image: &VerifiedImage, events: &dyn Fn(Event)) {
        let record = self.record(image, events);
        let tasks = self.tasks();
        let board = SimBoard {
            clock: &self.clock,
            name: &self.config.name,
            application: format!("{} {}", record.name.as_str(), image.version()).trim_start().to_owned(),
            tasks: &tasks,
            events,
        };
        let keys: Vec<_> = self.config.keys.iter().filter_map(|der| PublicKey::from_der(der).ok()).collect();
        let flash = AppFlash::new(Arc::clone(&self.flash), Rc::clone(&self.power));
        let policy = self.policy(record.access);
        let app = App::new(flash, self.config.layout, KeySet::new(&keys), loader::options(), policy, &board);
        let on_trial = request::status(&mut *lock(&self.flash), &self.config.layout).is_ok_and(Status::on_trial);
        events(Event::Running { name: record.name.as_str().into(), version: image.version(), on_trial });
        self.deafen();
        let self_test = self_test(record.self_test, events);
        match select(app.trial(self_test, record.confirms_itself), Timer::after(WATCHDOG)).await {
            Either::First(Ok(Trial::None | Trial::Passed | Trial::Confirmed)) => {}
            Either::First(Ok(Trial::Failed)) => return,
            Either::First(Err(error)) => events(Event::FlashFailed { error: error.to_string() }),
            Either::Second(()) => return events(Event::Watchdog),
        }
        events(Event::Serving);
        let transports = join3(self.datagrams(&app), self.serial(&app), self.bluetooth(&app, &policy, events));
        match select(app.run(), transports).await {
            Either::First(Restart { .. }) => {}
            Either::Second((never, _, _)) => match never {},
        }
    }

    /// What the image's payload says of the application in it.
    fn record(&self, image: &VerifiedImage, events: &dyn Fn(Event)) -> Record {
        let header = image.header();
        let len = usize::try_from(header.image_size).unwrap_or(usize::MAX).min(Record::LEN);
        let mut payload = [0; Record::LEN];
        let read = image
            .address()
            .plus(header.header_size.into())
            .is_some_and(|at| lock(&self.flash).read(at, &mut payload[..len]).is_ok());
        let record = if read { Record::parse(&payload[..len]) } else { Ok(Record::default()) };
        record.unwrap_or_else(|error| {
            events(Event::BadRecord(error));
            Record::default()
        })
    }

    /// What the application asks of Bluetooth links; what cannot be protected is open only where nobody else gets in.
    fn policy(&self, access: Access) -> Policy {
        let asked = match access {
            Access::Open => policy::Access::open(),
            Access::Encrypted => policy::Access::encrypted(),
            Access::Authenticated => policy::Access::authenticated(),
        };
        let local = self.datagrams.as_ref().is_some_and(|port| port.local);
        Policy::deny_all()
            .with(Transport::Ble, asked)
            .with(Transport::Udp, if local { policy::Access::open() } else { asked })
            .with(Transport::Serial, policy::Access::open())
    }

    fn tasks(&self) -> Vec<Task<'static>> {
        let plugged = [
            ("app", true),
            ("udp", self.datagrams.is_some()),
            ("serial", self.serial.is_some()),
            ("bluetooth", self.bluetooth.is_some()),
        ];
        let names = plugged.into_iter().filter(|(_, is)| *is).map(|(name, _)| name);
        (0..).zip(names).map(|(id, name)| Task { name, id, ..Task::default() }).collect()
    }

    /// Forgets what arrived while the receivers were off.
    fn deafen(&self) {
        if let Some(port) = &self.datagrams {
            port.incoming.clear();
        }
        if let Some(port) = &self.serial {
            port.incoming.clear();
        }
    }

    async fn datagrams(&self, app: &DeviceApp<'_>) -> Infallible {
        match &self.datagrams {
            Some(port) => serve::datagrams(port, app).await,
            None => std::future::pending().await,
        }
    }

    async fn serial(&self, app: &DeviceApp<'_>) -> Infallible {
        match &self.serial {
            Some(port) => serve::console(port, app).await,
            None => std::future::pending().await,
        }
    }

    async fn bluetooth(&self, app: &DeviceApp<'_>, policy: &Policy, events: &dyn Fn(Event)) -> Infallible {
        let Some(Bluetooth { air, address }) = &self.bluetooth else { return std::future::pending().await };
        // The name was checked when the radio was plugged in.
        let Ok(mut config) = peripheral::Config::new(&self.config.name) else { return std::future::pending().await };
        config = config.access(ble_access(policy));
        if let Some(passkey) = self.config.passkey {
            config = config.fixed_passkey(passkey);
        }
        let controller = ControllerConfig { address: Some(*address), ..ControllerConfig::default() };
        let controller = ExternalController::<_, COMMANDS>::new(air.attach(controller));
        let mut resources = Box::new(peripheral::Resources::<PeripheralHeapPool, FRAME, FRAMES>::new());
        let tell = |event| {
            app.ble_event(&event);
            events(Event::Ble(event));
        };
        let serve = async || peripheral::run(&controller, &mut resources, &config, app, &&self.bonds, &tell).await;
        again_and_again(serve, events).await
    }
}

/// Serves Bluetooth, also if the controller fails: a virtual one does so only if it is told nonsense.
async fn again_and_again<E: Display>(mut serve: impl AsyncFnMut() -> E, events: &dyn Fn(Event)) -> Infallible {
    loop {
        let error = serve().await.to_string();
        events(Event::RadioFailed { error });
        Timer::after(RADIO_PAUSE).await;
    }
}

/// From a failure of the radio's controller until it is tried again.
const RADIO_PAUSE: Duration = Duration::from_secs(1);

type DeviceApp<'a> = App<'a, AppFlash, KeySet<'a>, SimBoard<'a>>;

/// What the self-test of an image on trial does.
async fn self_test(kind: SelfTest, events: &dyn Fn(Event)) -> bool {
    Timer::after(SELF_TEST).await;
    match kind {
        SelfTest::Hang => std::future::pending().await,
        SelfTest::Pass => events(Event::SelfTest { passed: true }),
        SelfTest::Fail => events(Event::SelfTest { passed: false }),
    }
    kind == SelfTest::Pass
}

/// How long a self-test takes.
const SELF_TEST: Duration = Duration::from_millis(200);

/// How long the application may do nothing before the watchdog resets the device.
const WATCHDOG: Duration = Duration::from_secs(4);

/// HCI commands that may wait for their completion at a time.
const COMMANDS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use embassy_time::with_timeout;
    use otaru_sim_rt::{ClockMode, run};
    use std::cell::RefCell;

    #[test]
    fn a_radio_that_fails_at_once_is_told_of_and_tried_again_after_a_pause() {
        let told = RefCell::new(Vec::new());
        let events = |event: Event| told.borrow_mut().push(event.to_string());
        run(ClockMode::Virtual, async {
            let serving = again_and_again(async || "no such command", &events);
            with_timeout(Duration::from_millis(2_500), serving).await.unwrap_err();
        });
        assert_eq!(told.borrow().len(), 3);
        insta::assert_snapshot!(told.borrow()[0], @"Bluetooth stopped: no such command; it starts again in a second");
    }
}
