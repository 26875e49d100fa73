//! Starting and pausing encryption (Core Specification Vol 6 Part B, 5.1.3).
//!
//! ```text
//!   central                    peripheral
//!      │ PAUSE_ENC_REQ ───────────▶│      only if the link is encrypted already
//!      │◀─────────── PAUSE_ENC_RSP │
//!      │ PAUSE_ENC_RSP ───────────▶│      in clear, as what follows
//!      │ ENC_REQ ─────────────────▶│
//!      │◀───────────────── ENC_RSP │ ──▶ LTK request to the host
//!      │◀─────────── START_ENC_REQ │ ◀── LTK; or REJECT_EXT_IND
//!      │ START_ENC_RSP ═══════════▶│      encrypted from here on
//!      │◀═══════════ START_ENC_RSP │
//! ```

use super::control::{self, pdu};
use super::end::Context;
use super::procedure::Procedure;
use super::{End, Role};
use crate::crypt::{Cipher, Session, Share};
use crate::hci::{Packet, Params, Status, event};

/// How far the start of encryption is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not started, or done.
    #[default]
    Idle,
    /// Either end: a pause is being agreed on.
    Pausing,
    /// Central: ENC_REQ is sent.
    Requested,
    /// Central: the session is known and the peripheral looks for its key.
    Known(Session),
    /// Peripheral: paused, ENC_REQ comes next.
    Paused,
    /// Peripheral: ENC_RSP is sent, and the host will be asked for the key to this.
    Answered { central: Share, peripheral: Share, rand: [u8; 8], ediv: [u8; 2], asked: bool },
    /// Either end: waits for the START_ENC_RSP of the other.
    Starting,
}

#[derive(Debug, Default)]
pub(crate) struct Encryption {
    pub(super) tx: Option<Cipher>,
    pub(super) rx: Option<Cipher>,
    state: State,
    session: Option<Session>,
    /// The link was encrypted before.
    refresh: bool,
}

impl Encryption {
    /// Host data has to wait while keys change.
    pub(super) fn pauses_data(&self) -> bool {
        self.state != State::Idle
    }

    fn encrypt_tx(&mut self, role: Role) {
        self.tx = self.session.as_ref().map(|session| Cipher::new(session, role == Role::Central));
    }

    fn decrypt_rx(&mut self, role: Role) {
        self.rx = self.session.as_ref().map(|session| Cipher::new(session, role == Role::Peripheral));
    }
}

impl End {
    /// Whether host data is encrypted both ways.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.encryption.tx.is_some() && self.encryption.rx.is_some()
    }

    /// Central only.
    pub(super) fn begin_encryption(&mut self, rand: [u8; 8], ediv: [u8; 2], share: Share) {
        self.encryption.refresh = self.is_encrypted();
        if self.encryption.refresh {
            self.encryption.state = State::Pausing;
            self.send_control(pdu(control::PAUSE_ENC_REQ, &[]));
        } else {
            self.send_request(rand, ediv, share);
        }
    }

    fn send_request(&mut self, rand: [u8; 8], ediv: [u8; 2], share: Share) {
        self.encryption.state = State::Requested;
        self.send_control(pdu(control::ENC_REQ, &[&rand, &ediv, &share.skd, &share.iv]));
    }

    pub(super) fn encryption_received(&mut self, opcode: u8, p: Params<'_>, cx: &mut Context<'_>) {
        match (self.role, opcode, self.encryption.state) {
            (Role::Peripheral, control::PAUSE_ENC_REQ, State::Idle) if self.is_encrypted() => {
                self.encryption.state = State::Pausing;
                self.send_control(pdu(control::PAUSE_ENC_RSP, &[]));
            }
            (Role::Central, control::PAUSE_ENC_RSP, State::Pausing) => self.paused(),
            (Role::Peripheral, control::PAUSE_ENC_RSP, State::Pausing) => {
                self.encryption.tx = None;
                self.encryption.refresh = true;
                self.encryption.state = State::Paused;
            }
            (Role::Peripheral, control::ENC_REQ, State::Idle | State::Paused) => self.requested(p, cx),
            (Role::Central, control::ENC_RSP, State::Requested) => self.answered(p),
            (Role::Central, control::START_ENC_REQ, State::Known(session)) => {
                self.encryption.session = Some(session);
                self.encryption.encrypt_tx(self.role);
                self.encryption.decrypt_rx(self.role);
                self.encryption.state = State::Starting;
                self.send_control(pdu(control::START_ENC_RSP, &[]));
            }
            (Role::Peripheral, control::START_ENC_RSP, State::Starting) => {
                self.encryption.encrypt_tx(self.role);
                self.send_control(pdu(control::START_ENC_RSP, &[]));
                self.encryption_started();
            }
            (Role::Central, control::START_ENC_RSP, State::Starting) => {
                self.finish_if(|procedure| matches!(procedure, Procedure::Encryption { .. }));
                self.encryption_started();
            }
            // Out of turn: a peer that sends this breaks the protocol, and the procedure will time out.
            _ => {}
        }
    }

    /// What waits for the other end having received a control PDU.
    pub(super) fn control_acknowledged(&mut self, opcode: u8, cx: &Context<'_>) {
        match (self.role, opcode, &mut self.encryption.state) {
            // What the central sends after this is in clear.
            (Role::Peripheral, control::PAUSE_ENC_RSP, _) => self.encryption.rx = None,
            // Only now: until then the central may have been sending something else in clear.
            (Role::Peripheral, control::ENC_RSP, State::Answered { rand, ediv, asked, .. }) => {
                *asked = true;
                let event = Packet::le(event::LE_LTK_REQUEST).u16(self.handle).bytes(rand).bytes(ediv);
                if cx.le_mask & 1 << (event::LE_LTK_REQUEST - 1) == 0 {
                    self.refuse_encryption(Status::UNSUPPORTED_REMOTE_FEATURE);
                } else {
                    self.tell(event);
                }
            }
            _ => {}
        }
    }

    /// Central: what comes after the pause.
    fn paused(&mut self) {
        (self.encryption.tx, self.encryption.rx) = (None, None);
        self.send_control(pdu(control::PAUSE_ENC_RSP, &[]));
        if let Some((rand, ediv, share)) = self.procedures.encryption_request() {
            self.send_request(rand, ediv, share);
        }
    }

    fn requested(&mut self, mut p: Params<'_>, cx: &mut Context<'_>) {
        let (rand, ediv, central) = (p.array(), p.array(), Share { skd: p.array(), iv: p.array() });
        let Some((skd, iv)) = cx.secrets.bytes().zip(cx.secrets.bytes()) else {
            return self.close(Status::HARDWARE_FAILURE);
        };
        let peripheral = Share { skd, iv };
        self.encryption.state = State::Answered { central, peripheral, rand, ediv, asked: false };
        self.send_control(pdu(control::ENC_RSP, &[&skd, &iv]));
    }

    fn answered(&mut self, mut p: Params<'_>) {
        let peripheral = Share { skd: p.array(), iv: p.array() };
        if let Some((ltk, central)) = self.procedures.encryption() {
            self.encryption.state = State::Known(Session::new(ltk, central, peripheral));
        }
    }

    /// The host's answer to the request for a key.
    pub(crate) fn answer_ltk(&mut self, ltk: Option<[u8; 16]>) -> Result<(), Status> {
        let State::Answered { central, peripheral, asked: true, .. } = self.encryption.state else {
            return Err(Status::COMMAND_DISALLOWED);
        };
        let Some(ltk) = ltk else {
            self.refuse_encryption(Status::KEY_MISSING);
            return Ok(());
        };
        self.encryption.session = Some(Session::new(ltk, central, peripheral));
        self.encryption.decrypt_rx(self.role);
        self.encryption.state = State::Starting;
        self.send_control(pdu(control::START_ENC_REQ, &[]));
        Ok(())
    }

    fn refuse_encryption(&mut self, why: Status) {
        self.encryption.state = State::Idle;
        // A link that was encrypted does not go on in clear.
        if self.encryption.refresh {
            self.terminate(why.0);
        } else {
            self.reject(control::ENC_REQ, why);
        }
    }

    pub(super) fn encryption_rejected(&mut self, why: Status) {
        self.encryption.state = State::Idle;
        self.tell(Packet::event(event::ENCRYPTION_CHANGE).status(why).u16(self.handle).u8(0));
    }

    fn encryption_started(&mut self) {
        self.encryption.state = State::Idle;
        let event = if core::mem::take(&mut self.encryption.refresh) {
            Packet::event(event::KEY_REFRESH).status(Status::SUCCESS).u16(self.handle)
        } else {
            Packet::event(event::ENCRYPTION_CHANGE).status(Status::SUCCESS).u16(self.handle).u8(1)
        };
        self.tell(event);
    }
}
