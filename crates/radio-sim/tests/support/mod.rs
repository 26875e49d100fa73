//! A peripheral and a central of trouble-host in one thread and virtual time.

use bt_hci::controller::ExternalController;
use bt_hci::param::PhyKind;
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, with_timeout};
use otaru_radio_sim::{Air, AirConfig, ControllerConfig, Entropy, Stats, VirtualController};
use otaru_sim_rt::{ClockMode, run};
use std::cell::{Cell, RefCell};
use trouble_host::prelude::*;

pub(crate) type Controller = ExternalController<VirtualController, 10>;

const SERVICE: Uuid = Uuid::Uuid128(0x8D53_DC1D_1DB7_4CD3_868B_8A52_7460_AA84_u128.to_le_bytes());
const CHARACTERISTIC: Uuid = Uuid::Uuid128(0xDA2E_7828_FBCE_4E01_AE9E_2611_7499_7C48_u128.to_le_bytes());
/// GAP and GATT services, and ours: service, characteristic declaration, value, CCCD.
const ATTRIBUTES: usize = GAP_SERVICE_ATTRIBUTE_COUNT + 4;
const DEVICE: [u8; 6] = [1, 2, 3, 4, 5, 0xc1];
const CLIENT: [u8; 6] = [1, 2, 3, 4, 6, 0xc1];

/// Packets on the heap: tests in threads share nothing.
pub(crate) struct HeapPool;

pub(crate) struct HeapPacket(Box<[u8; 502]>);

impl AsRef<[u8]> for HeapPacket {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl AsMut<[u8]> for HeapPacket {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_slice()
    }
}

impl Packet for HeapPacket {}

impl PacketPool for HeapPool {
    type Packet = HeapPacket;
    const MTU: usize = 502;

    fn allocate() -> Option<HeapPacket> {
        Some(HeapPacket(Box::new([0; 502])))
    }

    fn capacity() -> usize {
        64
    }
}

/// What a test asks for.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub air: AirConfig,
    pub controllers: ControllerConfig,
    /// Share of packets that get lost once there is a link.
    pub loss: f64,
    pub interval: Duration,
    pub phy: PhyKind,
    /// Asks for long link-layer packets.
    pub long: bool,
    /// Bytes of each write, and how many of them.
    pub write: usize,
    pub writes: usize,
    /// What the client adds to the passkey that the device shows.
    pub passkey_error: u32,
    /// Connects once more after pairing, with this much of the client's key inverted.
    pub reconnect: Option<u128>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            air: AirConfig { entropy: Entropy::Seeded(1), ..AirConfig::default() },
            controllers: ControllerConfig::default(),
            loss: 0.0,
            interval: Duration::from_millis(15),
            phy: PhyKind::Le1M,
            long: true,
            write: 244,
            writes: 20,
            passkey_error: 0,
            reconnect: None,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What the client saw when it subscribed without pairing.
    pub refused: String,
    /// How pairing ended for the client.
    pub paired: String,
    /// Bytes that the device took in, and how long that took, in microseconds.
    pub received: usize,
    pub transfer: u64,
    /// Microseconds that pairing took.
    pub pairing: u64,
    /// Why the device lost links.
    pub device_disconnects: Vec<String>,
    /// How the second connection ended for the client, and after how many microseconds.
    pub reconnected: String,
    pub reconnect: u64,
    pub stats: Stats,
}

impl Outcome {
    pub(crate) fn kilobytes_per_second(&self) -> f64 {
        self.received as f64 / self.transfer.max(1) as f64 * 1000.0
    }
}

type Shown = Signal<NoopRawMutex, u32>;

/// Runs `scenario`, with `prepare` for the air first.
pub(crate) fn play(scenario: &Scenario, prepare: impl FnOnce(&Air)) -> Outcome {
    let air = Air::new(scenario.air.clone());
    prepare(&air);
    let outcome = RefCell::new(Outcome::default());
    let shown = Shown::new();
    let device = device(Controller::new(air.attach(scenario.controllers.clone())), &shown, &outcome);
    let client = client(&air, scenario, &shown, &outcome);
    let all = with_timeout(Duration::from_secs(600), select3(air.drive(), device, client));
    match run(ClockMode::Virtual, all) {
        Ok(Either3::Third(())) => {}
        Ok(_) => panic!("the device or the air ended first: {outcome:?}"),
        Err(_) => panic!("nothing came of it: {outcome:?}"),
    }
    let mut outcome = outcome.into_inner();
    outcome.stats = air.stats();
    outcome
}

async fn device(controller: Controller, shown: &Shown, outcome: &RefCell<Outcome>) {
    let mut resources: HostResources<HeapPool, 1, 4> = HostResources::new();
    let stack = trouble_host::new(controller, &mut resources)
        .set_random_address(Address::random(DEVICE))
        .set_io_capabilities(IoCapabilities::DisplayOnly)
        .build();
    let mut table: AttributeTable<'_, NoopRawMutex, ATTRIBUTES> = AttributeTable::new();
    GapConfig::Peripheral(PeripheralConfig { name: "device", appearance: &appearance::UNKNOWN })
        .build(&mut table)
        .unwrap();
    let props = [CharacteristicProp::WriteWithoutResponse, CharacteristicProp::Notify];
    let smp = table
        .add_service(Service::new(SERVICE))
        .add_characteristic_small::<[u8; 1], _, _>(CHARACTERISTIC, props, [0])
        .write_permission(PermissionLevel::AuthenticationRequired)
        .cccd_permission(PermissionLevel::AuthenticationRequired)
        .build();
    let server = AttributeServer::<NoopRawMutex, HeapPool, ATTRIBUTES, 1>::new(table);
    let (mut runner, mut peripheral) = (stack.runner(), stack.peripheral());
    let serve = async {
        loop {
            let advertisement =
                Advertisement::ConnectableScannableUndirected { adv_data: &[2, 1, 6], scan_data: &[3, 9, b'o', b't'] };
            let advertiser = peripheral.advertise(&Default::default(), advertisement).await.unwrap();
            let link = advertiser.accept().await.unwrap();
            link.set_bondable(true).unwrap();
            let link = link.with_attribute_server(&server).unwrap();
            serve_link(&link, &smp, shown, outcome).await;
        }
    };
    match select(runner.run(), serve).await {
        Either::First(result) => panic!("the device's host stopped: {result:?}"),
        Either::Second(()) => {}
    }
}

async fn serve_link(
    link: &GattConnection<'_, '_, HeapPool>,
    smp: &Characteristic<[u8; 1]>,
    shown: &Shown,
    outcome: &RefCell<Outcome>,
) {
    loop {
        match link.next().await {
            GattConnectionEvent::Disconnected { reason } => {
                return outcome.borrow_mut().device_disconnects.push(format!("{reason:?}"));
            }
            GattConnectionEvent::PassKeyDisplay(key) => shown.signal(key.value()),
            GattConnectionEvent::Gatt { event } => {
                let mut echo: Option<Vec<u8>> = None;
                if let GattEvent::Write(write) = &event
                    && write.handle() == smp.handle
                {
                    write.with_data(|_, data| match data.first() {
                        Some(0xee) => outcome.borrow_mut().received += data.len(),
                        _ => echo = Some(data.to_vec()),
                    });
                }
                if let Ok(reply) = event.accept() {
                    reply.send().await;
                }
                if let Some(echo) = echo {
                    smp.to_raw().notify(link, &echo, false).await.unwrap();
                }
            }
            _ => {}
        }
    }
}

async fn client(air: &Air, scenario: &Scenario, shown: &Shown, outcome: &RefCell<Outcome>) {
    let controller = Controller::new(air.attach(scenario.controllers.clone()));
    let mut resources: HostResources<HeapPool, 1, 4> = HostResources::new();
    let stack = trouble_host::new(controller, &mut resources)
        .set_random_address(Address::random(CLIENT))
        .set_io_capabilities(IoCapabilities::KeyboardOnly)
        .build();
    let (mut runner, mut central) = (stack.runner(), stack.central());
    let device = [Address::random(DEVICE)];
    let config = ConnectConfig {
        connect_params: RequestedConnParams {
            min_connection_interval: scenario.interval,
            max_connection_interval: scenario.interval,
            ..Default::default()
        },
        scan_config: ScanConfig { filter_accept_list: &device, ..Default::default() },
    };
    let steps = async {
        let link = central.connect(&config).await.unwrap();
        air.set_loss(scenario.loss);
        link.set_bondable(true).unwrap();
        if scenario.long {
            link.update_data_length(&stack, 251, 2120).await.unwrap();
        }
        link.set_phy(&stack, scenario.phy).await.unwrap();
        let bond = first_link(&stack, &link, scenario, shown, outcome).await;
        let (Some(inverted), Some(mut bond)) = (scenario.reconnect, bond) else { return };
        link.disconnect();
        while !matches!(link.next().await, ConnectionEvent::Disconnected { .. }) {}
        drop(link);
        stack.remove_bond_information(bond.identity).unwrap();
        bond.ltk = LongTermKey(bond.ltk.0 ^ inverted);
        stack.add_bond_information(bond).unwrap();
        let link = central.connect(&config).await.unwrap();
        second_link(&link, outcome).await;
    };
    match select(runner.run(), steps).await {
        Either::First(result) => panic!("the client's host stopped: {result:?}"),
        Either::Second(()) => {}
    }
}

async fn first_link(
    stack: &Stack<'_, Controller, HeapPool>,
    link: &Connection<'_, HeapPool>,
    scenario: &Scenario,
    shown: &Shown,
    outcome: &RefCell<Outcome>,
) -> Option<BondInformation> {
    let client = GattClient::<Controller, HeapPool, 4>::new(stack, link).await.unwrap();
    let bond = Cell::new(None);
    let work = async {
        let service = client.services_by_uuid(&SERVICE).await.unwrap()[0].clone();
        let smp: Characteristic<[u8]> = client.characteristic_by_uuid(&service, &CHARACTERISTIC).await.unwrap();
        let refused = client.subscribe(&smp, false).await.err();
        outcome.borrow_mut().refused = format!("{refused:?}");
        let start = Instant::now();
        bond.set(pair(link, scenario, shown, outcome).await);
        outcome.borrow_mut().pairing = start.elapsed().as_micros();
        if outcome.borrow().paired != "EncryptedAuthenticated" {
            return;
        }
        let mut notifications = client.subscribe(&smp, false).await.unwrap();
        let mut data = vec![0xa5; scenario.write];
        data[0] = 0xee;
        let start = Instant::now();
        for _ in 0..scenario.writes {
            client.write_characteristic_without_response(&smp, &data).await.unwrap();
        }
        client.write_characteristic_without_response(&smp, b"a secret end").await.unwrap();
        assert_eq!(notifications.next().await.as_ref(), b"a secret end");
        outcome.borrow_mut().transfer = start.elapsed().as_micros();
    };
    match select(client.task(), work).await {
        Either::First(result) => panic!("the GATT client stopped: {result:?}"),
        Either::Second(()) => bond.into_inner(),
    }
}

async fn pair(
    link: &Connection<'_, HeapPool>,
    scenario: &Scenario,
    shown: &Shown,
    outcome: &RefCell<Outcome>,
) -> Option<BondInformation> {
    link.request_security().unwrap();
    loop {
        match link.next().await {
            ConnectionEvent::PassKeyInput => {
                link.pass_key_input((shown.wait().await + scenario.passkey_error) % 1_000_000).unwrap();
            }
            ConnectionEvent::PairingComplete { security_level, bond } => {
                outcome.borrow_mut().paired = format!("{security_level:?}");
                return bond;
            }
            ConnectionEvent::PairingFailed(error) => {
                outcome.borrow_mut().paired = format!("{error:?}");
                return None;
            }
            ConnectionEvent::Disconnected { reason } => panic!("lost while pairing: {reason:?}"),
            _ => {}
        }
    }
}

async fn second_link(link: &Connection<'_, HeapPool>, outcome: &RefCell<Outcome>) {
    let start = Instant::now();
    let _ = link.request_security();
    let end = loop {
        match link.next().await {
            ConnectionEvent::Encrypted { security_level, .. } => break format!("{security_level:?}"),
            ConnectionEvent::Disconnected { reason } => break format!("{reason:?}"),
            ConnectionEvent::PairingFailed(error) => break format!("{error:?}"),
            _ => {}
        }
    };
    let mut outcome = outcome.borrow_mut();
    (outcome.reconnected, outcome.reconnect) = (end, start.elapsed().as_micros());
}
