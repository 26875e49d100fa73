//! HCI commands: one table of what there is, and how each is answered (Core Specification Vol 4 Part E, 7).

mod connection;
mod discovery;
mod setup;

use crate::hci::{Packet, Params, Status, event};
use crate::medium::{ControllerId, Medium};

/// Does what a command asks for. Returns what stands behind the status in its answer.
type Handler = fn(&mut Medium, ControllerId, Params<'_>) -> Result<Vec<u8>, Status>;

/// How a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Command Complete with this many bytes behind the status.
    Complete(usize),
    /// Command Complete with the connection handle of the command and this many bytes behind the status.
    Handle(usize),
    /// Command Status; events follow.
    Status,
    /// Nothing, unless something is wrong.
    Silent,
}

struct Command {
    opcode: u16,
    /// Bytes of its parameters; `None`: as many as the command itself says.
    len: Option<usize>,
    answer: Answer,
    /// Octet and bit in Supported_Commands (6.27); the command that reads these has none.
    bit: Option<(usize, u8)>,
    run: Handler,
}

const fn command(opcode: u16, len: usize, answer: Answer, bit: (usize, u8), run: Handler) -> Command {
    Command { opcode, len: Some(len), answer, bit: Some(bit), run }
}

/// All commands. What is not here is unknown, and no bit of Supported_Commands says otherwise.
const COMMANDS: &[Command] = {
    use Answer::{Complete, Handle, Silent, Status};
    use connection as c;
    use discovery as d;
    use setup as s;
    &[
        command(0x0406, 3, Status, (0, 5), c::disconnect),
        command(0x041d, 2, Status, (2, 7), c::read_remote_version),
        command(0x0c01, 8, Complete(0), (5, 6), s::set_event_mask),
        command(0x0c03, 0, Complete(0), (5, 7), s::reset),
        command(0x0c31, 1, Complete(0), (10, 5), s::set_host_flow_control),
        command(0x0c33, 7, Complete(0), (10, 6), s::accept),
        Command { opcode: 0x0c35, len: None, answer: Silent, bit: Some((10, 7)), run: s::accept },
        command(0x0c63, 8, Complete(0), (22, 2), s::accept),
        command(0x1001, 0, Complete(8), (14, 3), s::read_local_version),
        Command { opcode: 0x1002, len: Some(0), answer: Complete(64), bit: None, run: s::read_supported_commands },
        command(0x1003, 0, Complete(8), (14, 5), s::read_local_features),
        command(0x1005, 0, Complete(7), (14, 7), s::read_buffer_size),
        command(0x1009, 0, Complete(6), (15, 1), s::read_address),
        command(0x1405, 2, Handle(1), (15, 5), c::read_rssi),
        command(0x2001, 8, Complete(0), (25, 0), s::le_set_event_mask),
        command(0x2002, 0, Complete(3), (25, 1), s::le_read_buffer_size),
        command(0x2003, 0, Complete(8), (25, 2), s::le_read_features),
        command(0x2005, 6, Complete(0), (25, 4), d::set_random_address),
        command(0x2006, 15, Complete(0), (25, 5), d::set_advertising_parameters),
        command(0x2007, 0, Complete(1), (25, 6), d::read_advertising_power),
        command(0x2008, 32, Complete(0), (25, 7), d::set_advertising_data),
        command(0x2009, 32, Complete(0), (26, 0), d::set_scan_response),
        command(0x200a, 1, Complete(0), (26, 1), d::enable_advertising),
        command(0x200b, 7, Complete(0), (26, 2), d::set_scan_parameters),
        command(0x200c, 2, Complete(0), (26, 3), d::enable_scan),
        command(0x200d, 25, Status, (26, 4), d::create_connection),
        command(0x200e, 0, Complete(0), (26, 5), d::cancel_connection),
        command(0x200f, 0, Complete(1), (26, 6), d::read_accept_list_size),
        command(0x2010, 0, Complete(0), (26, 7), d::clear_accept_list),
        command(0x2011, 7, Complete(0), (27, 0), d::add_to_accept_list),
        command(0x2012, 7, Complete(0), (27, 1), d::remove_from_accept_list),
        command(0x2013, 14, Status, (27, 2), c::update_connection),
        command(0x2014, 5, Complete(0), (27, 3), s::accept),
        command(0x2015, 2, Handle(5), (27, 4), c::read_channel_map),
        command(0x2016, 2, Status, (27, 5), c::read_remote_features),
        command(0x2017, 32, Complete(16), (27, 6), s::le_encrypt),
        command(0x2018, 0, Complete(8), (27, 7), s::le_rand),
        command(0x2019, 28, Status, (28, 0), c::enable_encryption),
        command(0x201a, 18, Handle(0), (28, 1), c::long_term_key),
        command(0x201b, 2, Handle(0), (28, 2), c::no_long_term_key),
        command(0x201c, 0, Complete(8), (28, 3), s::le_read_states),
        command(0x2020, 14, Handle(0), (33, 4), c::accept_parameters),
        command(0x2021, 3, Handle(0), (33, 5), c::refuse_parameters),
        command(0x2022, 6, Handle(0), (33, 6), c::set_data_length),
        command(0x2023, 0, Complete(4), (33, 7), s::le_read_default_length),
        command(0x2024, 4, Complete(0), (34, 0), s::le_write_default_length),
        command(0x2027, 39, Complete(0), (34, 3), d::add_to_resolving_list),
        command(0x2028, 7, Complete(0), (34, 4), d::remove_from_resolving_list),
        command(0x2029, 0, Complete(0), (34, 5), d::clear_resolving_list),
        command(0x202a, 0, Complete(1), (34, 6), d::read_resolving_list_size),
        command(0x202b, 7, Complete(6), (34, 7), d::read_resolvable_address),
        command(0x202c, 7, Complete(6), (35, 0), d::read_resolvable_address),
        command(0x202d, 1, Complete(0), (35, 1), d::enable_address_resolution),
        command(0x202e, 2, Complete(0), (35, 2), d::set_resolvable_timeout),
        command(0x202f, 0, Complete(8), (35, 3), s::le_read_maximum_length),
        command(0x2030, 2, Handle(2), (35, 4), c::read_phy),
        command(0x2031, 3, Complete(0), (35, 5), s::le_set_default_phy),
        command(0x2032, 7, Status, (35, 6), c::set_phy),
        command(0x204e, 8, Complete(0), (39, 2), d::set_privacy_mode),
    ]
};

/// The bits of all commands in the table.
fn supported_commands() -> [u8; 64] {
    let mut bits = [0; 64];
    for (octet, bit) in COMMANDS.iter().filter_map(|command| command.bit) {
        bits[octet] |= 1 << bit;
    }
    bits
}

impl Medium {
    /// Does a host's command and answers it. Commands are done at once, so a host may always send the next.
    pub(crate) fn command(&mut self, id: ControllerId, opcode: u16, parameters: &[u8]) {
        if !self.controllers.contains_key(&id) {
            return;
        }
        let Some(command) = COMMANDS.iter().find(|command| command.opcode == opcode) else {
            return self.reply(id, status(opcode, Status::UNKNOWN_COMMAND));
        };
        let fits = command.len.is_none_or(|len| len == parameters.len());
        let result = if fits { (command.run)(self, id, Params(parameters)) } else { Err(Status::INVALID_PARAMETERS) };
        let why = result.as_ref().err().copied().unwrap_or(Status::SUCCESS);
        let complete = |handle: &[u8], len| {
            let mut returned = result.as_ref().cloned().unwrap_or_default();
            returned.resize(len, 0);
            let event = Packet::event(event::COMMAND_COMPLETE).u8(CREDITS).u16(opcode).status(why);
            event.bytes(handle).bytes(&returned)
        };
        match command.answer {
            Answer::Complete(len) => self.reply(id, complete(&[], len)),
            Answer::Handle(len) => self.reply(id, complete(&Params(parameters).array::<2>(), len)),
            Answer::Status => self.reply(id, status(opcode, why)),
            Answer::Silent if result.is_err() => self.reply(id, complete(&[], 0)),
            Answer::Silent => {}
        }
        // What the command set in motion is told after its answer.
        let links: Vec<_> = self.links.keys().copied().collect();
        links.into_iter().for_each(|link| self.settle(link));
    }

    fn reply(&mut self, id: ControllerId, packet: Packet) {
        if let Some(controller) = self.controllers.get_mut(&id) {
            controller.push(packet);
        }
    }

    /// Takes an ACL data packet of a host. `handle` has the flags in its upper bits.
    pub(crate) fn acl(&mut self, id: ControllerId, handle: u16, data: &[u8]) {
        let Some(controller) = self.controllers.get_mut(&id) else { return };
        let (len, room) = (usize::from(controller.config.acl_len), usize::from(controller.config.acl_packets));
        let used: usize = self.ends_of(id).map(crate::link::End::acl_packets).sum();
        let Some((link, role)) = self.find_link(id, handle & 0x0fff) else {
            // For a link that ended while this was on its way.
            return;
        };
        if data.len() > len || used >= room {
            return self.reply(id, Packet::event(event::BUFFER_OVERFLOW).u8(ACL_BUFFERS));
        }
        let continues = handle >> 12 & 0b11 == 0b01;
        self.with_end(link, role, |end, _| end.send(!continues, data));
    }
}

fn status(opcode: u16, why: Status) -> Packet {
    Packet::event(event::COMMAND_STATUS).status(why).u8(CREDITS).u16(opcode)
}

/// Commands that a host may send before the next answer.
const CREDITS: u8 = 1;
/// The kind of buffer, in Data Buffer Overflow.
const ACL_BUFFERS: u8 = 1;
