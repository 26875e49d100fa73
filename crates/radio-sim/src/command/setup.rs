//! Commands that ask what a controller is and set how it reports.

use super::supported_commands;
use crate::controller::{FEATURES, VERSION};
use crate::crypt;
use crate::hci::{Params, Status};
use crate::link::{INITIAL_LENGTH, MAXIMUM_LENGTH};
use crate::medium::{ControllerId, Medium};

type Answer = Result<Vec<u8>, Status>;

/// LE supported, BR/EDR not.
const LMP_FEATURES: [u8; 8] = [0, 0, 0, 0, 0x60, 0, 0, 0];

/// Every legacy state and combination (Vol 4 Part E, 7.8.27), but directed advertising.
const STATES: [u8; 8] = [0xf3, 0xff, 0xff, 0xcf, 0xff, 0x03, 0, 0];

/// For commands that have nothing to change here.
pub(super) fn accept(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(Vec::new())
}

pub(super) fn reset(medium: &mut Medium, id: ControllerId, _: Params<'_>) -> Answer {
    medium.drop_links(id);
    medium.controller(id)?.reset();
    Ok(Vec::new())
}

pub(super) fn set_event_mask(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    medium.controller(id)?.settings.event_mask = u64::from_le_bytes(p.array());
    Ok(Vec::new())
}

pub(super) fn le_set_event_mask(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    medium.controller(id)?.settings.le_mask = u64::from_le_bytes(p.array());
    Ok(Vec::new())
}

/// Hosts always take what arrives; asking for less is not supported.
pub(super) fn set_host_flow_control(_: &mut Medium, _: ControllerId, mut p: Params<'_>) -> Answer {
    if p.u8() == 0 { Ok(Vec::new()) } else { Err(Status::UNSUPPORTED) }
}

pub(super) fn read_local_version(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    let [version, company_low, company_high, sub_low, sub_high] = VERSION;
    Ok(vec![version, 0, 0, version, company_low, company_high, sub_low, sub_high])
}

pub(super) fn read_supported_commands(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(supported_commands().to_vec())
}

pub(super) fn read_local_features(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(LMP_FEATURES.to_vec())
}

/// All buffers are LE buffers: a host that finds none here asks for those.
pub(super) fn read_buffer_size(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(vec![0; 7])
}

pub(super) fn read_address(medium: &mut Medium, id: ControllerId, _: Params<'_>) -> Answer {
    Ok(medium.controller(id)?.public.to_vec())
}

pub(super) fn le_read_buffer_size(medium: &mut Medium, id: ControllerId, _: Params<'_>) -> Answer {
    let config = &medium.controller(id)?.config;
    let [low, high] = config.acl_len.to_le_bytes();
    Ok(vec![low, high, config.acl_packets])
}

pub(super) fn le_read_features(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(FEATURES.to_vec())
}

pub(super) fn le_read_states(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(STATES.to_vec())
}

pub(super) fn le_encrypt(_: &mut Medium, _: ControllerId, mut p: Params<'_>) -> Answer {
    Ok(crypt::aes(p.array(), p.array()).to_vec())
}

pub(super) fn le_rand(medium: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    medium.secrets.bytes::<8>().map(Vec::from).ok_or(Status::HARDWARE_FAILURE)
}

fn lengths(of: &[(u16, u16)]) -> Vec<u8> {
    of.iter().flat_map(|(octets, time)| [octets.to_le_bytes(), time.to_le_bytes()].concat()).collect()
}

pub(super) fn le_read_default_length(medium: &mut Medium, id: ControllerId, _: Params<'_>) -> Answer {
    Ok(lengths(&[medium.controller(id)?.settings.length]))
}

pub(super) fn le_write_default_length(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    medium.controller(id)?.settings.length = data_length(p.u16(), p.u16())?;
    Ok(Vec::new())
}

pub(super) fn le_read_maximum_length(_: &mut Medium, _: ControllerId, _: Params<'_>) -> Answer {
    Ok(lengths(&[MAXIMUM_LENGTH; 2]))
}

/// Checks a data length (octets, microseconds) and cuts it to what our controllers do.
pub(super) fn data_length(octets: u16, time: u16) -> Result<(u16, u16), Status> {
    let valid = (INITIAL_LENGTH.0..=251).contains(&octets) && (INITIAL_LENGTH.1..=17_040).contains(&time);
    if valid { Ok((octets.min(MAXIMUM_LENGTH.0), time.min(MAXIMUM_LENGTH.1))) } else { Err(Status::INVALID_PARAMETERS) }
}

/// Checks a choice of PHYs: bits of `all` say that the host does not mind what it sends or receives with.
pub(super) fn phys(all: u8, wanted: [u8; 2]) -> Result<[u8; 2], Status> {
    let choose = |free: bool, mask: u8| match mask & 0b11 {
        _ if free => Ok(0b11),
        0 if mask & 0b100 != 0 => Err(Status::UNSUPPORTED),
        0 => Err(Status::INVALID_PARAMETERS),
        known => Ok(known),
    };
    Ok([choose(all & 1 != 0, wanted[0])?, choose(all & 2 != 0, wanted[1])?])
}

pub(super) fn le_set_default_phy(medium: &mut Medium, id: ControllerId, mut p: Params<'_>) -> Answer {
    medium.controller(id)?.settings.phys = phys(p.u8(), p.array())?;
    Ok(Vec::new())
}
