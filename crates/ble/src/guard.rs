//! What must not reach trouble-host 0.8.0, stopped at the HCI boundary.
//!
//! Its ATT decoder indexes into a PDU before it looks at the length, so that one malformed request panics the host: a
//! Read By Group Type with a 128-bit type, or any request cut short, from anybody in radio range, before any pairing.
//! And a client that gets an Error Response to a Write Command, which only a broken server sends, keeps it for the answer
//! to its next request. [`Guard`] looks at the first fragment of every L2CAP PDU and turns such PDUs into one on a
//! channel that trouble-host ignores. (A later fragment of a PDU whose start is gone makes trouble-host close the link.)
//!
//! The guard also counts the controller's buffers, which trouble-host takes to be there once per link, keeps commands from
//! overtaking each other, and knows when the host is ready.

mod credits;
mod pdu;

use core::any::Any;
use core::cell::Cell;

use bt_hci::ControllerToHostPacket;
use bt_hci::cmd::info::ReadBdAddr;
use bt_hci::cmd::le::LeReadBufferSizeReturn;
use bt_hci::cmd::{self, Cmd as _, Opcode};
use bt_hci::controller::{Controller, ControllerCmdAsync, ControllerCmdSync};
use bt_hci::data::{AclBroadcastFlag, AclPacket, AclPacketBoundary, IsoPacket, SyncPacket};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use embedded_io::ErrorType;

use credits::Credits;
use pdu::is_sound;

/// What a guard remembers, for one life of a stack.
pub(crate) struct Watch {
    stopped: Cell<u32>,
    started: Signal<NoopRawMutex, ()>,
    turn: Mutex<NoopRawMutex, ()>,
    credits: Credits,
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Self { stopped: Cell::new(0), started: Signal::new(), turn: Mutex::new(()), credits: Credits::new() }
    }

    /// PDUs stopped so far.
    pub(crate) fn stopped(&self) -> u32 {
        self.stopped.get()
    }

    /// Waits until the host has set up its controller. What trouble-host does before that, such as transmitting, polls
    /// for it and burns a core as long as the controller is silent. To be awaited once.
    pub(crate) async fn started(&self) {
        self.started.wait().await;
    }

    /// The first command after the one that ends the set-up.
    fn saw(&self, opcode: Opcode) {
        if opcode == ReadBdAddr::OPCODE {
            self.started.signal(());
        }
    }
}

/// A controller whose host only sees PDUs it can digest. Borrowed, so that a stack can be built again on it.
///
/// Commands go one by one: of two with the same opcode at a time, bt-hci's `ExternalController` may forget the second.
pub(crate) struct Guard<'c, C> {
    controller: &'c C,
    watch: &'c Watch,
}

impl<'c, C> Guard<'c, C> {
    pub(crate) const fn new(controller: &'c C, watch: &'c Watch) -> Self {
        Self { controller, watch }
    }
}

impl<C: ErrorType> ErrorType for Guard<'_, C> {
    type Error = C::Error;
}

impl<C: Controller> Controller for Guard<'_, C> {
    type Buffer<'a> = C::Buffer<'a>;

    fn alloc_buf(&self) -> Result<Self::Buffer<'_>, Self::Error> {
        self.controller.alloc_buf()
    }

    async fn write_acl_data(&self, packet: &AclPacket<'_>) -> Result<(), Self::Error> {
        self.watch.credits.take(packet.handle()).await;
        self.controller.write_acl_data(packet).await
    }

    async fn write_sync_data(&self, packet: &SyncPacket<'_>) -> Result<(), Self::Error> {
        self.controller.write_sync_data(packet).await
    }

    async fn write_iso_data(&self, packet: &IsoPacket<'_>) -> Result<(), Self::Error> {
        self.controller.write_iso_data(packet).await
    }

    async fn read<'a>(&self, buf: &'a mut Self::Buffer<'_>) -> Result<ControllerToHostPacket<'a>, Self::Error> {
        let packet = self.controller.read(buf).await?;
        if let ControllerToHostPacket::Event(event) = &packet {
            self.watch.credits.heard(event.kind, event.data);
        }
        if let ControllerToHostPacket::Acl(acl) = &packet
            && acl.boundary_flag() != AclPacketBoundary::Continuing
            && !is_sound(acl.data())
        {
            self.watch.stopped.set(self.watch.stopped.get().saturating_add(1));
            return Ok(ControllerToHostPacket::Acl(AclPacket::new(
                acl.handle(),
                AclPacketBoundary::FirstFlushable,
                AclBroadcastFlag::PointToPoint,
                &IGNORED,
            )));
        }
        Ok(packet)
    }
}

impl<C, Q> ControllerCmdSync<Q> for Guard<'_, C>
where
    C: ControllerCmdSync<Q>,
    Q: cmd::SyncCmd<Return: 'static> + ?Sized,
{
    async fn exec(&self, command: &Q) -> Result<Q::Return, cmd::Error<Self::Error>> {
        self.watch.saw(Q::OPCODE);
        let _turn = self.watch.turn.lock().await;
        let result = self.controller.exec(command).await?;
        if let Some(buffers) = (&result as &dyn Any).downcast_ref::<LeReadBufferSizeReturn>() {
            self.watch.credits.set_total(buffers.total_num_le_acl_data_packets);
        }
        Ok(result)
    }
}

impl<C, Q> ControllerCmdAsync<Q> for Guard<'_, C>
where
    C: ControllerCmdAsync<Q>,
    Q: cmd::AsyncCmd + ?Sized,
{
    async fn exec(&self, command: &Q) -> Result<(), cmd::Error<Self::Error>> {
        self.watch.saw(Q::OPCODE);
        let _turn = self.watch.turn.lock().await;
        self.controller.exec(command).await
    }
}

/// An empty PDU on a fixed channel that Apple's hosts use and others ignore.
const IGNORED: [u8; 4] = [0, 0, 0x3a, 0];
