//! Both roles of trouble-host over the simulated air, in virtual time.

mod support;

use bt_hci::param::PhyKind;
use embassy_time::Duration;
use otaru_radio_sim::{AirConfig, Channel, ControllerConfig, Entropy, Phy, link_limit};
use std::cell::RefCell;
use std::rc::Rc;
use support::{Outcome, Scenario, play};

const AUTHENTICATED: &str = "EncryptedAuthenticated";

fn quietly(scenario: &Scenario) -> Outcome {
    play(scenario, |_| {})
}

#[test]
fn an_unpaired_client_is_refused_then_pairs_by_passkey_and_transfers() {
    let outcome = quietly(&Scenario::default());
    insta::assert_snapshot!(outcome.refused, @"Some(BleHost(Att(AttErrorCode { value: 5 })))");
    assert_eq!(outcome.paired, AUTHENTICATED);
    assert_eq!(outcome.received, 20 * 244);
    assert_eq!(outcome.stats.mic_failures, 0);
}

#[test]
fn a_wrong_passkey_does_not_pair() {
    let outcome = quietly(&Scenario { passkey_error: 1, ..Scenario::default() });
    insta::assert_snapshot!(outcome.paired, @"Security(ConfirmValueFailed)");
    assert_eq!(outcome.received, 0);
}

#[test]
fn a_bonded_client_is_encrypted_again_without_a_passkey() {
    let outcome = quietly(&Scenario { reconnect: Some(0), ..Scenario::default() });
    assert_eq!(outcome.reconnected, AUTHENTICATED);
    assert!(outcome.reconnect < 200_000, "{} us", outcome.reconnect);
}

/// The end that receives what was encrypted with another key leaves at once and without a word (Vol 6 Part B, 5.1.3.1):
/// the other one can only find that nobody answers any more.
#[test]
fn one_wrong_bit_of_the_long_term_key_ends_the_link_by_mic_failure() {
    let outcome = quietly(&Scenario { reconnect: Some(1 << 77), ..Scenario::default() });
    assert_eq!(outcome.stats.mic_failures, 1);
    insta::assert_snapshot!(outcome.device_disconnects[1], @"Connection Terminated due to MIC Failure");
    insta::assert_snapshot!(outcome.reconnected, @"Connection Timeout");
}

#[test]
fn what_is_sniffed_on_an_encrypted_link_is_ciphertext() {
    let heard = Rc::new(RefCell::new((0, 0, 0)));
    let sink = Rc::clone(&heard);
    let outcome = play(&Scenario::default(), |air| {
        air.set_sniffer(move |packet| {
            let mut heard = sink.borrow_mut();
            let data = vec![0xa5; 8];
            let clear = [b"secret".as_slice(), &data];
            heard.0 += usize::from(matches!(packet.channel, Channel::Link { .. }));
            heard.1 +=
                usize::from(clear.iter().any(|clear| packet.pdu.windows(clear.len()).any(|part| part == *clear)));
            // What comes before encryption does show: the UUID of the service that the client looks for.
            heard.2 += usize::from(packet.pdu.windows(4).any(|part| part == [0x84, 0xaa, 0x60, 0x74]));
        });
    });
    let (packets, clear, before) = *heard.borrow();
    assert_eq!((outcome.received, clear), (20 * 244, 0));
    assert!(packets > 100 && before > 0, "{packets} packets, {before} with the UUID: the sniffer does not hear");
}

#[test]
fn the_same_seed_gives_the_same_air() {
    let lossy = |seed| {
        let air = AirConfig { seed, ..Scenario::default().air };
        Scenario { air, loss: 0.02, ..Scenario::default() }
    };
    let run = |seed| format!("{:?}", quietly(&lossy(seed)));
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn keys_differ_from_run_to_run_unless_seeded() {
    let passkey_and_keys = |entropy| {
        let packets = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&packets);
        let scenario = Scenario { air: AirConfig { entropy, ..AirConfig::default() }, ..Scenario::default() };
        play(&scenario, |air| air.set_sniffer(move |packet| sink.borrow_mut().push(packet.pdu.to_vec())));
        packets.take()
    };
    assert!(passkey_and_keys(Entropy::Seeded(3)) == passkey_and_keys(Entropy::Seeded(3)));
    assert!(passkey_and_keys(Entropy::Os) != passkey_and_keys(Entropy::Os));
}

#[test]
fn a_transfer_completes_with_one_packet_in_twenty_lost() {
    for seed in 0..8 {
        let air = AirConfig { seed, entropy: Entropy::Seeded(seed), ..AirConfig::default() };
        let outcome = quietly(&Scenario { air, loss: 0.05, writes: 100, ..Scenario::default() });
        assert_eq!(outcome.received, 100 * 244, "seed {seed}");
        assert!(outcome.stats.retransmitted > 0, "seed {seed}: {:?}", outcome.stats);
    }
}

/// As the published tables: what trouble-host reaches, the last round trip included, and what the link could carry.
#[test]
fn throughput_follows_the_interval_and_the_phy() {
    let mut table = String::new();
    for (phy, long, write) in [
        (Phy::Le1M, true, 244),
        (Phy::Le1M, true, 495),
        (Phy::Le2M, true, 244),
        (Phy::Le2M, true, 495),
        (Phy::Le1M, false, 244),
        (Phy::Le2M, false, 244),
    ] {
        let row = [7_500, 15_000, 30_000, 50_000].map(|interval| {
            let kind = if phy == Phy::Le2M { PhyKind::Le2M } else { PhyKind::Le1M };
            let interval_time = Duration::from_micros(interval);
            let scenario =
                Scenario { interval: interval_time, phy: kind, long, write, writes: 400, ..Scenario::default() };
            let limit = link_limit(phy, interval, if long { 251 } else { 27 }, write) / 1000.0;
            let reached = quietly(&scenario).kilobytes_per_second();
            assert!(reached <= limit, "{reached} kB/s where {limit} are possible");
            format!("{limit:.1} ({reached:.1})")
        });
        table += &format!("{phy:?} long={long} {write} B: {}\n", row.join(" | "));
    }
    insta::assert_snapshot!(table, @"
    Le1M long=true 244 B: 97.6 (96.4) | 97.6 (95.7) | 97.6 (92.9) | 97.6 (88.7)
    Le1M long=true 495 B: 99.0 (98.5) | 99.0 (97.8) | 99.0 (97.1) | 99.0 (94.3)
    Le2M long=true 244 B: 162.7 (158.7) | 162.7 (158.7) | 170.8 (154.9) | 170.8 (150.1)
    Le2M long=true 495 B: 165.0 (163.0) | 165.0 (163.0) | 173.2 (165.0) | 173.2 (165.0)
    Le1M long=false 244 B: 32.5 (32.4) | 34.2 (33.9) | 35.0 (34.2) | 35.1 (34.2)
    Le2M long=false 244 B: 45.5 (45.3) | 47.2 (46.8) | 48.0 (47.1) | 48.3 (46.5)
    ");
}

/// What costs rate at 2M, 15 ms and writes of 244 bytes.
#[test]
fn throughput_suffers_from_what_it_should() {
    let base = || Scenario { phy: PhyKind::Le2M, writes: 400, ..Scenario::default() };
    let controllers = |acl_len, acl_packets| {
        let controllers = ControllerConfig { acl_len, acl_packets, ..ControllerConfig::default() };
        Scenario { controllers, ..base() }
    };
    let air = |loss, max_exchanges| Scenario { loss, air: AirConfig { max_exchanges, ..base().air }, ..base() };
    let rows = [
        ("1 buffer", controllers(251, 1)),
        ("2 buffers", controllers(251, 2)),
        ("buffers of 27 bytes", controllers(27, 8)),
        ("5 % loss", air(0.05, u32::MAX)),
        ("4 exchanges per event", air(0.0, 4)),
    ];
    let table: Vec<String> =
        rows.iter().map(|(name, row)| format!("{name}: {:.1}", quietly(row).kilobytes_per_second())).collect();
    insta::assert_snapshot!(table.join("\n"), @"
    1 buffer: 16.2
    2 buffers: 158.7
    buffers of 27 bytes: 46.8
    5 % loss: 92.9
    4 exchanges per event: 63.8
    ");
}
