//! Link-layer control PDUs (Core Specification Vol 6 Part B, 2.4.2): opcodes, and what an end does when one arrives.

use super::End;
use super::end::Context;
use super::procedure::Procedure;
use super::{Parameters, Role};
use crate::controller::{FEATURES, VERSION};
use crate::hci::{Packet, Params, Status, event};

pub(super) const CONNECTION_UPDATE_IND: u8 = 0x00;
pub(super) const TERMINATE_IND: u8 = 0x02;
pub(super) const ENC_REQ: u8 = 0x03;
pub(super) const ENC_RSP: u8 = 0x04;
pub(super) const START_ENC_REQ: u8 = 0x05;
pub(super) const START_ENC_RSP: u8 = 0x06;
pub(super) const FEATURE_REQ: u8 = 0x08;
pub(super) const FEATURE_RSP: u8 = 0x09;
pub(super) const PAUSE_ENC_REQ: u8 = 0x0a;
pub(super) const PAUSE_ENC_RSP: u8 = 0x0b;
pub(super) const VERSION_IND: u8 = 0x0c;
pub(super) const PERIPHERAL_FEATURE_REQ: u8 = 0x0e;
pub(super) const CONNECTION_PARAM_REQ: u8 = 0x0f;
pub(super) const REJECT_EXT_IND: u8 = 0x11;
pub(super) const LENGTH_REQ: u8 = 0x14;
pub(super) const LENGTH_RSP: u8 = 0x15;
pub(super) const PHY_REQ: u8 = 0x16;
pub(super) const PHY_RSP: u8 = 0x17;
pub(super) const PHY_UPDATE_IND: u8 = 0x18;

/// A control PDU with these parameters.
pub(super) fn pdu(opcode: u8, parameters: &[&[u8]]) -> Vec<u8> {
    let mut pdu = vec![opcode];
    parameters.iter().for_each(|bytes| pdu.extend_from_slice(bytes));
    pdu
}

impl End {
    pub(super) fn control_received(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        let mut p = Params(payload);
        let opcode = p.u8();
        match opcode {
            CONNECTION_UPDATE_IND => self.update_received(p, cx),
            TERMINATE_IND => self.close_after_acknowledging(Status(p.u8())),
            ENC_REQ | ENC_RSP | START_ENC_REQ | START_ENC_RSP | PAUSE_ENC_REQ | PAUSE_ENC_RSP => {
                self.encryption_received(opcode, p, cx);
            }
            REJECT_EXT_IND => self.rejected(p.u8(), Status(p.u8())),
            FEATURE_REQ | PERIPHERAL_FEATURE_REQ => {
                self.procedures.remote_features = Some(p.array());
                self.send_control(pdu(FEATURE_RSP, &[&FEATURES]));
            }
            FEATURE_RSP => {
                self.procedures.remote_features = Some(p.array());
                self.finish_if(|procedure| *procedure == Procedure::Features);
                self.tell_features();
            }
            VERSION_IND => self.version_received(p.array()),
            CONNECTION_PARAM_REQ => self.parameters_requested(p, cx),
            LENGTH_REQ => {
                self.lengths_received(p);
                self.send_lengths(LENGTH_RSP);
            }
            LENGTH_RSP => {
                self.lengths_received(p);
                self.finish_if(|procedure| *procedure == Procedure::Length);
            }
            PHY_REQ => self.phys_requested([p.u8(), p.u8()], cx),
            PHY_RSP => self.phys_answered([p.u8(), p.u8()], cx),
            PHY_UPDATE_IND => self.phys_indicated([p.u8(), p.u8()], p.u16(), cx),
            // Our ends send nothing else to each other.
            _ => {}
        }
    }

    pub(super) fn reject(&mut self, opcode: u8, why: Status) {
        self.send_control(pdu(REJECT_EXT_IND, &[&[opcode, why.0]]));
    }

    pub(super) fn tell_features(&mut self) {
        if let Some(features) = self.procedures.remote_features {
            let event = Packet::le(event::LE_REMOTE_FEATURES).status(Status::SUCCESS).u16(self.handle);
            self.tell(event.bytes(&features));
        }
    }

    pub(super) fn tell_version(&mut self) {
        if let Some(version) = self.procedures.remote_version {
            let event = Packet::event(event::REMOTE_VERSION).status(Status::SUCCESS).u16(self.handle);
            self.tell(event.bytes(&version));
        }
    }

    pub(super) fn send_version(&mut self) {
        if !core::mem::replace(&mut self.procedures.version_sent, true) {
            self.send_control(pdu(VERSION_IND, &[&VERSION]));
        }
    }

    fn version_received(&mut self, version: [u8; 5]) {
        self.procedures.remote_version = Some(version);
        self.send_version();
        if self.finish_if(|procedure| *procedure == Procedure::Version) {
            self.tell_version();
        }
    }

    pub(super) fn send_lengths(&mut self, opcode: u8) {
        let [(tx, tx_time), (rx, rx_time)] = self.lengths.local;
        let fields = [rx, rx_time, tx, tx_time].map(u16::to_le_bytes);
        self.send_control(pdu(opcode, &fields.each_ref().map(|field| field.as_slice())));
    }

    fn lengths_received(&mut self, mut p: Params<'_>) {
        let before = self.lengths.effective();
        let mut field = || p.u16().max(super::end::INITIAL_LENGTH.0);
        self.lengths.remote = [(field(), field()), (field(), field())];
        let [(tx, tx_time), (rx, rx_time)] = self.lengths.effective();
        if before != self.lengths.effective() {
            let event = Packet::le(event::LE_DATA_LENGTH_CHANGE).u16(self.handle);
            self.tell(event.u16(tx).u16(tx_time).u16(rx).u16(rx_time));
        }
    }

    fn update_received(&mut self, mut p: Params<'_>, cx: &Context<'_>) {
        let _window = (p.u8(), p.u16());
        let parameters = Parameters { interval: p.u16(), latency: p.u16(), timeout: p.u16() };
        let instant = p.u16();
        if self.role == Role::Central || !parameters.is_valid() {
            return;
        }
        if has_passed(instant, cx.counter) {
            return self.close(Status::INSTANT_PASSED);
        }
        self.procedures.pending_parameters = Some((instant, parameters));
    }
}

/// Whether event `instant` is the current one or lies behind it. Event numbers wrap.
pub(super) const fn has_passed(instant: u16, counter: u16) -> bool {
    instant.wrapping_sub(counter) == 0 || instant.wrapping_sub(counter) > 0x7fff
}
