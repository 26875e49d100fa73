//! `otaru demo`: the whole road in one command, for somebody who has never seen it.
//!
//! One thread, one executor: a virtual device (bootloader, application, Bluetooth host) and the client that everybody
//! uses with `otaru upgrade`, joined by a virtual radio or wire. Nothing is staged: the acts do what the commands do
//! and look at what came of it.

mod acts;
mod stage;
mod wire;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use acts::Play;
use bt_hci::controller::ExternalController;
use embassy_futures::select::{Either, select};
use otaru_ble::central::{Config as Central, Target};
use otaru_ble::{Address, RamBonds};
use otaru_crypto::Scheme;
use otaru_device_sim::port::{DatagramPort, SerialPort};
use otaru_device_sim::{Bonds, Config, Device, Pace};
use otaru_flash::{DeviceId, FlashAddr, Geometry, WriteUnit};
use otaru_layout::{Area, Layout, Mode, Slot, Spec};
use otaru_nor_sim::{NorFlash, Timing};
use otaru_radio_sim::{Air, AirConfig, ControllerConfig};
use otaru_sign::key::SigningKey;
use otaru_sim_rt::ClockMode;
use otaru_smp_client::link::ble::ble;
use otaru_smp_client::link::serial::Console;
use otaru_smp_client::{Client, Link};
use stage::{Release, Stage};

/// The product's first minute: fresh keys, a device, an authenticated update over a virtual radio, and what happens to
/// strangers, faulty images and in power cuts. Needs no hardware; ends with status 0 only if every step held.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  otaru demo\n  otaru demo --transport serial\n  otaru demo --json | jq .event")]
pub(crate) struct Demo {
    /// What joins the client and the device.
    #[arg(long, value_enum, default_value_t)]
    transport: Way,
    /// As fast as the machine can: virtual time does not wait for eyes. So is it with --json, and without a terminal.
    #[arg(long)]
    fast: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// A virtual radio: pairing by passkey, encrypted air.
    #[default]
    Ble,
    /// Datagrams, without authentication.
    Udp,
    /// A serial console, without authentication.
    Serial,
}

impl Demo {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let paced = !self.fast && output.interactive();
        let key = SigningKey::generate(Scheme::EcdsaP256)?;
        let layout = layout()?;
        let factory = Release::sign("1.0.0", &key, &layout, stage::Behaviour::Good)?;
        let mut device = device(&key, layout, &factory)?;
        match self.transport {
            Way::Ble => {
                let air = Air::new(AirConfig::default());
                device = device.with_bluetooth(&air, DEVICE_ADDRESS).map_err(|error| defect(&error))?;
                let stage = Stage::new(output, &device, key, layout, paced);
                otaru_sim_rt::run(clock(paced), over_radio(&stage, &air))
            }
            Way::Udp => {
                let (port, wire) = DatagramPort::in_memory();
                device = device.with_datagrams(port);
                let stage = Stage::new(output, &device, key, layout, paced);
                otaru_sim_rt::run(clock(paced), over_wire(&stage, wire::Datagrams::new(wire), "udp:127.0.0.1:1337"))
            }
            Way::Serial => {
                let (port, wire) = SerialPort::in_memory();
                device = device.with_serial(port);
                let stage = Stage::new(output, &device, key, layout, paced);
                otaru_sim_rt::run(
                    clock(paced),
                    over_wire(&stage, Console::new(wire::Uart(wire)), "serial:/dev/ttyACM0"),
                )
            }
        }
    }
}

/// The play beside the device and the air, for as long as the play takes.
async fn over_radio(stage: &Stage<'_>, air: &Air) -> Result<(), Failure> {
    let (link, radio) = ble(stage::NAME);
    let central = Central::new(Target::Name(stage::NAME), Address::random_static(CLIENT_ADDRESS));
    let bonds = RamBonds::new();
    let mut eyes = stage.eyes();
    let open = || Ok(ExternalController::<_, COMMANDS>::new(air.attach(ControllerConfig::default())));
    let tell = |event| stage.tell_link(event);
    let client = radio.run(open, &central, &bonds, &mut eyes, &tell);
    let events = |event| stage.witness(event);
    let play = Play::new(stage, Client::new(link), "h4:127.0.0.1:9600/lock").over_bluetooth(air);
    let world = select(stage.device().run::<()>(&events), select(air.drive(), client));
    match select(play, world).await {
        Either::First(result) => result,
        Either::Second(_) => Err(defect(&"the virtual world ended before the play")),
    }
}

/// The play beside the device, over a link that authenticates nobody.
async fn over_wire<L: Link>(stage: &Stage<'_>, link: L, to: &'static str) -> Result<(), Failure> {
    let events = |event| stage.witness(event);
    let play = Play::new(stage, Client::new(link), to).over_wire();
    match select(play, stage.device().run::<()>(&events)).await {
        Either::First(result) => result,
        Either::Second(()) => Err(defect(&"the virtual world ended before the play")),
    }
}

/// A device as it leaves the factory: version 1 confirmed in its primary slot.
fn device(key: &SigningKey, layout: Layout, factory: &Release) -> Result<Device, Failure> {
    let geometries: Vec<_> = layout.devices().collect();
    let mut flash = NorFlash::erased(&geometries).with_timing(Timing::Nrf52840);
    let primary = layout.area(Slot::Primary);
    flash.load(FlashAddr::new(primary.device, primary.offset), &factory.slot).map_err(|error| defect(&error))?;
    let config = Config {
        layout,
        keys: vec![key.public().to_der().to_vec()],
        name: stage::NAME.into(),
        passkey: None,
        pace: Pace::Afterwards,
    };
    Device::new(flash, Bonds::in_memory(), config).map_err(|error| defect(&error))
}

/// An nRF52840: 4 KiB sectors, words of 4 bytes, two slots of 472 KiB.
fn layout() -> Result<Layout, Failure> {
    let unit = WriteUnit::new(4).ok_or_else(|| defect(&"a write unit of 4 bytes"))?;
    let area = |offset| Area { device: DeviceId(0), offset, len: 0x76000 };
    let flash = [Geometry::uniform(4096, 256, unit, 0xff)];
    let spec = Spec::new(Mode::SwapMove, &flash);
    Layout::new(&Spec { primary: area(0xc000), secondary: area(0x82000), ..spec }).map_err(|error| defect(&error))
}

fn clock(paced: bool) -> ClockMode {
    if paced { ClockMode::Paced { speed: 1.0 } } else { ClockMode::Virtual }
}

/// Something that cannot happen in a demonstration, whose every part is ours.
fn defect(what: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Defect, "demo.defect", what.to_string(), "please report this, with `otaru demo --json`")
}

/// HCI commands that a host may have outstanding.
const COMMANDS: usize = 10;
/// Least significant byte first, as controllers have it.
const DEVICE_ADDRESS: [u8; 6] = [0x01, 0x00, 0x00, 0x5a, 0xc0, 0x02];
const CLIENT_ADDRESS: [u8; 6] = [0xc2, 0x00, 0x5a, 0x00, 0x00, 0x02];
