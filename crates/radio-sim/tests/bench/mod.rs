//! Hosts made by hand: HCI packets in, HCI packets out, no clock but the medium's.

use otaru_radio_sim::{AirConfig, ControllerConfig, ControllerId, Entropy, Medium};

pub(crate) mod opcode {
    pub(crate) const DISCONNECT: u16 = 0x0406;
    pub(crate) const READ_REMOTE_VERSION: u16 = 0x041d;
    pub(crate) const SET_EVENT_MASK: u16 = 0x0c01;
    pub(crate) const RESET: u16 = 0x0c03;
    pub(crate) const LE_SET_EVENT_MASK: u16 = 0x2001;
    pub(crate) const SET_RANDOM_ADDRESS: u16 = 0x2005;
    pub(crate) const SET_ADVERTISING_PARAMETERS: u16 = 0x2006;
    pub(crate) const SET_ADVERTISING_DATA: u16 = 0x2008;
    pub(crate) const SET_SCAN_RESPONSE: u16 = 0x2009;
    pub(crate) const ENABLE_ADVERTISING: u16 = 0x200a;
    pub(crate) const SET_SCAN_PARAMETERS: u16 = 0x200b;
    pub(crate) const ENABLE_SCAN: u16 = 0x200c;
    pub(crate) const CREATE_CONNECTION: u16 = 0x200d;
    pub(crate) const CANCEL_CONNECTION: u16 = 0x200e;
    pub(crate) const ADD_TO_ACCEPT_LIST: u16 = 0x2011;
    pub(crate) const UPDATE_CONNECTION: u16 = 0x2013;
    pub(crate) const READ_REMOTE_FEATURES: u16 = 0x2016;
    pub(crate) const ENABLE_ENCRYPTION: u16 = 0x2019;
    pub(crate) const LTK: u16 = 0x201a;
    pub(crate) const NO_LTK: u16 = 0x201b;
    pub(crate) const ACCEPT_PARAMETERS: u16 = 0x2020;
    pub(crate) const REFUSE_PARAMETERS: u16 = 0x2021;
    pub(crate) const SET_DATA_LENGTH: u16 = 0x2022;
    pub(crate) const SET_PHY: u16 = 0x2032;
}

pub(crate) struct Bench {
    pub(crate) medium: Medium,
    pub(crate) now: u64,
}

/// A connection: the central's and the peripheral's controller and handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) central: (ControllerId, u16),
    pub(crate) peripheral: (ControllerId, u16),
}

impl Bench {
    pub(crate) fn new(config: AirConfig) -> Self {
        Self { medium: Medium::new(config), now: 0 }
    }

    pub(crate) fn quiet() -> Self {
        Self::new(AirConfig { entropy: Entropy::Seeded(9), ..AirConfig::default() })
    }

    /// A controller whose host wants to see everything.
    pub(crate) fn attach(&mut self) -> ControllerId {
        let id = self.medium.attach(ControllerConfig::default());
        assert_eq!(self.command(id, opcode::SET_EVENT_MASK, &[0xff; 8]), 0);
        // All but the enhanced connection complete event.
        let mask = !(1_u64 << 9);
        assert_eq!(self.command(id, opcode::LE_SET_EVENT_MASK, &mask.to_le_bytes()), 0);
        id
    }

    /// Sends a command; its status.
    pub(crate) fn command(&mut self, id: ControllerId, opcode: u16, parameters: &[u8]) -> u8 {
        let answer = self.answer(id, opcode, parameters);
        if answer[1] == 0x0f { answer[3] } else { answer[6] }
    }

    /// Sends a command; the event that answers it. Earlier events stay in the queue's order behind it.
    pub(crate) fn answer(&mut self, id: ControllerId, opcode: u16, parameters: &[u8]) -> Vec<u8> {
        assert!(!self.medium.has_packet(id), "read what {id:?} has first");
        let [low, high] = opcode.to_le_bytes();
        let packet = [&[1, low, high, parameters.len() as u8], parameters].concat();
        self.medium.host_packet(id, &packet).unwrap();
        self.medium.take_packet(id).expect("every command is answered")
    }

    pub(crate) fn advance(&mut self, micros: u64) {
        self.now += micros;
        self.medium.advance(self.now);
    }

    /// All packets for a host.
    pub(crate) fn take(&mut self, id: ControllerId) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.medium.take_packet(id)).collect()
    }

    /// The parameters of all events with this code, or of LE events with this subevent; others are thrown away.
    pub(crate) fn events(&mut self, id: ControllerId, code: Event) -> Vec<Vec<u8>> {
        let matches = |packet: &Vec<u8>| match code {
            Event::Code(code) => packet[..2] == [4, code],
            Event::Le(subevent) => packet[..2] == [4, 0x3e] && packet[3] == subevent,
        };
        let skip = if matches!(code, Event::Le(_)) { 4 } else { 3 };
        self.take(id).into_iter().filter(matches).map(|packet| packet[skip..].to_vec()).collect()
    }

    /// Host data that arrived, in its order, and how many packets of ours are done.
    pub(crate) fn data(&mut self, id: ControllerId) -> (Vec<u8>, usize) {
        let (mut data, mut completed) = (Vec::new(), 0);
        for packet in self.take(id) {
            match packet[..2] {
                [2, _] => data.extend_from_slice(&packet[5..]),
                [4, 0x13] => completed += usize::from(packet[6]),
                _ => panic!("neither data nor completed packets: {packet:02x?}"),
            }
        }
        (data, completed)
    }

    /// Sends host data as the start of an L2CAP PDU.
    pub(crate) fn send(&mut self, (id, handle): (ControllerId, u16), data: &[u8]) {
        let header = [handle.to_le_bytes(), (data.len() as u16).to_le_bytes()].concat();
        self.medium.host_packet(id, &[&[2], header.as_slice(), data].concat()).unwrap();
    }

    pub(crate) fn advertise(&mut self, id: ControllerId) {
        let interval = 32_u16.to_le_bytes();
        let parameters = [&interval, &interval, [0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0].as_slice()].concat();
        assert_eq!(self.command(id, opcode::SET_ADVERTISING_PARAMETERS, &parameters), 0);
        assert_eq!(self.command(id, opcode::ENABLE_ADVERTISING, &[1]), 0);
    }

    /// Starts to look for `peer`; `interval` in units of 1.25 ms, `timeout` of 10 ms.
    pub(crate) fn initiate(&mut self, id: ControllerId, peer: ControllerId, interval: u16, timeout: u16) -> u8 {
        let address = self.medium.address(peer);
        let fields = |fields: &[u16]| fields.iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<u8>>();
        let mut parameters = fields(&[16, 16]);
        parameters.extend_from_slice(&[0, 0]);
        parameters.extend_from_slice(&address);
        parameters.push(0);
        parameters.extend(fields(&[interval, interval, 0, timeout, 0, 0]));
        self.command(id, opcode::CREATE_CONNECTION, &parameters)
    }

    pub(crate) fn connect(&mut self, central: ControllerId, peripheral: ControllerId, interval: u16) -> Pair {
        self.advertise(peripheral);
        assert_eq!(self.initiate(central, peripheral, interval, 100), 0);
        for _ in 0..1000 {
            self.advance(1000);
            if self.medium.has_packet(central) {
                break;
            }
        }
        let handle = |bench: &mut Self, id, role| {
            let events = bench.events(id, Event::Le(0x01));
            let [event] = events.as_slice() else { panic!("{events:02x?}") };
            assert_eq!((event[0], event[3]), (0, role));
            u16::from_le_bytes([event[1], event[2]])
        };
        let central = (central, handle(self, central, 0));
        Pair { central, peripheral: (peripheral, handle(self, peripheral, 1)) }
    }

    /// A command that begins with a connection handle.
    pub(crate) fn on(&mut self, (id, handle): (ControllerId, u16), opcode: u16, parameters: &[u8]) -> u8 {
        self.command(id, opcode, &[&handle.to_le_bytes(), parameters].concat())
    }

    /// Encrypts with the keys that both hosts think are right; `None`: the peripheral's host knows none.
    pub(crate) fn encrypt(&mut self, pair: Pair, central: [u8; 16], peripheral: Option<[u8; 16]>) {
        let parameters = [[1; 8].as_slice(), &[2; 2], &central].concat();
        assert_eq!(self.on(pair.central, opcode::ENABLE_ENCRYPTION, &parameters), 0);
        let request = self.wait(pair.peripheral.0, Event::Le(0x05));
        assert_eq!(request[2..], [[1; 8].as_slice(), &[2; 2]].concat(), "rand and ediv");
        let status = match peripheral {
            Some(key) => self.on(pair.peripheral, opcode::LTK, &key),
            None => self.on(pair.peripheral, opcode::NO_LTK, &[]),
        };
        assert_eq!(status, 0);
    }

    /// Lets time pass until there is such an event, and returns its parameters. Other events are thrown away.
    pub(crate) fn wait(&mut self, id: ControllerId, code: Event) -> Vec<u8> {
        for _ in 0..100_000 {
            if let Some(event) = self.events(id, code).pop() {
                return event;
            }
            self.advance(1000);
        }
        panic!("no {code:?} within 100 s");
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Code(u8),
    Le(u8),
}

pub(crate) const DISCONNECTED: Event = Event::Code(0x05);
pub(crate) const ENCRYPTION_CHANGE: Event = Event::Code(0x08);
