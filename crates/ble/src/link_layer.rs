//! What both roles ask of the link layer, and the words for why a link ended.

use core::fmt;

use bt_hci::cmd::le::{LeReadLocalSupportedFeatures, LeSetDataLength, LeSetPhy, LeSetScanParams};
use bt_hci::controller::{ControllerCmdAsync, ControllerCmdSync};
use bt_hci::param::PhyKind;
use embassy_time::Duration;
use trouble_host::prelude::{Connection, RequestedConnParams};
use trouble_host::{Controller, PacketPool, Stack};

/// A controller that knows every command this crate sends.
pub trait HciController:
    Controller
    + ControllerCmdSync<LeSetDataLength>
    + ControllerCmdSync<LeReadLocalSupportedFeatures>
    + ControllerCmdAsync<LeSetPhy>
    + ControllerCmdSync<LeSetScanParams>
{
}

impl<C> HciController for C where
    C: Controller
        + ControllerCmdSync<LeSetDataLength>
        + ControllerCmdSync<LeReadLocalSupportedFeatures>
        + ControllerCmdAsync<LeSetPhy>
        + ControllerCmdSync<LeSetScanParams>
{
}

/// Bytes of the longest link-layer PDU.
const DATA_LENGTH: u16 = 251;
/// Microseconds such a PDU takes at 1 Mbit/s.
const DATA_TIME: u16 = 2120;

/// How long a link may be silent. Long enough for a flash page erase in the middle of it (85 ms on nRF52840) many times over.
pub(crate) const SUPERVISION_TIMEOUT: Duration = Duration::from_secs(4);

/// Connection parameters for a transfer: an interval in this range, no latency.
pub(crate) fn transfer_parameters(shortest: Duration, longest: Duration) -> RequestedConnParams {
    RequestedConnParams {
        min_connection_interval: shortest,
        max_connection_interval: longest,
        max_latency: 0,
        min_event_length: Duration::from_secs(0),
        max_event_length: Duration::from_secs(0),
        supervision_timeout: SUPERVISION_TIMEOUT,
    }
}

/// Asks for long PDUs and the 2 Mbit/s PHY. Neither is vital: a controller or peer without them goes on as it is, and what
/// was agreed comes as events of the connection.
pub(crate) async fn widen<C: HciController, P: PacketPool>(stack: &Stack<'_, C, P>, connection: &Connection<'_, P>) {
    let _ = connection.update_data_length(stack, DATA_LENGTH, DATA_TIME).await;
    if connection.is_connected() {
        let _ = connection.set_phy(stack, PhyKind::Le2M).await;
    }
}

/// Link-layer parameters in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three procedures this crate starts")]
pub enum Tuning {
    /// The connection interval.
    Interval(Duration),
    /// Bytes of a link-layer PDU, sent and received.
    DataLength {
        /// Sent.
        transmit: u16,
        /// Received.
        receive: u16,
    },
    /// Megabits per second of the PHY sent in.
    Phy(u8),
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval(interval) => write!(f, "connection interval {} us", interval.as_micros()),
            Self::DataLength { transmit, receive } => {
                write!(f, "data length {transmit} bytes sent, {receive} received")
            }
            Self::Phy(mbit) => write!(f, "PHY {mbit} Mbit/s"),
        }
    }
}

/// Megabits per second of a PHY, 0 for the long-range ones.
pub(crate) fn megabits(phy: PhyKind) -> u8 {
    match phy {
        PhyKind::Le1M => 1,
        PhyKind::Le2M => 2,
        _ => 0,
    }
}

/// Why a link ended (Core, Vol 1 Part F).
pub(crate) const fn disconnect_words(reason: u8) -> &'static str {
    match reason {
        0x05 => "authentication failed",
        0x06 => "the key for this link is missing",
        0x08 => "nothing was heard for the supervision timeout",
        0x13 => "ended by the other side",
        0x14 => "the other side is low on resources",
        0x15 => "the other side is switching off",
        0x16 => "ended by this side",
        0x1f => "no reason was given",
        0x22 => "a link-layer procedure got no answer",
        0x3b => "the connection parameters were not acceptable",
        0x3d => "a packet did not decrypt: the two sides hold different keys",
        0x3e => "the connection was not established",
        _ => "for another reason",
    }
}
