//! The client's side: find the device, connect, pair if it asks for that, and exchange frames.
//!
//! ```text
//!   SMP client ── Frames ── run ── trouble-host ── guard ── HCI
//!                            │
//!                            ├── PasskeySource   asked once, when the device shows a passkey
//!                            ├── BondStore       what earlier pairings left
//!                            └── Event           every step, in words
//! ```

mod event;
mod failure;
mod find;
mod frames;
mod pair;
mod session;

use core::future::Future;
use core::pin::pin;

use embassy_time::Duration;
use otaru_smp::Reassembler;
use trouble_host::{HostResources, PacketPool};

pub use event::Event;
pub use failure::{Failure, Step};
pub use frames::{FrameTooLong, Frames};

use crate::address::Address;
use crate::bond::{BONDS, BondStore, BondTable};
use crate::link_layer::HciController;
use crate::security::{Passkey, Security};
use crate::steady::Steady;
use session::{Outcome, Session};

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the ways people name a device")]
pub enum Target<'a> {
    /// One that calls itself this: the one there is a bond with, if it is heard about as soon as the first is.
    Name(&'a str),
    /// The one with this address, most significant byte first, of whichever kind.
    Address([u8; 6]),
}

/// What to do about a device that no longer knows its bond with this client, having been erased, say, or replaced by an
/// attacker's that cannot know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "the two policies there are")]
pub enum LostBond {
    /// Pair again: a passkey on the device's own display vouches for it. The bond stays until a new one, worth at least as
    /// much, takes its place: who cannot pair gains nothing by claiming to have lost it.
    #[default]
    PairAgain,
    /// End with [`Failure::BondLost`].
    Stop,
}

/// Which device, and how to be with it.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    target: Target<'a>,
    address: Address,
    minimum: Security,
    lost_bond: LostBond,
    interval: (Duration, Duration),
    search: Duration,
    connect: Duration,
}

impl<'a> Config<'a> {
    /// A session with `target` for the client with the static random address `own`, the same for every session: bonds
    /// are with an address.
    pub const fn new(target: Target<'a>, own: Address) -> Self {
        Self {
            target,
            address: own,
            minimum: Security::Authenticated,
            lost_bond: LostBond::PairAgain,
            interval: (Duration::from_micros(7_500), Duration::from_millis(15)),
            search: Duration::from_secs(10),
            connect: Duration::from_secs(10),
        }
    }

    /// The least a link must be worth, [`Security::Authenticated`] unless set: no frame moves over one worth less, or worth
    /// less than the bond there is with the device. The client pairs if that takes it, also with a device that asks for
    /// no pairing; [`Failure::TooWeak`] if the device gives no better.
    #[must_use]
    pub const fn minimum(mut self, minimum: Security) -> Self {
        self.minimum = minimum;
        self
    }

    /// What to do about a bond the device lost.
    #[must_use]
    pub const fn lost_bond(mut self, policy: LostBond) -> Self {
        self.lost_bond = policy;
        self
    }

    /// The connection interval, 7.5 to 15 ms unless set.
    #[must_use]
    pub const fn interval(mut self, shortest: Duration, longest: Duration) -> Self {
        self.interval = (shortest, longest);
        self
    }

    /// How long to listen for the device, 10 s unless set.
    #[must_use]
    pub const fn search(mut self, timeout: Duration) -> Self {
        self.search = timeout;
        self
    }

    /// How long a connection may take to come up, 10 s unless set.
    #[must_use]
    pub const fn connect(mut self, timeout: Duration) -> Self {
        self.connect = timeout;
        self
    }
}

/// Where a passkey comes from that a device shows.
pub trait PasskeySource {
    /// The passkey that `device` shows, or `None` if there is nobody to ask. The device waits 30 s for it.
    fn passkey(&mut self, device: &Address) -> impl Future<Output = Option<Passkey>>;
}

/// A passkey known beforehand, or none.
impl PasskeySource for Option<Passkey> {
    async fn passkey(&mut self, _device: &Address) -> Self {
        *self
    }
}

/// The memory of a client's Bluetooth.
pub struct Resources<P: PacketPool, const FRAME: usize> {
    host: Host<P>,
    reassembler: Reassembler<FRAME>,
}

type Host<P> = HostResources<P, 2, 1, 1, { BONDS + 1 }>;

impl<P: PacketPool, const FRAME: usize> Resources<P, FRAME> {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self { host: HostResources::new(), reassembler: Reassembler::new() }
    }
}

impl<P: PacketPool, const FRAME: usize> Default for Resources<P, FRAME> {
    fn default() -> Self {
        Self::new()
    }
}

/// One session: finds the device, connects, pairs if asked to, and moves frames until [`Frames::close`] is called (`Ok`) or
/// something ends it. Every wait in it has an end.
///
/// The controller is borrowed and reset at the start; `frames` starts empty. Dropping the future leaves the link to the
/// next reset or the supervision timeout: rather close it. `events` is told of every step and must not block.
///
/// # Errors
///
/// [`Failure`], with the reason in words.
pub async fn run<C, P, B, K, const FRAME: usize>(
    controller: &C,
    resources: &mut Resources<P, FRAME>,
    config: &Config<'_>,
    bonds: &B,
    passkeys: &mut K,
    frames: &Frames<FRAME>,
    events: &impl Fn(Event),
) -> Result<(), Failure<C::Error>>
where
    C: HciController,
    P: PacketPool,
    B: BondStore,
    K: PasskeySource,
{
    let mut table = BondTable::new();
    let mut each = |record| {
        table.admit(record);
    };
    if bonds.load(&mut each).await.is_err() {
        events(Event::BondStoreFailed);
    }
    frames.clear();
    let session = Session::new(config, bonds, passkeys, frames, events, table);
    for _ in 0..ATTEMPTS {
        resources.reassembler.reset();
        let attempt = pin!(session.attempt(controller, &mut resources.host, &mut resources.reassembler));
        match Steady::new(attempt).await? {
            Outcome::Closed => return Ok(()),
            Outcome::BondLost(peer) if config.lost_bond == LostBond::Stop => return Err(Failure::BondLost { peer }),
            Outcome::BondLost(peer) => session.do_without_bond(peer),
            Outcome::NotEstablished => {}
        }
    }
    Err(Failure::Disconnected { step: Step::Connecting, reason: NOT_ESTABLISHED })
}

/// Connections tried: one may not be established for bad luck on the air, one may find the bond lost.
const ATTEMPTS: usize = 4;

/// The HCI reason for a connection that never carried a packet.
const NOT_ESTABLISHED: u8 = 0x3e;
