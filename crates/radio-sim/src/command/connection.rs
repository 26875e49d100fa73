//! Commands that concern one link.

use super::setup;
use crate::crypt::Share;
use crate::hci::{Params, Status};
use crate::link::{Context, End, Parameters, Procedure, Role};
use crate::medium::{ControllerId, Medium};

type Answer = Result<Vec<u8>, Status>;

const DONE: Answer = Ok(Vec::new());

impl Medium {
    /// Lets the end whose handle `p` begins with act, given the rest.
    fn on_link(
        &mut self,
        id: ControllerId,
        mut p: Params<'_>,
        act: impl FnOnce(&mut End, &mut Context<'_>, Params<'_>) -> Answer,
    ) -> Answer {
        let (link, role) = self.find_link(id, p.u16()).ok_or(Status::UNKNOWN_CONNECTION)?;
        let link = self.links.get_mut(&link).ok_or(Status::UNKNOWN_CONNECTION)?;
        let counter = link.counter;
        let end = link.end_mut(role).ok_or(Status::UNKNOWN_CONNECTION)?;
        let le_mask = self.controllers.get(&id).map_or(0, |controller| controller.settings.le_mask);
        // What the end has to tell is passed on after the answer to the command.
        act(end, &mut Context { now: self.now, counter, secrets: &mut self.secrets, le_mask }, p)
    }

    fn start(&mut self, id: ControllerId, p: Params<'_>, procedure: Procedure) -> Answer {
        self.on_link(id, p, |end, cx, _| {
            end.start(procedure, cx);
            DONE
        })
    }
}

pub(super) fn disconnect(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, _, mut p| {
        let reason = p.u8();
        if !matches!(reason, 0x05 | 0x13..=0x15 | 0x1a | 0x29 | 0x3b) {
            return Err(Status::INVALID_PARAMETERS);
        }
        if end.is_terminating() {
            return Err(Status::COMMAND_DISALLOWED);
        }
        end.terminate(reason);
        DONE
    })
}

pub(super) fn read_remote_version(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.start(id, p, Procedure::Version)
}

pub(super) fn read_remote_features(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.start(id, p, Procedure::Features)
}

pub(super) fn read_rssi(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |_, _, _| Ok(vec![RSSI.to_le_bytes()[0]]))
}

/// All 37 data channels are in use.
pub(super) fn read_channel_map(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |_, _, _| Ok(vec![0xff, 0xff, 0xff, 0xff, 0x1f]))
}

pub(super) fn read_phy(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, _, _| Ok(vec![end.tx_phy().number(), end.rx_phy().number()]))
}

/// Interval bounds, latency and timeout, as several commands have them.
fn parameters(p: &mut Params<'_>) -> Result<(u16, Parameters), Status> {
    let shortest = p.u16();
    let parameters = Parameters { interval: p.u16(), latency: p.u16(), timeout: p.u16() };
    let valid = shortest >= 6 && shortest <= parameters.interval && parameters.is_valid();
    if valid { Ok((shortest, parameters)) } else { Err(Status::INVALID_PARAMETERS) }
}

pub(super) fn update_connection(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, cx, mut p| {
        let (shortest, wanted) = parameters(&mut p)?;
        end.start(Procedure::Parameters { shortest, wanted }, cx);
        DONE
    })
}

pub(super) fn accept_parameters(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, cx, mut p| {
        let (_, wanted) = parameters(&mut p)?;
        end.answer_parameters(Ok(wanted), cx)?;
        DONE
    })
}

pub(super) fn refuse_parameters(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, cx, mut p| {
        end.answer_parameters(Err(Status(p.u8())), cx)?;
        DONE
    })
}

pub(super) fn set_data_length(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, cx, mut p| {
        end.set_length(setup::data_length(p.u16(), p.u16())?);
        end.start(Procedure::Length, cx);
        DONE
    })
}

pub(super) fn set_phy(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, cx, mut p| {
        end.start(Procedure::Phys(setup::phys(p.u8(), p.array())?), cx);
        DONE
    })
}

pub(super) fn enable_encryption(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, cx, mut p| {
        let (rand, ediv, ltk) = (p.array(), p.array(), p.array());
        if end.role == Role::Peripheral {
            return Err(Status::COMMAND_DISALLOWED);
        }
        let (skd, iv) = cx.secrets.bytes().zip(cx.secrets.bytes()).ok_or(Status::HARDWARE_FAILURE)?;
        end.start(Procedure::Encryption { rand, ediv, ltk, share: Share { skd, iv } }, cx);
        DONE
    })
}

pub(super) fn long_term_key(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, _, mut p| {
        end.answer_ltk(Some(p.array()))?;
        DONE
    })
}

pub(super) fn no_long_term_key(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.on_link(id, p, |end, _, _| {
        end.answer_ltk(None)?;
        DONE
    })
}

/// Signal strength of everything everywhere, in dBm.
const RSSI: i8 = -50;
