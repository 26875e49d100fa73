//! Commands for advertising, scanning, connecting, and the lists of devices that concern these.

use super::setup::accept;
use crate::controller::{
    ACCEPT_LIST, Address, AdvertisingKind, Controller, Initiator, RESOLVING_LIST, Resolvable, Windows,
};
use crate::hci::{Params, Status};
use crate::link::Parameters;
use crate::medium::{ControllerId, Medium};
use std::collections::BTreeSet;

type Answer = Result<Vec<u8>, Status>;

const DONE: Answer = Ok(Vec::new());

impl Medium {
    /// The controller whose host sent a command.
    pub(super) fn controller(&mut self, id: ControllerId) -> Result<&mut Controller, Status> {
        self.controllers.get_mut(&id).ok_or(Status::HARDWARE_FAILURE)
    }
}

impl Controller {
    fn is_discovering(&self) -> bool {
        let settings = &self.settings;
        settings.advertiser.enabled || settings.scanner.windows.is_some() || settings.initiator.is_some()
    }

    /// Whether `kind` names an address that this controller has.
    fn check_own(&self, kind: u8) -> Result<(), Status> {
        check(kind == 0 || self.settings.random != [0; 6])
    }
}

/// Whether `kind` is one of the own addresses of HCI. Our controllers make no resolvable ones (2 and 3).
fn check_own_kind(kind: u8) -> Result<(), Status> {
    match kind {
        0 | 1 => Ok(()),
        2 | 3 => Err(Status::UNSUPPORTED),
        _ => Err(Status::INVALID_PARAMETERS),
    }
}

fn check(valid: bool) -> Result<(), Status> {
    if valid { Ok(()) } else { Err(Status::INVALID_PARAMETERS) }
}

fn allow(allowed: bool) -> Result<(), Status> {
    if allowed { Ok(()) } else { Err(Status::COMMAND_DISALLOWED) }
}

pub(super) fn set_random_address(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let controller = medium.controller(id)?;
    allow(!controller.is_discovering())?;
    controller.settings.random = p.array();
    DONE
}

pub(super) fn set_advertising_parameters(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let advertiser = &mut medium.controller(id)?.settings.advertiser;
    allow(!advertiser.enabled)?;
    let (min, max, kind, own_kind) = (p.u16(), p.u16(), p.u8(), p.u8());
    let _peer: [u8; 7] = p.array();
    let (channels, filter) = (p.u8(), p.u8());
    let kind = match kind {
        0 => AdvertisingKind::ConnectableScannable,
        2 => AdvertisingKind::Scannable,
        3 => AdvertisingKind::NotConnectable,
        // Directed.
        1 | 4 => return Err(Status::UNSUPPORTED),
        _ => return Err(Status::INVALID_PARAMETERS),
    };
    check((0x20..=0x4000).contains(&min) && (min..=0x4000).contains(&max))?;
    check_own_kind(own_kind)?;
    check(matches!(channels, 1..=7) && filter <= 3)?;
    advertiser.kind = kind;
    advertiser.interval = u64::from(min) * 625;
    (advertiser.own_kind, advertiser.channels, advertiser.filter) = (own_kind, channels, filter);
    DONE
}

pub(super) fn read_advertising_power(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(vec![0])
}

/// Data behind its length, padded to 31 bytes.
fn advertising_bytes(mut p: Params<'_>) -> Result<Vec<u8>, Status> {
    let len = usize::from(p.u8());
    check(len <= 31)?;
    Ok(p.take(len).to_vec())
}

pub(super) fn set_advertising_data(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.controller(id)?.settings.advertiser.data = advertising_bytes(p)?;
    DONE
}

pub(super) fn set_scan_response(medium: &mut Medium, id: ControllerId, p: Params<'_>) -> Answer {
    medium.controller(id)?.settings.advertiser.response = advertising_bytes(p)?;
    DONE
}

pub(super) fn enable_advertising(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let links = medium.ends_of(id).count();
    let now = medium.now;
    let enable = p.u8();
    check(enable <= 1)?;
    let controller = medium.controller(id)?;
    let advertiser = &controller.settings.advertiser;
    if enable == 0 {
        medium.stop_advertising(id);
    } else if !advertiser.enabled {
        controller.check_own(advertiser.own_kind)?;
        if advertiser.kind == AdvertisingKind::ConnectableScannable && links >= controller.config.max_links {
            return Err(Status::CONNECTION_LIMIT);
        }
        controller.settings.advertiser.enabled = true;
        controller.settings.advertiser.generation += 1;
        medium.schedule_advertising(id, now + ADVERTISING_START);
    }
    DONE
}

pub(super) fn set_scan_parameters(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let scanner = &mut medium.controller(id)?.settings.scanner;
    allow(scanner.windows.is_none())?;
    let (kind, interval, window, own_kind, policy) = (p.u8(), p.u16(), p.u16(), p.u8(), p.u8());
    check_own_kind(own_kind)?;
    check(kind <= 1 && policy <= 3)?;
    check_windows(interval, window)?;
    scanner.active = kind == 1;
    (scanner.interval, scanner.window) = (u64::from(interval) * 625, u64::from(window) * 625);
    (scanner.own_kind, scanner.listed_only) = (own_kind, policy & 1 == 1);
    DONE
}

fn check_windows(interval: u16, window: u16) -> Result<(), Status> {
    check((4..=0x4000).contains(&interval) && (4..=interval).contains(&window))
}

pub(super) fn enable_scan(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let now = medium.now;
    let (enable, once) = (p.u8(), p.u8());
    check(enable <= 1 && once <= 1)?;
    let controller = medium.controller(id)?;
    controller.check_own(controller.settings.scanner.own_kind)?;
    let scanner = &mut controller.settings.scanner;
    scanner.seen = (once == 1).then(BTreeSet::new);
    let windows = Windows { since: now, interval: scanner.interval, window: scanner.window };
    scanner.windows = (enable == 1).then(|| scanner.windows.unwrap_or(windows));
    DONE
}

pub(super) fn create_connection(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let links = medium.ends_of(id).count();
    let now = medium.now;
    let controller = medium.controller(id)?;
    allow(controller.settings.initiator.is_none())?;
    let (interval, window, policy) = (p.u16(), p.u16(), p.u8());
    let peer = Address::new(p.u8(), p.array());
    let (own_kind, shortest) = (p.u8(), p.u16());
    let parameters = Parameters { interval: p.u16(), latency: p.u16(), timeout: p.u16() };
    check_windows(interval, window)?;
    check(policy <= 1 && shortest >= 6 && shortest <= parameters.interval && parameters.is_valid())?;
    check_own_kind(own_kind)?;
    controller.check_own(own_kind)?;
    if links >= controller.config.max_links {
        return Err(Status::CONNECTION_LIMIT);
    }
    let windows = Windows { since: now, interval: u64::from(interval) * 625, window: u64::from(window) * 625 };
    let peer = (policy == 0).then_some(peer);
    controller.settings.initiator = Some(Initiator { windows, peer, own_kind, parameters });
    DONE
}

pub(super) fn cancel_connection(medium: &mut Medium, id: ControllerId, _: Params<'_>) -> Answer {
    let initiator = medium.controller(id)?.settings.initiator.take();
    allow(initiator.is_some())?;
    medium.connection_cancelled(id);
    DONE
}

fn list_size(size: usize) -> Answer {
    Ok(vec![u8::try_from(size).unwrap_or(u8::MAX)])
}

pub(super) fn read_accept_list_size(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    list_size(ACCEPT_LIST)
}

/// The filter accept list, if nothing that uses it is going on.
fn accept_list(medium: &mut Medium, id: ControllerId) -> Result<&mut Vec<Address>, Status> {
    let settings = &mut medium.controller(id)?.settings;
    let advertising = settings.advertiser.enabled && settings.advertiser.filter != 0;
    let scanning = settings.scanner.windows.is_some() && settings.scanner.listed_only;
    let initiating = settings.initiator.as_ref().is_some_and(|initiator| initiator.peer.is_none());
    allow(!advertising && !scanning && !initiating)?;
    Ok(&mut settings.accept_list)
}

pub(super) fn clear_accept_list(medium: &mut Medium, id: ControllerId, _: Params<'_>) -> Answer {
    accept_list(medium, id)?.clear();
    DONE
}

pub(super) fn add_to_accept_list(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let list = accept_list(medium, id)?;
    let kind = p.u8();
    // 0xff stands for advertising without an address, which legacy advertising does not have.
    check(kind <= 1 || kind == 0xff)?;
    let device = Address::new(kind, p.array());
    if kind == 0xff || list.contains(&device) {
        return DONE;
    }
    if list.len() >= ACCEPT_LIST {
        return Err(Status::MEMORY_EXCEEDED);
    }
    list.push(device);
    DONE
}

pub(super) fn remove_from_accept_list(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let device = Address::new(p.u8(), p.array());
    accept_list(medium, id)?.retain(|listed| *listed != device);
    DONE
}

/// The resolving list, if nothing that uses it is going on.
fn resolving_list(medium: &mut Medium, id: ControllerId) -> Result<&mut Vec<Resolvable>, Status> {
    let controller = medium.controller(id)?;
    allow(!controller.settings.resolves || !controller.is_discovering())?;
    Ok(&mut controller.settings.resolving_list)
}

fn find(list: &[Resolvable], p: &mut Params<'_>) -> Result<usize, Status> {
    let identity = Address::new(p.u8(), p.array());
    list.iter().position(|peer| peer.identity == identity).ok_or(Status::UNKNOWN_CONNECTION)
}

pub(super) fn add_to_resolving_list(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let list = resolving_list(medium, id)?;
    let kind = p.u8();
    check(kind <= 1)?;
    let (identity, key) = (Address::new(kind, p.array()), p.array());
    check(list.iter().all(|peer| peer.identity != identity))?;
    if list.len() >= RESOLVING_LIST {
        return Err(Status::MEMORY_EXCEEDED);
    }
    list.push(Resolvable { identity, key, open: false });
    DONE
}

pub(super) fn remove_from_resolving_list(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let list = resolving_list(medium, id)?;
    list.remove(find(list, &mut p)?);
    DONE
}

pub(super) fn clear_resolving_list(medium: &mut Medium, id: ControllerId, _: Params<'_>) -> Answer {
    resolving_list(medium, id)?.clear();
    DONE
}

pub(super) fn read_resolving_list_size(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    list_size(RESOLVING_LIST)
}

/// Which resolvable addresses are in use is not kept: zeros.
pub(super) fn read_resolvable_address(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    find(&medium.controller(id)?.settings.resolving_list, &mut p)?;
    Ok(vec![0; 6])
}

pub(super) fn enable_address_resolution(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let controller = medium.controller(id)?;
    allow(!controller.is_discovering())?;
    let enable = p.u8();
    check(enable <= 1)?;
    controller.settings.resolves = enable == 1;
    DONE
}

/// Our controllers make no resolvable addresses that would have to be changed.
pub(super) fn set_resolvable_timeout(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    check(matches!(p.u16(), 1..=0xa1b8))?;
    accept(medium, id, p)
}

pub(super) fn set_privacy_mode(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    let list = resolving_list(medium, id)?;
    let index = find(list, &mut p)?;
    let mode = p.u8();
    check(mode <= 1)?;
    list[index].open = mode == 1;
    DONE
}

/// From the command to the first packet, in microseconds.
const ADVERTISING_START: u64 = 1_000;
