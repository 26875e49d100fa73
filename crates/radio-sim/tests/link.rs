//! What happens on links, seen by hosts made by hand.

#[expect(dead_code, reason = "shared with other tests, which need the rest")]
mod bench;

use bench::{Bench, DISCONNECTED, ENCRYPTION_CHANGE, Event, Pair, opcode};
use otaru_radio_sim::{AirConfig, Channel, ControllerConfig, ControllerId};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

fn connected(interval: u16) -> (Bench, Pair) {
    let mut bench = Bench::quiet();
    let (central, peripheral) = (bench.attach(), bench.attach());
    let pair = bench.connect(central, peripheral, interval);
    (bench, pair)
}

fn reason(bench: &mut Bench, id: ControllerId) -> u8 {
    bench.wait(id, DISCONNECTED)[3]
}

#[test]
fn data_arrives_in_pieces_and_is_reported_done() {
    let (mut bench, pair) = connected(6);
    let data: Vec<u8> = (0..100).collect();
    bench.send(pair.central, &data);
    bench.send(pair.peripheral, &data[..5]);
    bench.advance(20_000);
    let packets = bench.take(pair.peripheral.0);
    let acl: Vec<_> = packets.iter().filter(|packet| packet[0] == 2).collect();
    // 27 bytes each, the first one marked as a start.
    assert_eq!(acl.iter().map(|packet| packet[2] >> 4).collect::<Vec<_>>(), [2, 1, 1, 1]);
    assert_eq!(acl.iter().flat_map(|packet| &packet[5..]).copied().collect::<Vec<u8>>(), data);
    assert_eq!(bench.data(pair.central.0), (data[..5].to_vec(), 1));
}

#[test]
fn data_length_goes_up_for_the_side_that_asks() {
    let (mut bench, pair) = connected(6);
    assert_eq!(bench.on(pair.central, opcode::SET_DATA_LENGTH, &[251, 0, 0x48, 0x08]), 0);
    let lengths = |event: Vec<u8>| [2, 4, 6, 8].map(|at| u16::from_le_bytes([event[at], event[at + 1]]));
    assert_eq!(lengths(bench.wait(pair.central.0, Event::Le(0x07))), [251, 2120, 27, 328]);
    assert_eq!(lengths(bench.wait(pair.peripheral.0, Event::Le(0x07))), [27, 328, 251, 2120]);
    bench.send(pair.central, &[7; 251]);
    bench.advance(20_000);
    assert_eq!(bench.take(pair.peripheral.0).len(), 1, "one packet");
    assert_eq!(bench.data(pair.central.0), (vec![], 1));
    assert_eq!(bench.on(pair.central, opcode::SET_DATA_LENGTH, &[26, 0, 0x48, 0x08]), 0x12);
}

#[test]
fn more_packets_than_buffers_are_dropped_with_an_event() {
    let (mut bench, pair) = connected(6);
    (0..9).for_each(|i| bench.send(pair.central, &[i]));
    assert_eq!(bench.events(pair.central.0, Event::Code(0x1a)), [[1]]);
    bench.advance(100_000);
    assert_eq!(bench.data(pair.peripheral.0).0, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(bench.data(pair.central.0).1, 8);
}

#[test]
fn the_reason_of_a_disconnection_reaches_the_other_host() {
    for central_ends in [true, false] {
        let (mut bench, pair) = connected(24);
        let (here, there) =
            if central_ends { (pair.central, pair.peripheral) } else { (pair.peripheral, pair.central) };
        assert_eq!(bench.on(here, opcode::DISCONNECT, &[0x77]), 0x12, "not a reason that hosts may give");
        assert_eq!(bench.on(here, opcode::DISCONNECT, &[0x13]), 0);
        assert_eq!(bench.on(here, opcode::DISCONNECT, &[0x13]), 0x0c, "once");
        assert_eq!((reason(&mut bench, here.0), reason(&mut bench, there.0)), (0x16, 0x13));
        assert_eq!(bench.on(here, opcode::DISCONNECT, &[0x13]), 0x02, "the handle is free");
    }
}

#[test]
fn a_peer_that_vanishes_is_missed_after_the_supervision_timeout() {
    for reset in [true, false] {
        let (mut bench, pair) = connected(24);
        bench.advance(1_000_000);
        if reset {
            assert_eq!(bench.command(pair.central.0, opcode::RESET, &[]), 0);
        } else {
            bench.medium.detach(pair.central.0);
        }
        bench.advance(960_000);
        assert!(bench.events(pair.peripheral.0, DISCONNECTED).is_empty(), "a second has not passed");
        bench.advance(80_000);
        let [event] = &bench.events(pair.peripheral.0, DISCONNECTED)[..] else { panic!("still connected") };
        assert_eq!(event[3], 0x08);
    }
}

#[test]
fn a_lost_connect_request_is_noticed_by_the_central_only() {
    let mut bench = Bench::quiet();
    let (central, peripheral) = (bench.attach(), bench.attach());
    bench.advertise(peripheral);
    assert_eq!(bench.initiate(central, peripheral, 24, 100), 0);
    // The advertisement arrives; what follows it does not.
    while bench.medium.stats().packets == 0 {
        bench.advance(10);
    }
    bench.medium.set_loss(1.0);
    let connected = bench.wait(central, Event::Le(0x01));
    bench.medium.set_loss(0.0);
    assert_eq!(connected[0], 0);
    assert_eq!(reason(&mut bench, central), 0x3e);
    assert!(bench.take(peripheral).is_empty());
    bench.initiate(central, peripheral, 24, 100);
    bench.wait(peripheral, Event::Le(0x01));
}

type OnAir = Rc<RefCell<Vec<(u64, u64)>>>;

/// When packets begin and end.
fn record(bench: &mut Bench) -> OnAir {
    let on_air = OnAir::default();
    let sink = Rc::clone(&on_air);
    bench.medium.set_sniffer(move |packet| {
        if matches!(packet.channel, Channel::Link { .. }) {
            sink.borrow_mut().push((packet.at, packet.at + packet.phy.air_time(packet.pdu.len() - 2)));
        }
    });
    on_air
}

/// All packets are from or to one device: they must not overlap.
fn assert_one_radio(mut on_air: Vec<(u64, u64)>) {
    on_air.sort_unstable();
    let overlap = on_air.windows(2).find(|pair| pair[0].1 > pair[1].0);
    assert_eq!(overlap, None, "a radio does two things at once");
}

#[test]
fn several_centrals_share_a_peripheral_and_none_starves() {
    let mut bench = Bench::quiet();
    let peripheral = bench.attach();
    let pairs: Vec<Pair> = (0..3)
        .map(|_| {
            let central = bench.attach();
            bench.connect(central, peripheral, 12)
        })
        .collect();
    let on_air = record(&mut bench);
    let handles: Vec<u16> = pairs.iter().map(|pair| pair.peripheral.1).collect();
    assert_eq!(handles, [0x40, 0x41, 0x42]);
    let mut received = [0; 3];
    for _ in 0..400 {
        for (i, pair) in pairs.iter().enumerate() {
            let (_, completed) = bench.data(pair.central.0);
            let fresh = if bench.now < 100_000 { 0 } else { completed };
            received[i] += fresh;
            // Keeps eight packets in flight; the first round fills the buffers.
            let more = if received[i] + completed == 0 { 8 } else { completed };
            (0..more).for_each(|_| bench.send(pair.central, &[i as u8; 27]));
        }
        bench.advance(15_000);
        let data = bench.take(peripheral);
        assert!(data.iter().all(|packet| packet[0] == 2), "no link is lost: {data:02x?}");
    }
    // How much each gets depends on how far its anchors lie before the next one's.
    assert!(received.iter().all(|packets| *packets > 500), "{received:?}");
    assert_one_radio(on_air.take());
}

#[test]
fn two_links_of_one_radio_both_live_wherever_their_anchors_lie() {
    for offset in (0..7_500).step_by(125) {
        let mut bench = Bench::quiet();
        let (a, b, c) = (bench.attach(), bench.attach(), bench.attach());
        // A chain: b is the peripheral of a and the central of c.
        let first = bench.connect(a, b, 6);
        bench.advance(offset);
        let second = bench.connect(b, c, 6);
        let on_air = record(&mut bench);
        for _ in 0..12 {
            bench.send(first.central, &[1; 27]);
            bench.send(second.central, &[2; 27]);
            bench.advance(100_000);
            assert_eq!(bench.data(c).0, [2; 27], "offset {offset}");
            assert_eq!(bench.data(a).1, 1, "offset {offset}");
            bench.take(b);
        }
        assert_one_radio(on_air.take());
    }
}

#[test]
fn a_controller_has_no_more_links_than_it_says() {
    let mut bench = Bench::quiet();
    let peripherals: Vec<ControllerId> = (0..8).map(|_| bench.attach()).collect();
    let central = bench.attach();
    for peripheral in &peripherals {
        bench.connect(central, *peripheral, 80);
    }
    assert_eq!(bench.initiate(central, peripherals[0], 80, 100), 0x09);
    bench.advance(5_000_000);
    assert!(bench.take(central).is_empty(), "all eight go on");
    let one = bench.medium.attach(ControllerConfig { max_links: 0, ..ControllerConfig::default() });
    assert_eq!(bench.command(one, opcode::ENABLE_ADVERTISING, &[1]), 0x09);
}

#[test]
fn a_link_is_encrypted_and_then_with_another_key() {
    let (mut bench, pair) = connected(6);
    let done = |bench: &mut Bench, id, code| bench.wait(id, code);
    bench.encrypt(pair, [3; 16], Some([3; 16]));
    for (id, handle) in [pair.central, pair.peripheral] {
        assert_eq!(done(&mut bench, id, ENCRYPTION_CHANGE), [0, handle as u8, 0, 1]);
    }
    bench.send(pair.central, b"one");
    bench.advance(20_000);
    assert_eq!(bench.data(pair.peripheral.0).0, b"one");
    bench.take(pair.central.0);
    bench.encrypt(pair, [4; 16], Some([4; 16]));
    // Encryption Key Refresh Complete.
    for (id, handle) in [pair.central, pair.peripheral] {
        assert_eq!(done(&mut bench, id, Event::Code(0x30)), [0, handle as u8, 0]);
    }
    bench.send(pair.central, b"two");
    bench.send(pair.peripheral, b"three");
    bench.advance(50_000);
    assert_eq!(bench.data(pair.peripheral.0).0, b"two");
    assert_eq!(bench.data(pair.central.0).0, b"three");
}

#[test]
fn data_that_waits_while_keys_change_is_sent_encrypted() {
    let (mut bench, pair) = connected(6);
    let parameters = [[0; 10].as_slice(), &[3; 16]].concat();
    assert_eq!(bench.on(pair.central, opcode::ENABLE_ENCRYPTION, &parameters), 0);
    bench.send(pair.central, b"later");
    bench.send(pair.peripheral, b"early");
    bench.wait(pair.peripheral.0, Event::Le(0x05));
    bench.advance(1_000_000);
    assert!(bench.take(pair.peripheral.0).iter().all(|packet| packet[0] != 2), "data before the key is known");
    assert_eq!(bench.on(pair.peripheral, opcode::LTK, &[3; 16]), 0);
    bench.advance(100_000);
    let later: Vec<_> = bench.take(pair.peripheral.0).into_iter().filter(|packet| packet[0] == 2).collect();
    assert_eq!(later[0][5..], *b"later");
}

#[test]
fn a_missing_key_leaves_the_link_in_clear_and_the_central_informed() {
    let (mut bench, pair) = connected(6);
    bench.encrypt(pair, [3; 16], None);
    assert_eq!(bench.wait(pair.central.0, ENCRYPTION_CHANGE), [0x06, pair.central.1 as u8, 0, 0]);
    bench.send(pair.central, b"clear");
    bench.advance(20_000);
    assert_eq!(bench.data(pair.peripheral.0).0, b"clear");
    assert_eq!(bench.on(pair.peripheral, opcode::LTK, &[3; 16]), 0x0c, "nobody asked");
    assert_eq!(bench.on(pair.peripheral, opcode::ENABLE_ENCRYPTION, &[0; 26]), 0x0c, "not a central");
}

#[test]
fn a_missing_key_ends_a_link_that_was_encrypted() {
    let (mut bench, pair) = connected(6);
    bench.encrypt(pair, [3; 16], Some([3; 16]));
    bench.wait(pair.central.0, ENCRYPTION_CHANGE);
    bench.wait(pair.peripheral.0, ENCRYPTION_CHANGE);
    bench.encrypt(pair, [4; 16], None);
    assert_eq!((reason(&mut bench, pair.central.0), reason(&mut bench, pair.peripheral.0)), (0x06, 0x16));
}

#[test]
fn a_host_that_never_answers_for_the_key_loses_the_link() {
    let (mut bench, pair) = connected(6);
    let parameters = [0; 26];
    assert_eq!(bench.on(pair.central, opcode::ENABLE_ENCRYPTION, &parameters), 0);
    let start = bench.now;
    assert_eq!(reason(&mut bench, pair.central.0), 0x22);
    assert!((40_000_000..41_000_000).contains(&(bench.now - start)), "{} us", bench.now - start);
}

#[test]
fn a_peripheral_gets_new_parameters_if_the_central_host_agrees() {
    let wish: Vec<u8> = [12_u16, 24, 0, 300, 0, 0].iter().flat_map(|field| field.to_le_bytes()).collect();
    for agrees in [true, false] {
        let (mut bench, pair) = connected(40);
        assert_eq!(bench.on(pair.peripheral, opcode::UPDATE_CONNECTION, &wish), 0);
        let request = bench.wait(pair.central.0, Event::Le(0x06));
        assert_eq!(request[2..], wish[..8]);
        let update = Event::Le(0x03);
        if agrees {
            assert_eq!(bench.on(pair.central, opcode::ACCEPT_PARAMETERS, &wish), 0);
            for (id, _) in [pair.central, pair.peripheral] {
                assert_eq!(bench.wait(id, update)[3..], [24, 0, 0, 0, 44, 1]);
            }
            let before = bench.medium.stats().events;
            bench.advance(3_000_000);
            assert_eq!(bench.medium.stats().events - before, 100, "30 ms apart");
        } else {
            assert_eq!(bench.on(pair.central, opcode::REFUSE_PARAMETERS, &[0x3b]), 0);
            assert_eq!(bench.wait(pair.peripheral.0, update)[0], 0x3b);
        }
        assert_eq!(bench.on(pair.central, opcode::REFUSE_PARAMETERS, &[0x3b]), 0x0c, "nobody asks any more");
    }
}

#[test]
fn a_host_that_masks_parameter_requests_has_them_refused() {
    let (mut bench, pair) = connected(40);
    assert_eq!(bench.command(pair.central.0, opcode::LE_SET_EVENT_MASK, &[0x1f, 0, 0, 0, 0, 0, 0, 0]), 0);
    let wish: Vec<u8> = [12_u16, 24, 0, 300, 0, 0].iter().flat_map(|field| field.to_le_bytes()).collect();
    assert_eq!(bench.on(pair.peripheral, opcode::UPDATE_CONNECTION, &wish), 0);
    assert_eq!(bench.wait(pair.peripheral.0, Event::Le(0x03))[0], 0x1a);
}

#[test]
fn either_side_changes_the_phy_and_directions_may_differ() {
    let (mut bench, pair) = connected(6);
    let changed = Event::Le(0x0c);
    // The peripheral wants to send with 2M and receive with 1M.
    assert_eq!(bench.on(pair.peripheral, opcode::SET_PHY, &[0, 2, 1, 0, 0]), 0);
    assert_eq!(bench.wait(pair.peripheral.0, changed)[3..], [2, 1]);
    assert_eq!(bench.wait(pair.central.0, changed)[3..], [1, 2]);
    assert_eq!(bench.on(pair.central, opcode::SET_PHY, &[0, 2, 2, 0, 0]), 0);
    // The peripheral still wants to receive with 1M only.
    assert_eq!(bench.wait(pair.central.0, changed)[3..], [1, 2]);
    assert_eq!(bench.on(pair.central, opcode::SET_PHY, &[0, 4, 4, 0, 0]), 0x11, "coded");
}

#[test]
fn changes_that_both_sides_want_at_once_both_end() {
    let (mut bench, pair) = connected(6);
    assert_eq!(bench.on(pair.central, opcode::SET_PHY, &[0, 2, 2, 0, 0]), 0);
    assert_eq!(bench.on(pair.peripheral, opcode::SET_PHY, &[0, 1, 1, 0, 0]), 0);
    bench.advance(1_000_000);
    let ends = [pair.central, pair.peripheral].map(|(id, _)| bench.events(id, Event::Le(0x0c)));
    assert_eq!(ends[0].len(), 1, "{ends:02x?}");
    assert_eq!(ends[1][0][0], 0x23, "the peripheral's collides: {ends:02x?}");
    // Nothing is stuck: the next change works.
    assert_eq!(bench.on(pair.peripheral, opcode::SET_PHY, &[0, 2, 2, 0, 0]), 0);
    assert_eq!(bench.wait(pair.peripheral.0, Event::Le(0x0c))[3..], [2, 2]);
}

#[test]
fn features_and_version_of_the_peer_can_be_read_again_and_again() {
    let (mut bench, pair) = connected(6);
    for end in [pair.central, pair.peripheral, pair.central] {
        assert_eq!(bench.on(end, opcode::READ_REMOTE_FEATURES, &[]), 0);
        assert_eq!(bench.wait(end.0, Event::Le(0x04))[3..], [0x2f, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bench.on(end, opcode::READ_REMOTE_VERSION, &[]), 0);
        assert_eq!(bench.wait(end.0, Event::Code(0x0c))[3..], [9, 0xff, 0xff, 0, 0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever gets lost, data arrives once and in order, in clear and encrypted.
    #[test]
    fn data_arrives_once_and_in_order_whatever_gets_lost(seed: u64, loss in 0.0..0.35, encrypted: bool) {
        let mut bench = Bench::new(AirConfig { seed, ..AirConfig::default() });
        let (central, peripheral) = (bench.attach(), bench.attach());
        let pair = bench.connect(central, peripheral, 6);
        if encrypted {
            bench.encrypt(pair, [5; 16], Some([5; 16]));
            bench.wait(central, ENCRYPTION_CHANGE);
            bench.wait(peripheral, ENCRYPTION_CHANGE);
        }
        // A link that is just being made may fail to be.
        bench.advance(100_000);
        bench.medium.set_loss(loss);
        let mut expected = (Vec::new(), Vec::new());
        let mut arrived = (Vec::new(), Vec::new());
        for i in 0..10 {
            let (down, up) = (vec![i; 100], vec![i; 30]);
            bench.send(pair.central, &down);
            bench.send(pair.peripheral, &up);
            expected.0.extend(down);
            expected.1.extend(up);
            bench.advance(400_000);
            arrived.0.extend(bench.data(peripheral).0);
            arrived.1.extend(bench.data(central).0);
        }
        prop_assert_eq!(arrived, expected);
    }
}
