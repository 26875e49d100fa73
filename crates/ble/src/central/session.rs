//! One attempt at a session: the steps from the search to the exchange of frames.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::mutex::Mutex;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use otaru_smp::Reassembler;
use trouble_host::prelude::{
    Characteristic, ConnectConfig, Connection, ConnectionEvent, GattClient, IoCapabilities, PhySet, ScanConfig,
    Scanner, Uuid,
};
use trouble_host::{BleHostError, Error, PacketPool, Stack};

use super::find::Finder;
use super::frames::Frames;
use super::pair::PairingNews;
use super::{Config, Event, Failure, Host, LostBond, NOT_ESTABLISHED, PasskeySource, Step};
use crate::address::Address;
use crate::bond::{BondRecord, BondStore, BondTable};
use crate::gatt;
use crate::guard::{Guard, Watch};
use crate::link_layer::{self, HciController, Tuning, megabits, transfer_parameters};
use crate::security::Security;

/// How an attempt ended that did not fail.
pub(super) enum Outcome {
    /// As asked.
    Closed,
    /// The device does not know our bond.
    BondLost(Address),
    /// The link never carried a packet, which happens.
    NotEstablished,
}

/// What the steps share.
pub(super) struct Session<'a, B, K, E, const FRAME: usize> {
    pub(super) config: &'a Config<'a>,
    pub(super) store: &'a B,
    pub(super) passkeys: Mutex<NoopRawMutex, &'a mut K>,
    frames: &'a Frames<FRAME>,
    pub(super) events: &'a E,
    pub(super) bonds: RefCell<BondTable>,
    pub(super) step: Cell<Step>,
    pub(super) news: Channel<NoopRawMutex, PairingNews, 4>,
    bond_lost: Cell<bool>,
    /// The device whose bond is of no use: it lost it.
    without_bond: Cell<Option<Address>>,
    dropped: Cell<u32>,
    /// Where the device was heard last.
    known: Cell<Option<Address>>,
}

/// The client of one connection. A device has one SMP service; what others it has is not asked for.
pub(super) type Client<'s, C, P> = GattClient<'s, C, P, 2>;

impl<'a, B, K, E, const FRAME: usize> Session<'a, B, K, E, FRAME>
where
    B: BondStore,
    K: PasskeySource,
    E: Fn(Event),
{
    pub(super) const fn new(
        config: &'a Config<'a>,
        store: &'a B,
        passkeys: &'a mut K,
        frames: &'a Frames<FRAME>,
        events: &'a E,
        bonds: BondTable,
    ) -> Self {
        Self {
            config,
            store,
            passkeys: Mutex::new(passkeys),
            frames,
            events,
            bonds: RefCell::new(bonds),
            step: Cell::new(Step::Starting),
            news: Channel::new(),
            bond_lost: Cell::new(false),
            without_bond: Cell::new(None),
            dropped: Cell::new(0),
            known: Cell::new(None),
        }
    }

    /// From now on does not try the bond with a device that lost it. It is kept until a new one takes its place, and says
    /// until then what that has to be worth.
    pub(super) fn do_without_bond(&self, peer: Address) {
        self.without_bond.set(Some(peer));
    }

    /// A new bond took the place of one that was lost.
    pub(super) fn has_bond_again(&self) {
        self.without_bond.set(None);
    }

    /// A bond that is worth enough and not known to be lost. Others are not tried: a link encrypted with a bond cannot be
    /// made better by pairing.
    fn is_useful(&self, bond: &BondRecord) -> bool {
        bond.security >= self.config.minimum && self.without_bond.get() != Some(bond.peer)
    }

    /// What a link to `peer` must be worth before frames go over it: what the configuration says, and no less than the bond
    /// there is.
    pub(super) fn wanted(&self, peer: Address) -> Security {
        let bonds = self.bonds.borrow();
        let bond = bonds.of(&peer.to_host().into()).map(|bond| bond.security);
        bond.map_or(self.config.minimum, |bond| bond.max(self.config.minimum))
    }

    pub(super) fn security<P: PacketPool>(connection: &Connection<'_, P>) -> Security {
        connection.security_level().map_or(Security::None, Security::from_host)
    }

    /// Runs a stack of its own, from reset to disconnection.
    pub(super) async fn attempt<C, P>(
        &self,
        controller: &C,
        host: &mut Host<P>,
        reassembler: &mut Reassembler<FRAME>,
    ) -> Result<Outcome, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        self.step.set(Step::Starting);
        self.bond_lost.set(false);
        self.dropped.set(0);
        self.news.clear();
        let watch = Watch::new();
        let stack = trouble_host::new(Guard::new(controller, &watch), host)
            .set_random_address(self.config.address.to_host())
            .set_io_capabilities(IoCapabilities::KeyboardOnly)
            .build();
        for record in self.bonds.borrow().iter().filter(|bond| self.is_useful(bond)) {
            // There is room for more than can be kept.
            let _ = stack.add_bond_information(record.to_host());
        }
        let finder = Finder::new(self.config.target, &self.bonds);
        let (mut receiving, mut controlling, mut sending) = stack.runner().split();
        let running = async {
            with_timeout(STARTING, watch.started())
                .await
                .map_err(|_| Failure::TimedOut { step: Step::Starting, seconds: STARTING.as_secs() })?;
            match select(sending.run(), self.steps(&stack, &finder, &watch, reassembler)).await {
                Either::First(ended) => Err(self.ended(ended)),
                Either::Second(result) => result,
            }
        };
        match select3(receiving.run_with_handler(&finder), controlling.run(), running).await {
            Either3::First(ended) | Either3::Second(ended) => Err(self.ended(ended)),
            Either3::Third(result) => result,
        }
    }

    /// What the end of a runner means, which never ends well.
    fn ended<F>(&self, ended: Result<(), BleHostError<F>>) -> Failure<F> {
        match ended {
            Err(BleHostError::Controller(error)) => Failure::Controller(error),
            _ => Failure::Stack { step: self.step.get() },
        }
    }

    async fn steps<C, P>(
        &self,
        stack: &Stack<'_, C, P>,
        finder: &Finder<'_>,
        watch: &Watch,
        reassembler: &mut Reassembler<FRAME>,
    ) -> Result<Outcome, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        let reaching = async {
            let peer = match self.known.get() {
                Some(peer) => peer,
                None => self.find(stack, finder).await?,
            };
            self.known.set(Some(peer));
            Ok((peer, self.connect(stack, peer).await?))
        };
        let (peer, connection) = match select(self.frames.closed(), reaching).await {
            Either::First(()) => return Ok(Outcome::Closed),
            Either::Second(reached) => reached?,
        };
        let bonded = self.bonds.borrow().of(&peer.to_host().into()).is_some_and(|bond| self.is_useful(bond));
        (self.events)(Event::Connected { peer, bonded });
        let ended = select3(
            self.follow(stack, &connection, watch),
            self.talk(stack, &connection, peer, bonded, reassembler),
            self.frames.closed(),
        );
        let result = match ended.await {
            Either3::First(reason) => return self.interpret(peer, bonded, reason),
            Either3::Second(result) => result,
            Either3::Third(()) => Ok(Outcome::Closed),
        };
        connection.disconnect();
        // The other side is told, if it can be.
        let reason = with_timeout(FAREWELL, self.follow(stack, &connection, watch)).await;
        match (result, reason) {
            // A step found the link gone before the watch did, which knows why.
            (Err(Failure::Disconnected { .. }), Ok(reason)) => self.interpret(peer, bonded, reason),
            (result, _) => result,
        }
    }

    /// What the end of a link means at the step it came.
    fn interpret<F>(&self, peer: Address, bonded: bool, reason: u8) -> Result<Outcome, Failure<F>> {
        match (self.step.get(), reason) {
            (Step::Preparing, NOT_ESTABLISHED) => Ok(Outcome::NotEstablished),
            // Authentication failed, key missing, MIC failure: the device holds another key, or none.
            (Step::Preparing, 0x05 | 0x06 | 0x3d) if bonded => Ok(self.bond_is_lost(peer)),
            (Step::Pairing, 0x05 | 0x13) => Err(Failure::PairingRefused { peer, reason }),
            (step, reason) => Err(Failure::Disconnected { step, reason }),
        }
    }

    fn bond_is_lost(&self, peer: Address) -> Outcome {
        (self.events)(Event::BondLost { peer, pairing_again: self.config.lost_bond == LostBond::PairAgain });
        Outcome::BondLost(peer)
    }

    async fn find<C, P>(&self, stack: &Stack<'_, C, P>, finder: &Finder<'_>) -> Result<Address, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        let mut central = stack.central();
        let mut scanner = Scanner::new(&mut central);
        let config = ScanConfig { active: true, interval: SCAN, window: SCAN, ..ScanConfig::default() };
        let scan = self.within(STARTING, scanner.scan(&config)).await?;
        self.step.set(Step::Searching);
        (self.events)(Event::Searching);
        let heard = with_timeout(self.config.search, finder.heard()).await;
        // A scan that does not stop holds up connecting, which has a time limit of its own.
        let _ = with_timeout(STARTING, scan.stop()).await;
        let (peer, rssi) =
            heard.map_err(|_| Failure::NotFound { seconds: self.config.search.as_secs(), others: finder.others() })?;
        (self.events)(Event::Found { peer, rssi });
        Ok(peer)
    }

    async fn connect<'s, C, P>(
        &self,
        stack: &'s Stack<'_, C, P>,
        peer: Address,
    ) -> Result<Connection<'s, P>, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        self.step.set(Step::Connecting);
        let (shortest, longest) = self.config.interval;
        let accept = [peer.to_host()];
        let config = ConnectConfig {
            connect_params: transfer_parameters(shortest, longest),
            scan_config: ScanConfig {
                filter_accept_list: &accept,
                phys: PhySet::M1,
                interval: SCAN,
                window: SCAN,
                ..ScanConfig::default()
            },
        };
        let mut central = stack.central();
        self.within(self.config.connect, central.connect(&config)).await
    }

    /// Waits for `operation`, but not longer than `limit`.
    pub(super) async fn within<T, F>(
        &self,
        limit: Duration,
        operation: impl Future<Output = Result<T, BleHostError<F>>>,
    ) -> Result<T, Failure<F>> {
        match with_timeout(limit, operation).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(Failure::TimedOut { step: self.step.get(), seconds: limit.as_secs() }),
        }
    }

    fn failed<F>(&self, error: BleHostError<F>) -> Failure<F> {
        let step = self.step.get();
        match error {
            BleHostError::Controller(error) => Failure::Controller(error),
            BleHostError::BleHost(Error::Att(code)) => Failure::Refused { step, code: code.to_u8() },
            BleHostError::BleHost(Error::Timeout) => Failure::TimedOut { step, seconds: ATT_TRANSACTION },
            BleHostError::BleHost(Error::Disconnected) => Failure::Disconnected { step, reason: NO_REASON },
            BleHostError::BleHost(_) => Failure::Stack { step },
        }
    }

    /// Follows the connection's events; returns the reason when it has ended.
    async fn follow<C, P>(&self, stack: &Stack<'_, C, P>, connection: &Connection<'_, P>, watch: &Watch) -> u8
    where
        C: HciController,
        P: PacketPool,
    {
        let mut silent_since = None;
        loop {
            let event = match select(connection.next(), Timer::after(WATCH_PAUSE)).await {
                Either::First(event) => event,
                Either::Second(()) => {
                    self.count_dropped(stack, watch);
                    // The event of the end is lost if the queue was full, the fact is not.
                    let now = Instant::now();
                    let since = (!connection.is_connected()).then(|| *silent_since.get_or_insert(now));
                    match since.map(|since| now.saturating_duration_since(since)) {
                        Some(silence) if silence >= WATCH_PAUSE => return NO_REASON,
                        _ => continue,
                    }
                }
            };
            match event {
                ConnectionEvent::Disconnected { reason } => {
                    let reason = reason.into_inner();
                    (self.events)(Event::Disconnected { reason });
                    return reason;
                }
                ConnectionEvent::RequestConnectionParams(request) => {
                    // The device knows best; what is not valid, trouble-host rejects.
                    let _ = request.accept(None, stack).await;
                }
                event => self.note(event),
            }
        }
    }

    fn note(&self, event: ConnectionEvent) {
        let tuned = |tuning| (self.events)(Event::Tuned(tuning));
        match event {
            ConnectionEvent::ConnectionParamsUpdated { conn_interval, .. } => tuned(Tuning::Interval(conn_interval)),
            ConnectionEvent::DataLengthUpdated { max_tx_octets, max_rx_octets, .. } => {
                tuned(Tuning::DataLength { transmit: max_tx_octets, receive: max_rx_octets });
            }
            ConnectionEvent::PhyUpdated { tx_phy, .. } => tuned(Tuning::Phy(megabits(tx_phy))),
            ConnectionEvent::Encrypted { security_level, .. } => {
                let security = Security::from_host(security_level);
                (self.events)(Event::Secured { security, bonded: self.step.get() != Step::Pairing });
            }
            ConnectionEvent::BondLost => self.bond_lost.set(true),
            event => {
                if let Some(news) = PairingNews::of(event) {
                    // Four are more than one pairing has.
                    let _ = self.news.try_send(news);
                }
            }
        }
    }

    fn count_dropped<C, P: PacketPool>(&self, stack: &Stack<'_, C, P>, watch: &Watch)
    where
        C: HciController,
    {
        let count = stack.metrics(|metrics| metrics.rx_errors).max(watch.stopped());
        let before = self.dropped.replace(count);
        if count > before {
            (self.events)(Event::PacketsDropped { count: count.saturating_sub(before) });
        }
    }

    async fn talk<C, P>(
        &self,
        stack: &Stack<'_, C, P>,
        connection: &Connection<'_, P>,
        peer: Address,
        bonded: bool,
        reassembler: &mut Reassembler<FRAME>,
    ) -> Result<Outcome, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        self.step.set(Step::Preparing);
        // Fails only if the link is gone already, which the watch finds out.
        let _ = connection.set_bondable(true);
        let client = self
            .within(PREPARING, async {
                link_layer::widen(stack, connection).await;
                Client::<C, P>::new(stack, connection).await
            })
            .await?;
        if bonded && self.bond_lost.get() {
            return Ok(self.bond_is_lost(peer));
        }
        match select(self.read(&client), self.exchange(&client, connection, peer, reassembler)).await {
            Either::First(error) => Err(self.failed(error)),
            Either::Second(Err(failure)) => Err(failure),
            Either::Second(Ok(never)) => match never {},
        }
    }

    /// Takes what arrives off the host.
    async fn read<C, P>(&self, client: &Client<'_, C, P>) -> BleHostError<C::Error>
    where
        C: HciController,
        P: PacketPool,
    {
        loop {
            // The task waits for ever with a response that nobody asked for. Starting it again drops that response.
            if let Ok(Err(error)) = with_timeout(WATCH_PAUSE, client.task()).await {
                return error;
            }
        }
    }

    /// Discovers, subscribes, and moves frames from then on.
    async fn exchange<C, P>(
        &self,
        client: &Client<'_, C, P>,
        connection: &Connection<'_, P>,
        peer: Address,
        reassembler: &mut Reassembler<FRAME>,
    ) -> Result<Infallible, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        let characteristic = self.discover(client, peer).await?;
        self.subscribe(client, connection, &characteristic, peer).await?;
        let (security, required) = (Self::security(connection), self.wanted(peer));
        if security < required {
            return Err(Failure::TooWeak { peer, security, required });
        }
        // Not before: what came over a link worth less, or before any request, is nobody's answer.
        let mut notifications =
            client.listen(&characteristic).map_err(|_| Failure::Stack { step: Step::Subscribing })?;
        self.step.set(Step::Exchanging);
        (self.events)(Event::Ready { att_mtu: connection.att_mtu(), security });

        let sending = async {
            loop {
                let frame = self.frames.next_out().await;
                for data in frame.chunks(gatt::payload(connection.att_mtu())) {
                    self.write(client, &characteristic, data).await?;
                }
            }
        };
        let receiving = async {
            loop {
                match reassembler.push(notifications.next().await.as_ref()) {
                    Ok(Some(frame)) => self.frames.put_back(frame).await,
                    Ok(None) => {}
                    Err(error) => (self.events)(Event::BadNotification(error)),
                }
            }
        };
        match select(sending, receiving).await {
            Either::First(never) | Either::Second(never) => never,
        }
    }

    async fn discover<C, P>(
        &self,
        client: &Client<'_, C, P>,
        peer: Address,
    ) -> Result<Characteristic<[u8]>, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        self.step.set(Step::Discovering);
        let services = self.within(DISCOVERING, client.services_by_uuid(&Uuid::from(gatt::SERVICE))).await?;
        let service = services.first().ok_or(Failure::NoService { peer })?;
        let uuid = Uuid::from(gatt::CHARACTERISTIC);
        let found = async {
            match client.characteristic_by_uuid(service, &uuid).await {
                Err(BleHostError::BleHost(Error::NotFound)) => Ok(None),
                found => found.map(Some),
            }
        };
        let characteristic: Option<Characteristic<[u8]>> = self.within(DISCOVERING, found).await?;
        characteristic.filter(|found| found.cccd_handle.is_some()).ok_or(Failure::NoService { peer })
    }

    /// Writes a piece of a frame, waiting for a packet if all are in use.
    async fn write<C, P>(
        &self,
        client: &Client<'_, C, P>,
        characteristic: &Characteristic<[u8]>,
        data: &[u8],
    ) -> Result<(), Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        loop {
            match client.write_characteristic_without_response(characteristic, data).await {
                Ok(()) => return Ok(()),
                Err(BleHostError::BleHost(Error::OutOfMemory)) => Timer::after(PACKET_PAUSE).await,
                Err(error) => return Err(self.failed(error)),
            }
        }
    }
}

/// How long a controller may take to start or stop something.
const STARTING: Duration = Duration::from_secs(5);
/// How long MTU exchange and encryption with a bond may take: some 30 connection intervals, and retransmissions.
const PREPARING: Duration = Duration::from_secs(10);
/// How long the discovery of service or characteristic may take.
const DISCOVERING: Duration = Duration::from_secs(10);
/// How long the device may take to acknowledge a disconnection, and the watch to see that nobody told of one.
const FAREWELL: Duration = Duration::from_secs(2);
/// The HCI reason for want of one.
const NO_REASON: u8 = 0x1f;
/// Scan interval and window: listening all the time.
const SCAN: Duration = Duration::from_millis(60);
/// How often the connection is looked at.
const WATCH_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait for a packet.
const PACKET_PAUSE: Duration = Duration::from_millis(2);
/// Seconds after which trouble-host gives up an ATT request (Core, Vol 3 Part F 3.3.3).
const ATT_TRANSACTION: u64 = 30;
