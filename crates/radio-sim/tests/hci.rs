//! What controllers say to commands, right and wrong ones.

#[expect(dead_code, reason = "shared with other tests, which need the rest")]
mod bench;

use bench::{Bench, Event, opcode};
use bt_hci::FromHciBytes;
use bt_hci::param::CmdMask;
use otaru_radio_sim::{ControllerId, NotAPacket};
use proptest::prelude::*;

#[test]
fn unknown_commands_and_wrong_lengths_have_their_errors() {
    let mut bench = Bench::quiet();
    let id = bench.attach();
    // Command Status: status, credits, opcode.
    assert_eq!(bench.answer(id, 0x2036, &[0; 25]), [4, 0x0f, 4, 0x01, 1, 0x36, 0x20]);
    assert_eq!(bench.answer(id, opcode::DISCONNECT, &[0]), [4, 0x0f, 4, 0x12, 1, 0x06, 0x04]);
    // Command Complete: credits, opcode, status.
    assert_eq!(bench.answer(id, opcode::RESET, &[0]), [4, 0x0e, 4, 1, 0x03, 0x0c, 0x12]);
    // With a handle that names no link.
    assert_eq!(bench.answer(id, 0x2030, &[0x40, 0]), [4, 0x0e, 8, 1, 0x30, 0x20, 0x02, 0x40, 0, 0, 0]);
}

#[test]
fn supported_commands_are_those_that_work() {
    let mut bench = Bench::quiet();
    let id = bench.attach();
    let answer = bench.answer(id, 0x1002, &[]);
    let (mask, rest) = <&CmdMask>::from_hci_bytes(&answer[7..]).unwrap();
    assert!(rest.is_empty());
    let works = [
        mask.disconnect(),
        mask.read_remote_version_information(),
        mask.set_event_mask(),
        mask.reset(),
        mask.host_buffer_size(),
        mask.set_event_mask_page_2(),
        mask.read_local_version_information(),
        mask.read_local_supported_features(),
        mask.read_buffer_size(),
        mask.read_bd_addr(),
        mask.read_rssi(),
        mask.le_set_random_addr(),
        mask.le_set_adv_enable(),
        mask.le_create_conn_cancel(),
        mask.le_remove_device_from_filter_accept_list(),
        mask.le_conn_update(),
        mask.le_encrypt(),
        mask.le_rand(),
        mask.le_long_term_key_request_negative_reply(),
        mask.le_remote_conn_parameter_request_reply(),
        mask.le_set_data_length(),
        mask.le_write_suggested_default_data_length(),
        mask.le_add_device_to_resolving_list(),
        mask.le_set_addr_resolution_enable(),
        mask.le_read_maximum_data_length(),
        mask.le_set_phy(),
        mask.le_set_privacy_mode(),
    ];
    assert_eq!(works, [true; 27]);
    let other = [mask.le_set_ext_adv_enable(), mask.le_generate_dhkey_v1(), mask.inquiry(), mask.le_receiver_test_v1()];
    assert_eq!(other, [false; 4]);
}

#[test]
fn what_depends_on_a_state_is_disallowed_in_the_wrong_one() {
    let mut bench = Bench::quiet();
    let (id, other) = (bench.attach(), bench.attach());
    assert_eq!(bench.command(id, opcode::CANCEL_CONNECTION, &[]), 0x0c);
    bench.advertise(id);
    assert_eq!(bench.command(id, opcode::SET_RANDOM_ADDRESS, &[1; 6]), 0x0c);
    assert_eq!(bench.command(id, opcode::SET_ADVERTISING_PARAMETERS, &[0; 15]), 0x0c);
    assert_eq!(bench.initiate(other, id, 24, 100), 0);
    assert_eq!(bench.initiate(other, id, 24, 100), 0x0c);
    // Supervision shorter than two intervals.
    assert_eq!(bench.initiate(id, other, 3200, 100), 0x12);
}

#[test]
fn an_address_that_was_never_set_cannot_be_used() {
    let mut bench = Bench::quiet();
    let id = bench.attach();
    let random = |own| [32, 0, 32, 0, 0, own, 0, 0, 0, 0, 0, 0, 0, 7, 0];
    assert_eq!(bench.command(id, opcode::SET_ADVERTISING_PARAMETERS, &random(1)), 0);
    assert_eq!(bench.command(id, opcode::ENABLE_ADVERTISING, &[1]), 0x12);
    assert_eq!(bench.command(id, opcode::SET_RANDOM_ADDRESS, &[1, 2, 3, 4, 5, 0xc0]), 0);
    assert_eq!(bench.command(id, opcode::ENABLE_ADVERTISING, &[1]), 0);
    assert_eq!(bench.command(id, opcode::ENABLE_ADVERTISING, &[0]), 0);
    assert_eq!(bench.command(id, opcode::SET_ADVERTISING_PARAMETERS, &random(2)), 0x11, "resolvable");
}

fn reports(bench: &mut Bench, id: ControllerId) -> Vec<(u8, Vec<u8>)> {
    let reports = bench.events(id, Event::Le(0x02));
    reports.iter().map(|report| (report[1], report[10..report.len() - 1].to_vec())).collect()
}

/// An advertiser with data, and a scanner.
fn in_sight(active: u8, interval: u16, window: u16) -> (Bench, ControllerId, ControllerId) {
    let mut bench = Bench::quiet();
    let (device, scanner) = (bench.attach(), bench.attach());
    let data = |text: &[u8]| {
        let mut data = [0; 32];
        data[0] = text.len() as u8;
        data[1..=text.len()].copy_from_slice(text);
        data
    };
    assert_eq!(bench.command(device, opcode::SET_ADVERTISING_DATA, &data(b"adv")), 0);
    assert_eq!(bench.command(device, opcode::SET_SCAN_RESPONSE, &data(b"response")), 0);
    bench.advertise(device);
    let windows = [interval.to_le_bytes(), window.to_le_bytes()].concat();
    let parameters = [&[active], windows.as_slice(), &[0, 0]].concat();
    assert_eq!(bench.command(scanner, opcode::SET_SCAN_PARAMETERS, &parameters), 0);
    (bench, device, scanner)
}

#[test]
fn a_scanner_hears_and_an_active_one_asks() {
    for active in [0, 1] {
        let (mut bench, _, scanner) = in_sight(active, 16, 16);
        assert_eq!(bench.command(scanner, opcode::ENABLE_SCAN, &[1, 1]), 0);
        bench.advance(1_000_000);
        let mut expected = vec![(0, b"adv".to_vec())];
        expected.extend((active == 1).then(|| (4, b"response".to_vec())));
        assert_eq!(reports(&mut bench, scanner), expected, "once each");
        assert_eq!(bench.command(scanner, opcode::ENABLE_SCAN, &[0, 0]), 0);
        bench.advance(1_000_000);
        assert!(bench.take(scanner).is_empty());
    }
}

#[test]
fn a_scanner_that_listens_less_hears_less() {
    let heard = [16, 160].map(|interval| {
        let (mut bench, _, scanner) = in_sight(0, interval, 16);
        assert_eq!(bench.command(scanner, opcode::ENABLE_SCAN, &[1, 0]), 0);
        bench.advance(5_000_000);
        reports(&mut bench, scanner).len()
    });
    assert!(heard[0] > 150 && heard[1] > 0 && heard[1] < heard[0] / 5, "{heard:?}");
}

#[test]
fn a_host_that_does_not_read_loses_reports_and_nothing_else() {
    let (mut bench, device, scanner) = in_sight(0, 16, 16);
    assert_eq!(bench.command(scanner, opcode::ENABLE_SCAN, &[1, 0]), 0);
    bench.advance(20_000_000);
    bench.initiate_behind(scanner, device);
    bench.advance(1_000_000);
    let packets = bench.take(scanner);
    assert!(packets.len() < 300, "{} packets", packets.len());
    let connected = |packet: &Vec<u8>| packet[1] == 0x3e && packet[3] == 1;
    assert_eq!(packets.iter().filter(|packet| connected(packet)).count(), 1);
}

#[test]
fn a_cancelled_connection_is_told_as_one_that_failed() {
    let mut bench = Bench::quiet();
    let (id, nobody) = (bench.attach(), bench.attach());
    assert_eq!(bench.initiate(id, nobody, 24, 100), 0);
    bench.advance(1_000_000);
    assert_eq!(bench.command(id, opcode::CANCEL_CONNECTION, &[]), 0);
    bench.advance(0);
    assert_eq!(bench.events(id, Event::Le(0x01))[0][0], 0x02);
    bench.connect(id, nobody, 24);
}

#[test]
fn a_central_connects_to_any_device_on_its_accept_list_and_no_other() {
    let mut bench = Bench::quiet();
    let (central, listed, other) = (bench.attach(), bench.attach(), bench.attach());
    bench.advertise(other);
    let address = bench.medium.address(listed);
    assert_eq!(bench.command(central, opcode::ADD_TO_ACCEPT_LIST, &[&[0], address.as_slice()].concat()), 0);
    let mut parameters = [0; 25];
    parameters[..5].copy_from_slice(&[16, 0, 16, 0, 1]);
    parameters[13..21].copy_from_slice(&[24, 0, 24, 0, 0, 0, 100, 0]);
    assert_eq!(bench.command(central, opcode::CREATE_CONNECTION, &parameters), 0);
    assert_eq!(bench.command(central, opcode::ADD_TO_ACCEPT_LIST, &[0; 7]), 0x0c, "in use");
    bench.advance(1_000_000);
    assert!(bench.take(central).is_empty());
    bench.advertise(listed);
    assert_eq!(bench.wait(central, Event::Le(0x01))[5..11], address);
}

#[test]
fn masked_events_are_not_told() {
    let mut bench = Bench::quiet();
    let (central, peripheral) = (bench.attach(), bench.attach());
    let pair = bench.connect(central, peripheral, 24);
    // Everything but Disconnection Complete.
    assert_eq!(bench.command(central, opcode::SET_EVENT_MASK, &(!(1_u64 << 4)).to_le_bytes()), 0);
    assert_eq!(bench.on(pair.central, opcode::DISCONNECT, &[0x13]), 0);
    bench.advance(2_000_000);
    assert!(bench.take(central).is_empty());
    assert_eq!(bench.take(peripheral).len(), 1);
}

#[test]
fn bytes_that_are_no_packet_are_refused_in_words() {
    let mut bench = Bench::quiet();
    let id = bench.attach();
    let mut refused = |bytes: &[u8]| bench.medium.host_packet(id, bytes).unwrap_err();
    insta::assert_snapshot!(refused(&[]), @"the HCI packet has 0 bytes and its header asks for 1");
    insta::assert_snapshot!(refused(&[4, 0x0e, 0]), @"0x04 is not the indicator of a packet that a controller takes");
    insta::assert_snapshot!(refused(&[1, 3, 0x0c]), @"the HCI packet has 3 bytes and its header asks for 4");
    insta::assert_snapshot!(refused(&[2, 0x40, 0, 5, 0, 1, 2]), @"the HCI packet has 7 bytes and its header asks for 10");
    assert_eq!(refused(&[1, 3, 0x0c, 0, 9]), NotAPacket::Length { found: 5, expected: 4 });
    assert_eq!(bench.command(id, opcode::RESET, &[]), 0);
}

impl Bench {
    /// Starts to look for `peer` although there are packets to read.
    fn initiate_behind(&mut self, id: ControllerId, peer: ControllerId) {
        let mut parameters = vec![16, 0, 16, 0, 0, 0];
        parameters.extend_from_slice(&self.medium.address(peer));
        parameters.extend_from_slice(&[0, 24, 0, 24, 0, 0, 0, 100, 0, 0, 0, 0, 0]);
        self.medium.host_packet(id, &[&[1, 0x0d, 0x20, 25], parameters.as_slice()].concat()).unwrap();
    }
}

/// What a broken host may send: anything, or known commands and data with any parameters.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let command = (prop_oneof![Just(4_u8), Just(8), Just(12), Just(32)], 0..0x50_u8, bytes())
        .prop_map(|(high, low, parameters)| [&[1, low, high, parameters.len() as u8], parameters.as_slice()].concat());
    // With a handle that may be one of a link.
    let on_link = (prop_oneof![Just(4_u8), Just(32)], 0..0x50_u8, bytes()).prop_map(|(high, low, parameters)| {
        [&[1, low, high, parameters.len() as u8 + 2, 0x40, 0], parameters.as_slice()].concat()
    });
    let data = (0..4_u8, bytes())
        .prop_map(|(flags, data)| [&[2, 0x40, flags << 4, data.len() as u8, 0], data.as_slice()].concat());
    prop_oneof![bytes(), command, on_link, data]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_of_any_host_stop_a_controller(
        packets in proptest::collection::vec((0..3_usize, packet(), 0..40_000_u64), 0..60),
    ) {
        let mut bench = Bench::quiet();
        let ids = [bench.attach(), bench.attach(), bench.attach()];
        bench.connect(ids[0], ids[1], 6);
        for (who, packet, pause) in packets {
            let _ = bench.medium.host_packet(ids[who], &packet);
            bench.advance(pause);
            bench.take(ids[who]);
        }
        bench.advance(1_000_000);
        for id in ids {
            bench.take(id);
            prop_assert_eq!(bench.command(id, opcode::RESET, &[]), 0);
        }
    }
}
