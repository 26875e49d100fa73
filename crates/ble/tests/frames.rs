//! Frames out and back: nothing is lost, nothing is mixed up, nothing hangs.

mod common;

use common::raw::{self, Raw};
use common::{Client, Device, FRAMES, Reads, air, echo, request, simulate};
use embassy_futures::join::{join, join3};
use embassy_time::{Duration, Instant, Timer};
use otaru_ble::central::{Failure, Step};
use otaru_ble::peripheral::{self, AnswerLost, BadFragment, FRAME};
use otaru_ble::{Access, Address};
use otaru_smp::ReassemblyError;
use trouble_host::prelude::IoCapabilities;

const OWN: Address = Address::random_static([0xce, 0, 0, 0, 0, 0x77]);

/// Pairs, so that the next session is about frames only.
async fn bond(device: &Device, client: &Client) {
    client.session(Reads(device), client.ask(&request(0, 9))).await.unwrap();
    client.log.clear();
}

/// Asks `count` requests of `length` bytes with `window` under way, and checks each answer.
async fn pipeline(client: &Client, window: u8, count: u8, length: usize) {
    for sequence in 0..window {
        client.frames.send(&request(sequence, length)).await.unwrap();
    }
    for sequence in 0..count {
        assert_eq!(client.answer().await, echo(&request(sequence, length)));
        if sequence + window < count {
            client.frames.send(&request(sequence + window, length)).await.unwrap();
        }
    }
}

#[test]
fn frames_of_every_size_class_come_back_whole() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        let asking = async {
            for length in [8, 9, 494, 495, 496, 990, 991, 2474, FRAME] {
                assert_eq!(client.ask(&request(3, length)).await, echo(&request(3, length)), "{length} bytes");
            }
        };
        client.session(Reads(&device), asking).await.unwrap();
    });
}

#[test]
fn a_window_of_buffers_less_one_loses_nothing_while_flash_is_busy() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    device.handler.takes.set(Duration::from_millis(85));
    simulate(&air, &device, async {
        client.session(Reads(&device), pipeline(&client, FRAMES as u8 - 1, 100, FRAME)).await.unwrap();
    });
    let lost = |event: &peripheral::Event| {
        use peripheral::Event::*;
        matches!(event, PacketsDropped { .. } | Busy { .. } | BadFragment { .. } | AnswerLost { .. } | Restarted)
    };
    assert_eq!(device.log.lines(lost), "");
}

#[test]
fn a_window_too_large_is_told_so_for_each_request_it_costs() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    device.handler.takes.set(Duration::from_millis(200));
    let (echoed, refused) = simulate(&air, &device, async {
        let asking = async {
            let mut outcomes = (0, 0);
            let sending = async {
                for sequence in 0..12 {
                    client.frames.send(&request(sequence, 495)).await.unwrap();
                }
            };
            let receiving = async {
                for _ in 0..12 {
                    let answer = client.answer().await;
                    if answer == echo(&request(answer[6], 495)) {
                        outcomes.0 += 1;
                    } else {
                        assert_eq!(answer, [0x0b, 0, 0, 5, 0, 0, answer[6], 0, 0xa1, 0x62, b'r', b'c', 2]);
                        outcomes.1 += 1;
                    }
                }
            };
            join(sending, receiving).await;
            outcomes
        };
        client.session(Reads(&device), asking).await.unwrap()
    });
    assert_eq!(echoed + refused, 12);
    assert_eq!(refused, device.log.count(|event| matches!(event, peripheral::Event::Busy { .. })));
    assert!(refused > 0 && echoed >= FRAMES, "{echoed} echoed, {refused} refused");
}

#[test]
fn two_centrals_at_once_get_their_own_answers() {
    let air = air();
    let device = Device::new(&air);
    device.handler.takes.set(Duration::from_millis(3));
    let (one, two) = (Client::new(&air, 1), Client::new(&air, 2));
    simulate(&air, &device, async {
        bond(&device, &one).await;
        bond(&device, &two).await;
        // Two windows of two share the device's four buffers.
        let both =
            join(one.session(None, pipeline(&one, 2, 60, FRAME)), two.session(None, pipeline(&two, 2, 60, 1000)));
        let (first, second) = both.await;
        first.unwrap();
        second.unwrap();
    });
    let links = device.handler.links.borrow();
    let changes = links.windows(2).filter(|pair| pair[0].peer != pair[1].peer).count();
    assert!(changes > 20, "the two did not overlap: {changes} changes");
    assert_eq!(device.log.count(|event| matches!(event, peripheral::Event::BadFragment { .. })), 0);
}

#[test]
fn three_centrals_are_served_and_a_fourth_waits() {
    let air = air();
    let device = Device::new(&air);
    let clients: Vec<_> = (1..=4).map(|last| Client::new(&air, last)).collect();
    simulate(&air, &device, async {
        for client in &clients {
            bond(&device, client).await;
        }
        let [one, two, three, four] = &clients[..] else { unreachable!() };
        let hold = async |client: &Client| {
            client
                .session(None, async {
                    client.ask(&request(1, 9)).await;
                    Timer::after_secs(5).await;
                    client.ask(&request(2, 9)).await
                })
                .await
        };
        let late = async {
            Timer::after_secs(2).await;
            four.session(None, four.ask(&request(3, 9))).await
        };
        let (held, late) = join(join3(hold(one), hold(two), hold(three)), late).await;
        assert!(held.0.is_ok() && held.1.is_ok() && held.2.is_ok());
        assert_eq!(late.unwrap(), echo(&request(3, 9)), "the fourth finds the device once a link is free");
    });
}

#[test]
fn each_connection_has_a_number_of_its_own() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        for _ in 0..4 {
            client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        }
    });
    let numbers: Vec<_> = device.handler.links.borrow().iter().map(|link| link.connection).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let ended = device.log.find(|event| match event {
        peripheral::Event::Disconnected { connection, .. } => Some(*connection),
        _ => None,
    });
    assert_eq!(ended, Some(4));
}

#[test]
fn a_client_that_leaves_before_its_answer_blocks_nobody() {
    let air = air();
    let device = Device::new(&air);
    let (one, two) = (Client::new(&air, 1), Client::new(&air, 2));
    device.handler.takes.set(Duration::from_millis(500));
    simulate(&air, &device, async {
        bond(&device, &one).await;
        bond(&device, &two).await;
        let leaving = async {
            one.frames.send(&request(1, FRAME)).await.unwrap();
            Timer::after_millis(700).await;
        };
        one.session(None, leaving).await.unwrap();
        let start = Instant::now();
        assert_eq!(two.session(None, two.ask(&request(2, FRAME))).await.unwrap(), echo(&request(2, FRAME)));
        assert!(start.elapsed() < Duration::from_secs(3), "took {} ms", start.elapsed().as_millis());
    });
    let gone =
        |event: &peripheral::Event| matches!(event, peripheral::Event::AnswerLost { cause: AnswerLost::PeerGone, .. });
    assert_eq!(device.log.count(gone), 1, "{}", device.log.lines(|_| true));
}

#[test]
fn a_device_that_vanishes_ends_the_session_with_the_reason() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        bond(&device, &client).await;
        let start = Instant::now();
        let working = async {
            client.ask(&request(1, 9)).await;
            device.power_off();
            client.answer().await
        };
        let failure = client.session(None, working).await.unwrap_err();
        assert_eq!(failure, Failure::Disconnected { step: Step::Exchanging, reason: 0x08 });
        assert!(start.elapsed() < Duration::from_secs(8), "took {} ms", start.elapsed().as_millis());
    });
}

#[test]
fn a_client_that_vanishes_makes_room_by_the_supervision_timeout() {
    let air = air();
    let device = Device::new(&air);
    let (one, two) = (Client::new(&air, 1), Client::new(&air, 2));
    simulate(&air, &device, async {
        bond(&device, &one).await;
        let vanishing = async {
            let working = async {
                one.ask(&request(1, 9)).await;
                core::future::pending::<()>().await;
            };
            embassy_time::with_timeout(Duration::from_secs(2), one.session(None, working)).await.unwrap_err();
        };
        vanishing.await;
        drop(one);
        Timer::after_secs(5).await;
        bond(&device, &two).await;
    });
    let timed_out = |event: &peripheral::Event| matches!(event, peripheral::Event::Disconnected { reason: 0x08, .. });
    assert_eq!(device.log.count(timed_out), 1, "{}", device.log.lines(|_| true));
}

/// Does `test` as a raw central of a device with open access.
fn with_open_device(test: impl AsyncFnOnce(&Device, Raw<'_, '_>)) -> Device {
    let air = air();
    let device = Device::with_access(&air, Access::Open);
    simulate(&air, &device, async {
        raw::central(&air, OWN, IoCapabilities::NoInputNoOutput, async |raw| test(&device, raw).await).await;
    });
    device
}

/// Writes a request and waits for the notification that answers it.
async fn ask(raw: &Raw<'_, '_>, request: &[u8]) -> Vec<u8> {
    let mut notifications = raw.client.listen(&raw.smp).unwrap();
    raw.client.write_characteristic_without_response(&raw.smp, request).await.unwrap();
    notifications.next().await.as_ref().to_vec()
}

async fn subscribe(raw: &Raw<'_, '_>) {
    raw.client.write_handle(raw.smp.cccd_handle.unwrap(), &[1, 0]).await.unwrap();
}

#[test]
fn a_request_that_stops_half_way_is_forgotten() {
    let device = with_open_device(async |_, raw| {
        subscribe(&raw).await;
        raw.client.write_characteristic_without_response(&raw.smp, &request(1, 100)[..50]).await.unwrap();
        Timer::after_secs(3).await;
        assert_eq!(ask(&raw, &request(2, 60)).await, echo(&request(2, 60)));
    });
    let timed_out = |event: &peripheral::Event| {
        matches!(event, peripheral::Event::BadFragment { problem: BadFragment::TimedOut, .. })
    };
    assert_eq!(device.log.count(timed_out), 1);
}

#[test]
fn a_request_too_large_for_the_buffer_is_answered_so() {
    let device = with_open_device(async |_, raw| {
        subscribe(&raw).await;
        let large = request(5, FRAME + 1);
        let mut fragments = large.chunks(400);
        let answer = ask(&raw, fragments.next().unwrap()).await;
        assert_eq!(answer, [0x0b, 0, 0, 5, 0, 0, 5, 0, 0xa1, 0x62, b'r', b'c', 7]);
        for fragment in fragments {
            raw.client.write_characteristic_without_response(&raw.smp, fragment).await.unwrap();
        }
        assert_eq!(ask(&raw, &request(6, 60)).await, echo(&request(6, 60)));
    });
    let too_long = |event: &peripheral::Event| {
        matches!(
            event,
            peripheral::Event::BadFragment { problem: BadFragment::Reassembly(ReassemblyError::TooLong { .. }), .. }
        )
    };
    assert_eq!(device.log.count(too_long), 1);
}

#[test]
fn a_request_without_a_subscription_is_carried_out_and_its_answer_reported_lost() {
    let device = with_open_device(async |_, raw| {
        raw.client.write_characteristic_without_response(&raw.smp, &request(1, 60)).await.unwrap();
        Timer::after_secs(1).await;
    });
    assert_eq!(device.handler.links.borrow().len(), 1);
    let lost = |event: &peripheral::Event| {
        matches!(event, peripheral::Event::AnswerLost { cause: AnswerLost::NotSubscribed, .. })
    };
    assert_eq!(device.log.count(lost), 1);
}

#[test]
fn a_write_request_is_taken_like_a_command() {
    with_open_device(async |device, raw| {
        subscribe(&raw).await;
        raw.client.write_characteristic(&raw.smp, &request(1, 60)).await.unwrap();
        Timer::after_secs(1).await;
        assert_eq!(device.handler.links.borrow().len(), 1);
    });
}

#[test]
fn a_refused_write_command_is_not_answered() {
    let air = air();
    let device = Device::new(&air);
    simulate(&air, &device, async {
        raw::central(&air, OWN, IoCapabilities::NoInputNoOutput, async |raw| {
            let before = raw.tap.received_att().len();
            raw.client.write_characteristic_without_response(&raw.smp, &request(1, 60)).await.unwrap();
            Timer::after_secs(1).await;
            assert_eq!(raw.tap.received_att()[before..], [[0; 0]; 0]);
            // A Write Request is.
            assert!(raw.client.write_characteristic(&raw.smp, &request(1, 60)).await.is_err());
            assert_eq!(raw.tap.received_att()[before..].len(), 1);
        })
        .await;
    });
    assert_eq!(device.log.count(|event| matches!(event, peripheral::Event::AccessRefused { .. })), 2);
    assert!(device.handler.links.borrow().is_empty());
}

#[test]
fn malformed_requests_from_anybody_do_not_stop_the_device() {
    let device = with_open_device(async |_, raw| {
        subscribe(&raw).await;
        let mut group_type_128 = vec![0x10, 1, 0, 0xff, 0xff];
        group_type_128.resize(21, 7);
        for pdu in [&[][..], &[0x0a], &[0x52], &[0x0e], &[0x08, 1], &group_type_128, &[0x02, 0, 0], &[0x0e, 1, 0, 2, 0]]
        {
            raw.tap.send_att(raw.connection, pdu);
            Timer::after_millis(100).await;
            assert_eq!(ask(&raw, &request(1, 60)).await, echo(&request(1, 60)), "after {pdu:02x?}");
        }
    });
    assert_eq!(device.log.count(|event| matches!(event, peripheral::Event::Restarted)), 0);
    let dropped = device.log.count(|event| matches!(event, peripheral::Event::PacketsDropped { .. }));
    assert!(dropped > 0);
}

#[test]
fn a_session_closes_at_any_step() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        // Bonded, since a pairing broken off makes the next one wait. From the search to the exchange.
        bond(&device, &client).await;
        for after in (0..1200).step_by(37) {
            let closed = client.session(Reads(&device), Timer::after_millis(after)).await;
            assert_eq!(closed, Ok(()), "closed after {after} ms");
            // A link that was not closed in time ends by itself.
            Timer::after_secs(5).await;
        }
        assert_eq!(client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap(), echo(&request(1, 9)));
    });
}

#[test]
fn a_lossy_air_costs_time_only() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        bond(&device, &client).await;
        air.set_loss(0.05);
        client.session(None, pipeline(&client, 3, 30, FRAME)).await.unwrap();
    });
}

#[test]
fn an_upload_uses_most_of_the_link() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    let fixed = Duration::from_millis(15);
    client.config.replace_with(|config| config.clone().interval(fixed, fixed));
    let rate = simulate(&air, &device, async {
        bond(&device, &client).await;
        let measuring = async {
            client.ask(&request(0, 9)).await;
            let start = Instant::now();
            device.handler.short.set(true);
            upload(&client, 3, 100).await;
            100.0 * FRAME as f64 / start.elapsed().as_micros() as f64 * 1000.0
        };
        client.session(None, measuring).await.unwrap()
    });
    println!("upload, 2 Mbit/s, interval 15 ms, frames of {FRAME}, window 3: {rate:.1} kB/s");
    assert!(rate > 130.0, "{rate:.1} kB/s");
}

/// Large requests and small answers, as in an upload.
async fn upload(client: &Client, window: u8, count: u8) {
    for sequence in 0..window {
        client.frames.send(&request(sequence, FRAME)).await.unwrap();
    }
    for sequence in 0..count {
        assert_eq!(client.answer().await, [0x0b, 0, 0, 0, 0, 0, sequence, 0]);
        if sequence + window < count {
            client.frames.send(&request(sequence + window, FRAME)).await.unwrap();
        }
    }
}
