//! The device's side: advertise, pair, take requests in and send answers out.
//!
//! ```text
//!            HCI                                                   FrameHandler
//!             │                                                         ▲
//!   guard ── trouble-host ── link 0..3 (GATT loop, reassembly) ──▶ frame queue ──▶ worker
//!                                   ▲                                   │ full     │
//!                                   └── notifications ◀── refuser ◀─────┘          │
//!                                   └── notifications ◀────────────────────────────┘
//! ```
//!
//! A GATT loop never waits for the handler: it takes writes off the host, puts whole requests into the queue, and answers
//! pairing. The worker gives one request at a time to the handler and sends the answer to the link it came from, if that
//! is still the same connection. A request for which the queue has no room is answered `{"rc": 2}` and not executed.

mod event;
mod lasting;
mod link;
mod outbox;

use core::cell::Cell;
use core::future::Future;
use core::pin::pin;

use embassy_futures::join::{join_array, join3};
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::mutex::Mutex;
use embassy_sync::zerocopy_channel;
use embassy_time::{Duration, Timer};
use otaru_smp::Reassembler;
use thiserror::Error;
use trouble_host::prelude::{
    AdStructure, Advertisement, AdvertisementParameters, AttributeServer, AttributeTable, BR_EDR_NOT_SUPPORTED,
    Connection, GapConfig, IoCapabilities, LE_GENERAL_DISCOVERABLE, Peripheral,
};
use trouble_host::{BleHostError, HostResources, PacketPool, Stack};

pub use event::{AnswerLost, BadFragment, Event};

use crate::address::{Address, AddressKind};
use crate::bond::{BONDS, BondStore};
use crate::gatt;
use crate::guard::{Guard, Watch};
use crate::link_layer::HciController;
use crate::security::{Access, Passkey, Security};
use crate::steady::Steady;
use lasting::Lasting;
use link::Slot;
use outbox::{Request, RequestQueue};

/// Centrals that can be connected at a time.
pub const CONNECTIONS: usize = 3;

/// Bytes of a frame buffer that suits the field's clients: SMP header and body.
pub const FRAME: usize = 2475;

/// Whose request it is, for the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The central's address, its identity address once that is known.
    pub peer: Address,
    /// What the link is worth now.
    pub security: Security,
    /// The central and this device remember each other, and the link is encrypted with what they remember.
    pub bonded: bool,
    /// The connection's number: no two have the same, also of the same central.
    pub connection: u32,
}

/// Answers requests.
pub trait FrameHandler {
    /// Executes `request`, a whole SMP frame, and writes the answer to the start of `answer`. Returns the answer's length
    /// in bytes, or `None` if there is none. May take its time: links go on meanwhile, requests of all links queue up.
    fn handle(&self, link: &Link, request: &[u8], answer: &mut [u8]) -> impl Future<Output = Option<usize>>;

    /// The answer to the last request was handed to the Bluetooth stack, or could not be. What ends the connection, such
    /// as a reset, should leave the air some time from here on (250 ms in the field's servers).
    fn answered(&self, link: &Link) {
        let _ = link;
    }
}

/// How a device appears and whom it lets in.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    name: &'a str,
    address: Option<Address>,
    access: Access,
    fixed_passkey: Option<Passkey>,
    interval: (Duration, Duration),
    reassembly_timeout: Duration,
    securing_timeout: Duration,
}

/// Why a configuration cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name does not fit.
    #[error("the device name has {length} bytes, and at most {limit} fit")]
    Name {
        /// Bytes of the name.
        length: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// A random address of a device must be a static one.
    #[error("{address} is no static random address: its first byte must be 0xC0 or more")]
    Address {
        /// The address.
        address: Address,
    },
}

impl<'a> Config<'a> {
    /// The most bytes of a device name.
    pub const MAX_NAME: usize = 22;

    /// A device called `name`, with authenticated access, random passkeys, and the controller's public address.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Name`] if the name has more than [`MAX_NAME`](Self::MAX_NAME) bytes.
    pub const fn new(name: &'a str) -> Result<Self, ConfigError> {
        if name.len() > Self::MAX_NAME {
            return Err(ConfigError::Name { length: name.len(), limit: Self::MAX_NAME });
        }
        Ok(Self {
            name,
            address: None,
            access: Access::Authenticated,
            fixed_passkey: None,
            interval: (Duration::from_millis(15), Duration::from_millis(30)),
            reassembly_timeout: Duration::from_secs(2),
            securing_timeout: Duration::from_secs(60),
        })
    }

    /// Uses a static random address instead of the controller's public one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Address`] if it is neither public nor static.
    pub const fn address(mut self, address: Address) -> Result<Self, ConfigError> {
        if matches!(address.kind(), AddressKind::Random) && address.bytes()[0] < 0xc0 {
            return Err(ConfigError::Address { address });
        }
        self.address = Some(address);
        Ok(self)
    }

    /// What peers must show before they may use SMP.
    #[must_use]
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Shows the same passkey at every pairing. An attacker learns one bit of it per failed attempt: for tests and for
    /// devices without a display, whose label then opens them for ever. [`Event::Passkey`] says that it is fixed.
    #[must_use]
    pub const fn fixed_passkey(mut self, passkey: Passkey) -> Self {
        self.fixed_passkey = Some(passkey);
        self
    }

    /// The connection interval to ask centrals for, 15 to 30 ms unless set.
    #[must_use]
    pub const fn interval(mut self, shortest: Duration, longest: Duration) -> Self {
        self.interval = (shortest, longest);
        self
    }

    /// How long the next fragment of a request may take, 2 s unless set.
    #[must_use]
    pub const fn reassembly_timeout(mut self, timeout: Duration) -> Self {
        self.reassembly_timeout = timeout;
        self
    }

    /// How long a link may stay below what access asks for before it has to make room, 60 s unless set.
    #[must_use]
    pub const fn securing_timeout(mut self, timeout: Duration) -> Self {
        self.securing_timeout = timeout;
        self
    }
}

/// The memory of a device's Bluetooth: `FRAMES` buffers for requests that wait or are worked on (what the device tells
/// clients as `buf_count`), one per link to put requests together, one for the answer, each of `FRAME` bytes (`buf_size`).
pub struct Resources<P: PacketPool, const FRAME: usize, const FRAMES: usize> {
    host: Host<P>,
    requests: [Request<FRAME>; FRAMES],
    reassemblers: [Reassembler<FRAME>; CONNECTIONS],
    answer: [u8; FRAME],
}

/// Two connections more than links: worker and refuser may each hold one that ended while the next comes up, and
/// trouble-host waits for itself when a connection finds no place. Bonds of pairings under way have their place besides
/// the ones kept.
type Host<P> = HostResources<P, { CONNECTIONS + 2 }, 1, 1, { BONDS + CONNECTIONS }>;

impl<P: PacketPool, const FRAME: usize, const FRAMES: usize> Resources<P, FRAME, FRAMES> {
    /// Empty buffers; const, so that they can be made in a static.
    pub const fn new() -> Self {
        Self {
            host: HostResources::new(),
            requests: [const { Request::new() }; FRAMES],
            reassemblers: [const { Reassembler::new() }; CONNECTIONS],
            answer: [0; FRAME],
        }
    }
}

impl<P: PacketPool, const FRAME: usize, const FRAMES: usize> Default for Resources<P, FRAME, FRAMES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Serves until the controller fails, and returns its error.
///
/// The controller is borrowed: when the future is dropped or returns, the next `run` starts with a reset of it.
/// `events` is told what happens and must not block.
pub async fn run<C, P, H, B, const FRAME: usize, const FRAMES: usize>(
    controller: &C,
    resources: &mut Resources<P, FRAME, FRAMES>,
    config: &Config<'_>,
    handler: &H,
    bonds: &B,
    events: &impl Fn(Event),
) -> C::Error
where
    C: HciController,
    P: PacketPool,
    H: FrameHandler,
    B: BondStore,
{
    let lasting = Lasting::new();
    if lasting.load(bonds).await.is_err() {
        events(Event::BondStoreFailed);
    }
    let serving = async {
        loop {
            let watch = Watch::new();
            let guard = Guard::new(controller, &watch);
            let served = pin!(serve(guard, resources, config, handler, events, &lasting, &watch));
            match Steady::new(served).await {
                BleHostError::Controller(error) => return error,
                // The stack lost its thread, for instance over an event of a link that just ended. Its state is gone
                // for good, and so is ours, except for what lasts.
                BleHostError::BleHost(_) => events(Event::Restarted),
            }
            Timer::after(RESTART_PAUSE).await;
        }
    };
    match select(serving, lasting.keep(bonds, events)).await {
        Either::First(error) => error,
        Either::Second(never) => match never {},
    }
}

/// Keeps a stack that stumbles at once from doing so in a tight loop.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// What the parts of a running device share.
struct Device<'s, 'h, 'd, C, P: PacketPool, E, const FRAME: usize> {
    stack: &'s Stack<'h, C, P>,
    config: &'d Config<'d>,
    lasting: &'d Lasting,
    watch: &'d Watch,
    events: &'d E,
    server: &'s AttributeServer<'d, NoopRawMutex, P, { gatt::ATTRIBUTES }, { CONNECTIONS + 1 }>,
    characteristic: gatt::SmpCharacteristic,
    peripheral: Mutex<NoopRawMutex, Peripheral<'s, C, P>>,
    slots: [Slot<'s, P>; CONNECTIONS],
    requests: RequestQueue<'s, FRAME>,
    refusals: Channel<NoopRawMutex, outbox::Refusal, REFUSALS>,
    /// Packets dropped on arrival that were told of.
    dropped: Cell<u32>,
}

/// Refusals that may wait for their turn on the air.
const REFUSALS: usize = 8;

async fn serve<C, P, H, E, const FRAME: usize, const FRAMES: usize>(
    controller: C,
    resources: &mut Resources<P, FRAME, FRAMES>,
    config: &Config<'_>,
    handler: &H,
    events: &E,
    lasting: &Lasting,
    watch: &Watch,
) -> BleHostError<C::Error>
where
    C: HciController,
    P: PacketPool,
    H: FrameHandler,
    E: Fn(Event),
{
    let Resources { host, requests, reassemblers, answer } = resources;
    let mut builder = trouble_host::new(controller, host)
        .set_io_capabilities(IoCapabilities::DisplayOnly)
        .set_passkey(config.fixed_passkey.map(Passkey::value));
    if let Some(address) = config.address {
        builder = builder.set_random_address(address.to_host());
    }
    let stack = builder.build();
    lasting.restore(&stack);

    let mut table = AttributeTable::new();
    if GapConfig::default(config.name).build(&mut table).is_err() {
        // Config::new checked the name, the only thing that can be wrong.
        return BleHostError::BleHost(trouble_host::Error::InvalidValue);
    }
    let characteristic = gatt::add_service(&mut table, config.access);
    let server = AttributeServer::new(table);
    let mut queue = zerocopy_channel::Channel::new(requests);
    let (sender, receiver) = queue.split();
    let device = Device {
        stack: &stack,
        config,
        lasting,
        watch,
        events,
        server: &server,
        characteristic,
        peripheral: Mutex::new(stack.peripheral()),
        slots: [const { Slot::new() }; CONNECTIONS],
        requests: RequestQueue::new(sender),
        refusals: Channel::new(),
        dropped: Cell::new(0),
    };
    let [first, second, third] = reassemblers;
    let links = join_array([device.links(0, first), device.links(1, second), device.links(2, third)]);
    let serving = join3(links, device.work(receiver, handler, answer), device.refuse());
    let (mut receiving, mut controlling, mut sending) = stack.runner().split();
    let running = async {
        watch.started().await;
        select(sending.run(), serving).await
    };
    match select3(receiving.run(), controlling.run(), running).await {
        Either3::First(Err(error)) | Either3::Second(Err(error)) | Either3::Third(Either::First(Err(error))) => error,
        // None of them ever ends well.
        _ => BleHostError::BleHost(trouble_host::Error::InvalidState),
    }
}

impl<'s, C, P, E, const FRAME: usize> Device<'s, '_, '_, C, P, E, FRAME>
where
    C: HciController,
    P: PacketPool,
    E: Fn(Event),
{
    /// Serves one connection after the other.
    async fn links(&self, slot: usize, reassembler: &mut Reassembler<FRAME>) {
        loop {
            let connection = self.accept().await;
            reassembler.reset();
            self.link(slot, connection, reassembler).await;
        }
    }

    /// Advertises until a central connects. One slot at a time does, the others wait for their turn.
    async fn accept(&self) -> Connection<'s, P> {
        let mut peripheral = self.peripheral.lock().await;
        loop {
            if let Some(connection) = peripheral.try_accept() {
                return connection;
            }
            let advertised = self.advertise(&mut peripheral).await;
            if let Some(connection) = advertised {
                return connection;
            }
            // The controller refused or ended advertising: it may be busy. Ask again.
            Timer::after(ADVERTISE_PAUSE).await;
        }
    }

    async fn advertise(&self, peripheral: &mut Peripheral<'s, C, P>) -> Option<Connection<'s, P>> {
        let (mut data, mut response) = ([0; 31], [0; 31]);
        let uuid = gatt::SERVICE.to_le_bytes();
        let flags = LE_GENERAL_DISCOVERABLE | BR_EDR_NOT_SUPPORTED;
        let length = AdStructure::encode_slice(
            &[AdStructure::Flags(flags), AdStructure::CompleteServiceUuids128(&[uuid])],
            &mut data,
        );
        let name =
            AdStructure::encode_slice(&[AdStructure::CompleteLocalName(self.config.name.as_bytes())], &mut response);
        let (Ok(length), Ok(name)) = (length, name) else { return None };
        let parameters = AdvertisementParameters {
            interval_min: ADVERTISING_INTERVAL,
            interval_max: ADVERTISING_INTERVAL,
            ..AdvertisementParameters::default()
        };
        let advertisement = Advertisement::ConnectableScannableUndirected {
            adv_data: data.get(..length)?,
            scan_data: response.get(..name)?,
        };
        let advertiser = peripheral.advertise(&parameters, advertisement).await.ok()?;
        (self.events)(Event::Advertising);
        advertiser.accept().await.ok()
    }
}

/// Often enough to be found within a second.
const ADVERTISING_INTERVAL: Duration = Duration::from_millis(100);
const ADVERTISE_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_says_why() {
        let error = Config::new("a name of twenty-three!").unwrap_err();
        insta::assert_snapshot!(error, @"the device name has 23 bytes, and at most 22 fit");
        let private = Address::new(AddressKind::Random, [0x40, 1, 2, 3, 4, 5]);
        let error = Config::new("lock").unwrap().address(private).unwrap_err();
        insta::assert_snapshot!(error, @"40:01:02:03:04:05 is no static random address: its first byte must be 0xC0 or more");
    }
}
