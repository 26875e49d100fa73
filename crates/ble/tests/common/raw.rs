//! A central that does what no client of ours would, and a peripheral that no device of ours is: trouble-host, used directly.

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::{pending, poll_fn};
use std::rc::Rc;

use bt_hci::controller::ExternalController;
use bt_hci::transport::Transport;
use bt_hci_transport::{PacketKind, PacketToController, PacketToHost, ReadHciError};
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::Duration;
use otaru_ble::pool::CentralHeapPool;
use otaru_ble::{Address, CHARACTERISTIC, SERVICE};
use otaru_radio_sim::{Air, ControllerConfig, HciError, VirtualController};
use trouble_host::prelude::*;

use super::{DEVICE, NAME};

type Controller = ExternalController<Tap, 10>;
pub(crate) type RawClient<'s> = GattClient<'s, Controller, CentralHeapPool, 4>;
pub(crate) type RawConnection<'s> = Connection<'s, CentralHeapPool>;

/// What a raw central has in its hands.
pub(crate) struct Raw<'a, 's> {
    pub(crate) connection: &'a RawConnection<'s>,
    pub(crate) client: &'a RawClient<'s>,
    pub(crate) smp: Characteristic<[u8]>,
    pub(crate) tap: Tap,
}

/// Connects to the device, discovers, and does `work`. Events of the connection are `work`'s to read.
pub(crate) async fn central<T>(
    air: &Air,
    own: Address,
    io: IoCapabilities,
    work: impl AsyncFnOnce(Raw<'_, '_>) -> T,
) -> T {
    let tap = Tap::new(air);
    let mut resources: Box<HostResources<CentralHeapPool, 2, 1>> = Box::default();
    let stack = trouble_host::new(Controller::new(tap.clone()), &mut *resources)
        .set_random_address(hci(own))
        .set_io_capabilities(io)
        .build();
    let mut runner = stack.runner();
    let session = async {
        let mut central = stack.central();
        let accept = [hci(DEVICE)];
        let config = ConnectConfig {
            connect_params: RequestedConnParams {
                min_connection_interval: Duration::from_millis(15),
                max_connection_interval: Duration::from_millis(15),
                supervision_timeout: Duration::from_secs(4),
                ..Default::default()
            },
            scan_config: ScanConfig { filter_accept_list: &accept, ..Default::default() },
        };
        let connection = central.connect(&config).await.unwrap();
        connection.set_bondable(true).unwrap();
        let client = RawClient::new(&stack, &connection).await.unwrap();
        let talk = async {
            let service = client.services_by_uuid(&Uuid::from(SERVICE)).await.unwrap()[0].clone();
            let smp = client.characteristic_by_uuid(&service, &Uuid::from(CHARACTERISTIC)).await.unwrap();
            let result = work(Raw { connection: &connection, client: &client, smp, tap: tap.clone() }).await;
            if connection.is_connected() {
                connection.disconnect();
                while !matches!(connection.next().await, ConnectionEvent::Disconnected { .. }) {}
            }
            result
        };
        let reading = async {
            let _ = client.task().await;
            pending::<()>().await;
        };
        match select(reading, talk).await {
            Either::First(()) => unreachable!("reading waits for the talk"),
            Either::Second(result) => result,
        }
    };
    match select(Box::pin(runner.run()), Box::pin(session)).await {
        Either::First(result) => panic!("the raw central's stack ended: {result:?}"),
        Either::Second(result) => result,
    }
}

/// A device with this address, the SMP service and the name of ours, that lets everybody in and pairs as `io` allows.
pub(crate) async fn peripheral(air: &Air, own: Address, io: IoCapabilities) -> Infallible {
    let mut resources: Box<HostResources<CentralHeapPool, 2, 1>> = Box::default();
    let stack = trouble_host::new(Controller::new(Tap::new(air)), &mut *resources)
        .set_random_address(hci(own))
        .set_io_capabilities(io)
        .build();
    let mut runner = stack.runner();
    let mut table = AttributeTable::<NoopRawMutex, 16>::new();
    GapConfig::default(NAME).build(&mut table).unwrap();
    let mut service = table.add_service(Service::new(Uuid::from(SERVICE)));
    let uses = [CharacteristicProp::WriteWithoutResponse, CharacteristicProp::Notify];
    service.add_characteristic_small::<[u8; 1], _, _>(Uuid::from(CHARACTERISTIC), uses, [0]).build();
    let server = AttributeServer::<_, CentralHeapPool, 16, 2>::new(table);
    let serving = async {
        let mut peripheral = stack.peripheral();
        let (mut flags, mut name) = ([0; 31], [0; 31]);
        let all = [AdStructure::Flags(LE_GENERAL_DISCOVERABLE | BR_EDR_NOT_SUPPORTED)];
        let flags_end = AdStructure::encode_slice(&all, &mut flags).unwrap();
        let all = [AdStructure::CompleteLocalName(NAME.as_bytes())];
        let name_end = AdStructure::encode_slice(&all, &mut name).unwrap();
        loop {
            let advertisement = Advertisement::ConnectableScannableUndirected {
                adv_data: &flags[..flags_end],
                scan_data: &name[..name_end],
            };
            let advertiser = peripheral.advertise(&AdvertisementParameters::default(), advertisement).await.unwrap();
            let gatt = advertiser.accept().await.unwrap().with_attribute_server(&server).unwrap();
            gatt.raw().set_bondable(true).unwrap();
            loop {
                match gatt.next().await {
                    GattConnectionEvent::Disconnected { .. } => break,
                    GattConnectionEvent::Gatt { event } => event.accept().unwrap().send().await,
                    _ => {}
                }
            }
        }
    };
    match select(Box::pin(runner.run()), Box::pin(serving)).await {
        Either::First(result) => panic!("the raw peripheral's stack ended: {result:?}"),
        Either::Second(never) => never,
    }
}

fn hci(address: Address) -> trouble_host::Address {
    let mut bytes = address.bytes();
    bytes.reverse();
    trouble_host::Address::random(bytes)
}

/// A controller whose host packets can be seen, and that takes packets past its host.
#[derive(Clone)]
pub(crate) struct Tap {
    controller: Rc<VirtualController>,
    received: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Tap {
    fn new(air: &Air) -> Self {
        Self { controller: Rc::new(air.attach(ControllerConfig::default())), received: Rc::default() }
    }

    /// Sends an attribute PDU as it is.
    pub(crate) fn send_att(&self, connection: &RawConnection<'_>, pdu: &[u8]) {
        let handle = connection.handle().raw().to_le_bytes();
        let length = u16::try_from(pdu.len()).unwrap();
        let mut packet = vec![2, handle[0], handle[1]];
        packet.extend((length + 4).to_le_bytes());
        packet.extend(length.to_le_bytes());
        packet.extend([4, 0]);
        packet.extend(pdu);
        self.controller.write_packet(&packet).unwrap();
    }

    /// Attribute PDUs received so far, each in one packet.
    pub(crate) fn received_att(&self) -> Vec<Vec<u8>> {
        let packets = self.received.borrow();
        let att = packets.iter().filter(|packet| packet[0] == 2 && packet.len() > 9 && packet[7..9] == [4, 0]);
        att.map(|packet| packet[9..].to_vec()).collect()
    }
}

impl embedded_io::ErrorType for Tap {
    type Error = HciError;
}

impl Transport for Tap {
    async fn read<'a, P: PacketToHost<'a>>(&self, rx: &'a mut [u8]) -> Result<P, HciError> {
        let packet = poll_fn(|context| self.controller.poll_packet(context)).await;
        self.received.borrow_mut().push(packet.clone());
        let kind = if packet[0] == 2 { PacketKind::AclData } else { PacketKind::Event };
        P::read_hci(kind, &mut &packet[1..], rx).map_err(|_| HciError::from(ReadHciError::InvalidValue))
    }

    async fn write<P: PacketToController>(&self, packet: &P) -> Result<(), HciError> {
        self.controller.write(packet).await
    }
}
