//! Procedures that ends of a link run with each other (Core Specification Vol 6 Part B, 5.1): one at a time of its own,
//! next to one of the other end.

use super::control::{self, has_passed, pdu};
use super::end::Context;
use super::{End, Parameters, Role};
use crate::controller::FEATURES;
use crate::crypt::Share;
use crate::hci::{Packet, Params, Status, event};
use crate::phy::Phy;
use std::collections::VecDeque;

/// What a host can ask its end for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Procedure {
    Features,
    Version,
    Length,
    /// Bit masks of what to send and receive with.
    Phys([u8; 2]),
    /// New connection parameters, and the shortest interval that would do as well.
    Parameters {
        shortest: u16,
        wanted: Parameters,
    },
    /// Central only.
    Encryption {
        rand: [u8; 8],
        ediv: [u8; 2],
        ltk: [u8; 16],
        share: Share,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Procedures {
    queued: VecDeque<Procedure>,
    /// The running one and since when.
    active: Option<(Procedure, u64)>,
    pub(super) remote_features: Option<[u8; 8]>,
    pub(super) remote_version: Option<[u8; 5]>,
    pub(super) version_sent: bool,
    /// What will hold from an event on.
    pub(super) pending_parameters: Option<(u16, Parameters)>,
    /// Bit masks for sending and receiving; zero: as before.
    pending_phys: Option<(u16, [u8; 2])>,
    /// The other end asked for parameters and our host has to answer.
    asked_host: bool,
}

/// How long an end waits for the other one in a procedure, in microseconds.
const RESPONSE_TIMEOUT: u64 = 40_000_000;

/// Events between the decision on a change and the change, so that retransmissions have their time.
const EVENTS_AHEAD: u16 = 6;

impl Procedures {
    pub(super) fn queue(&mut self, procedure: Procedure) {
        self.queued.push_back(procedure);
    }

    pub(super) fn is_overdue(&self, now: u64) -> bool {
        self.active.as_ref().is_some_and(|(_, since)| now - since > RESPONSE_TIMEOUT)
    }

    const fn awaits_instant(&self) -> bool {
        self.pending_parameters.is_some() || self.pending_phys.is_some()
    }

    /// Key and share of the running procedure, if it is an encryption start.
    pub(super) const fn encryption(&self) -> Option<([u8; 16], Share)> {
        match self.active {
            Some((Procedure::Encryption { ltk, share, .. }, _)) => Some((ltk, share)),
            _ => None,
        }
    }

    /// What the running procedure asks for, if it is an encryption start.
    pub(super) const fn encryption_request(&self) -> Option<([u8; 8], [u8; 2], Share)> {
        match self.active {
            Some((Procedure::Encryption { rand, ediv, share, .. }, _)) => Some((rand, ediv, share)),
            _ => None,
        }
    }
}

impl End {
    /// Starts the next procedure that waits, if nothing is in its way.
    pub(super) fn start_next(&mut self, cx: &mut Context<'_>) {
        while self.procedures.active.is_none()
            && !self.procedures.awaits_instant()
            && !self.encryption.pauses_data()
            && !self.is_terminating()
            && let Some(procedure) = self.procedures.queued.pop_front()
        {
            if self.begin(&procedure, cx) {
                self.procedures.active = Some((procedure, cx.now));
            }
        }
    }

    /// Sends what begins `procedure`. False if there is nothing to wait for.
    fn begin(&mut self, procedure: &Procedure, cx: &Context<'_>) -> bool {
        match *procedure {
            Procedure::Features if self.procedures.remote_features.is_some() => {
                self.tell_features();
                return false;
            }
            Procedure::Features => {
                let central = self.role == Role::Central;
                let opcode = if central { control::FEATURE_REQ } else { control::PERIPHERAL_FEATURE_REQ };
                self.send_control(pdu(opcode, &[&FEATURES]));
            }
            Procedure::Version if self.procedures.remote_version.is_some() => {
                self.tell_version();
                return false;
            }
            Procedure::Version => self.send_version(),
            Procedure::Length => self.send_lengths(control::LENGTH_REQ),
            Procedure::Phys(phys) => {
                self.preferred_phys = phys;
                self.send_control(pdu(control::PHY_REQ, &[&phys]));
            }
            Procedure::Parameters { wanted, .. } if self.role == Role::Central => self.send_update(wanted, cx),
            Procedure::Parameters { shortest, wanted } => {
                let fields = [shortest, wanted.interval, wanted.latency, wanted.timeout].map(u16::to_le_bytes);
                let [min, max, latency, timeout] = &fields;
                // No preferred periodicity, no reference event, no preferred offsets.
                let rest: [&[u8]; 2] = [&[0; 3], &[0xff; 12]];
                self.send_control(pdu(control::CONNECTION_PARAM_REQ, &[min, max, latency, timeout, rest[0], rest[1]]));
            }
            Procedure::Encryption { rand, ediv, share, .. } => self.begin_encryption(rand, ediv, share),
        }
        true
    }

    /// Ends the running procedure if it is the one meant, and says whether it was.
    pub(super) fn finish_if(&mut self, meant: impl FnOnce(&Procedure) -> bool) -> bool {
        let finished = self.procedures.active.as_ref().is_some_and(|(procedure, _)| meant(procedure));
        if finished {
            self.procedures.active = None;
        }
        finished
    }

    /// The other end will not do what `opcode` asked for.
    pub(super) fn rejected(&mut self, opcode: u8, why: Status) {
        match (opcode, self.procedures.active.as_ref().map(|(procedure, _)| procedure)) {
            (control::ENC_REQ, Some(Procedure::Encryption { .. })) => self.encryption_rejected(why),
            (control::PHY_REQ, Some(Procedure::Phys(_))) => self.tell_phys(why),
            (control::CONNECTION_PARAM_REQ, Some(Procedure::Parameters { .. })) => self.tell_parameters(why),
            (control::FEATURE_REQ | control::PERIPHERAL_FEATURE_REQ, Some(Procedure::Features)) => {
                let event = Packet::le(event::LE_REMOTE_FEATURES).status(why).u16(self.handle);
                self.tell(event.bytes(&[0; 8]));
            }
            (control::LENGTH_REQ, Some(Procedure::Length)) => {}
            // A rejection of what nobody asked for.
            _ => return,
        }
        self.procedures.active = None;
    }

    /// Puts into force what was agreed for this event. `Some`: the new interval in microseconds.
    pub(super) fn at_instant(&mut self, cx: &Context<'_>) -> Option<u64> {
        if let Some((instant, [tx, rx])) = self.procedures.pending_phys
            && has_passed(instant, cx.counter)
        {
            self.procedures.pending_phys = None;
            let before = self.phys;
            self.phys = [phy(tx).unwrap_or(before[0]), phy(rx).unwrap_or(before[1])];
            let asked = self.finish_if(|procedure| matches!(procedure, Procedure::Phys(_)));
            if asked || before != self.phys {
                self.tell_phys(Status::SUCCESS);
            }
        }
        let (_, parameters) = self.procedures.pending_parameters.filter(|(at, _)| has_passed(*at, cx.counter))?;
        self.procedures.pending_parameters = None;
        let before = core::mem::replace(&mut self.parameters, parameters);
        let asked = self.finish_if(|procedure| matches!(procedure, Procedure::Parameters { .. }));
        if asked || before != parameters {
            self.tell_parameters(Status::SUCCESS);
        }
        Some(parameters.interval_micros())
    }

    fn tell_parameters(&mut self, status: Status) {
        let Parameters { interval, latency, timeout } = self.parameters;
        let event = Packet::le(event::LE_CONNECTION_UPDATE).status(status).u16(self.handle);
        self.tell(event.u16(interval).u16(latency).u16(timeout));
    }

    fn tell_phys(&mut self, status: Status) {
        let event = Packet::le(event::LE_PHY_UPDATE).status(status).u16(self.handle);
        self.tell(event.u8(self.tx_phy().number()).u8(self.rx_phy().number()));
    }

    /// Central only: the parameters change a few events from now.
    fn send_update(&mut self, parameters: Parameters, cx: &Context<'_>) {
        let instant = cx.counter.wrapping_add(EVENTS_AHEAD).wrapping_add(self.parameters.latency);
        self.procedures.pending_parameters = Some((instant, parameters));
        let window_and_offset = [1, 0, 0];
        let fields = [parameters.interval, parameters.latency, parameters.timeout, instant].map(u16::to_le_bytes);
        let [interval, latency, timeout, instant] = &fields;
        self.send_control(pdu(
            control::CONNECTION_UPDATE_IND,
            &[&window_and_offset, interval, latency, timeout, instant],
        ));
    }

    /// Whether a change of the other end would meet one of ours.
    fn collides(&self) -> bool {
        let ours = self.procedures.active.as_ref();
        let change = |procedure: &Procedure| matches!(procedure, Procedure::Phys(_) | Procedure::Parameters { .. });
        self.procedures.awaits_instant() || ours.is_some_and(|(procedure, _)| change(procedure))
    }

    pub(super) fn parameters_requested(&mut self, mut p: Params<'_>, cx: &Context<'_>) {
        let fields = [p.u16(), p.u16(), p.u16(), p.u16()];
        let [shortest, interval, latency, timeout] = fields;
        let wanted = Parameters { interval, latency, timeout };
        if self.role == Role::Peripheral || !wanted.is_valid() || shortest > interval {
            self.reject(control::CONNECTION_PARAM_REQ, Status::INVALID_PARAMETERS);
        } else if self.collides() {
            self.reject(control::CONNECTION_PARAM_REQ, Status::PROCEDURE_COLLISION);
        } else if cx.le_mask & 1 << (event::LE_REMOTE_PARAMETER_REQUEST - 1) == 0 {
            self.reject(control::CONNECTION_PARAM_REQ, Status::UNSUPPORTED_REMOTE_FEATURE);
        } else {
            self.procedures.asked_host = true;
            let event = Packet::le(event::LE_REMOTE_PARAMETER_REQUEST).u16(self.handle);
            self.tell(fields.into_iter().fold(event, Packet::u16));
        }
    }

    /// The host's answer to the other end's wish: new parameters, or why not.
    pub(crate) fn answer_parameters(
        &mut self,
        answer: Result<Parameters, Status>,
        cx: &Context<'_>,
    ) -> Result<(), Status> {
        if !core::mem::take(&mut self.procedures.asked_host) {
            return Err(Status::COMMAND_DISALLOWED);
        }
        match answer {
            Ok(parameters) => self.send_update(parameters, cx),
            Err(why) => self.reject(control::CONNECTION_PARAM_REQ, why),
        }
        Ok(())
    }

    pub(super) fn phys_requested(&mut self, phys: [u8; 2], cx: &Context<'_>) {
        match self.role {
            Role::Peripheral => self.send_control(pdu(control::PHY_RSP, &[&self.preferred_phys])),
            Role::Central if self.collides() => self.reject(control::PHY_REQ, Status::PROCEDURE_COLLISION),
            Role::Central => self.decide_phys(phys, cx),
        }
    }

    pub(super) fn phys_answered(&mut self, phys: [u8; 2], cx: &Context<'_>) {
        if self.role == Role::Central {
            self.decide_phys(phys, cx);
        }
    }

    /// Central only: takes the best PHYs that both like, given what the peripheral likes to send and receive.
    fn decide_phys(&mut self, peripheral: [u8; 2], cx: &Context<'_>) {
        let best = |mask: u8, now: Phy| match mask {
            mask if mask & 2 != 0 && now != Phy::Le2M => 2,
            mask if mask & 3 == 1 && now != Phy::Le1M => 1,
            _ => 0,
        };
        let [tx, rx] = self.preferred_phys;
        let decided = [best(tx & peripheral[1], self.tx_phy()), best(rx & peripheral[0], self.rx_phy())];
        let instant = cx.counter.wrapping_add(EVENTS_AHEAD).wrapping_add(self.parameters.latency);
        self.send_control(pdu(control::PHY_UPDATE_IND, &[&decided, &instant.to_le_bytes()]));
        self.agree_on_phys(decided, instant);
    }

    pub(super) fn phys_indicated(&mut self, [to_us, from_us]: [u8; 2], instant: u16, cx: &Context<'_>) {
        if self.role == Role::Central {
            return;
        }
        if [to_us, from_us] != [0, 0] && has_passed(instant, cx.counter) {
            return self.close(Status::INSTANT_PASSED);
        }
        self.agree_on_phys([from_us, to_us], instant);
    }

    fn agree_on_phys(&mut self, phys: [u8; 2], instant: u16) {
        if phys != [0, 0] {
            self.procedures.pending_phys = Some((instant, phys));
        } else if self.finish_if(|procedure| matches!(procedure, Procedure::Phys(_))) {
            self.tell_phys(Status::SUCCESS);
        }
    }
}

/// The PHY that a bit mask with one bit names.
const fn phy(mask: u8) -> Option<Phy> {
    match mask {
        1 => Some(Phy::Le1M),
        2 => Some(Phy::Le2M),
        _ => None,
    }
}
