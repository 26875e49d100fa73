//! The whole road in virtual time: upload, test, reset, swap, trial, confirm or revert, and what can go wrong on it.

mod common;
mod wire;

use common::{Log, device, image, key, key_of, record};
use embassy_time::{Duration, Timer};
use otaru_ble::Access;
use otaru_device_sim::payload::{Record, SelfTest};
use otaru_device_sim::port::{DatagramPort, DatagramSink, SerialPort};
use otaru_device_sim::{Device, mailbox};
use otaru_nor_sim::{Cut, Partial, Timing};
use otaru_sign::build::SignedImage;
use otaru_smp::os::{EchoRequest, ResetRequest};
use otaru_smp::{CONSOLE_OVERHEAD, ConsoleDecoder, ConsoleEncoder, LINE_SIZE, Request, Version};
use std::net::SocketAddr;
use wire::{Client, simulate, wired};

/// A device that runs version 1.0.0, its client, version 2.0.0 with this record, and what the device will say.
fn updatable(update: &Record, timing: Timing) -> (Device, Client, SignedImage, Log) {
    let key = key();
    let (device, client) = wired(&key, &image(&key, "1.0.0", &record("one")), timing);
    (device, client, image(&key, "2.0.0", update), Log::default())
}

#[test]
fn an_update_is_uploaded_tested_swapped_and_confirmed() {
    let (device, client, v2, log) = updatable(&record("two"), Timing::Nrf52840);
    simulate(&device, &log, async {
        insta::assert_snapshot!(client.state().await, @"0 1.0.0 active confirmed");
        client.upload(v2.image()).await.unwrap();
        insta::assert_snapshot!(client.state().await, @r"
        0 1.0.0 active confirmed
        1 2.0.0
        ");
        client.set_state(Some(v2.digest()), false).await.unwrap();
        insta::assert_snapshot!(client.state().await, @r"
        0 1.0.0 active confirmed
        1 2.0.0 pending
        ");
        client.reset(&log).await;
        insta::assert_snapshot!(client.state().await, @r"
        0 2.0.0 active
        1 1.0.0 confirmed
        ");
        client.set_state(None, true).await.unwrap();
        client.reset(&log).await;
        insta::assert_snapshot!(client.state().await, @r"
        0 2.0.0 active confirmed
        1 1.0.0
        ");
    });
    insta::assert_snapshot!(log.lines(), @r"
    primary: 1.0.0+0, verified; no trailer
    secondary: the slot is empty; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: 1.0.0+0 at 0:0x00000000, signed by trusted key 0
    running one 1.0.0+0
    taking requests
    upload of 2.0.0+0 began, 20656 bytes
    the secondary image is verified, and boots next on trial
    a restart was asked for
    reset
    primary: 1.0.0+0, not verified; no trailer
    secondary: 2.0.0+0, verified; magic good, image_ok unset, copy_done unset
    decision: test: swap 6 sectors
    boot: 2.0.0+0 at 0:0x00000000, signed by trusted key 0 (flash was busy for 2362 ms)
    running two 2.0.0+0, on trial
    self-test passed
    taking requests
    the running image is confirmed
    a restart was asked for
    reset
    primary: 2.0.0+0, verified; magic good, image_ok set, copy_done set
    secondary: 1.0.0+0, not verified; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: 2.0.0+0 at 0:0x00000000, signed by trusted key 0
    running two 2.0.0+0
    taking requests
    ");
}

#[test]
fn an_update_that_confirms_itself_needs_nobody() {
    let (device, client, v2, log) = updatable(&Record { confirms_itself: true, ..record("two") }, Timing::Instant);
    simulate(&device, &log, async {
        client.upload(v2.image()).await.unwrap();
        client.set_state(Some(v2.digest()), false).await.unwrap();
        client.reset(&log).await;
        insta::assert_snapshot!(client.state().await, @r"
        0 2.0.0 active confirmed
        1 1.0.0
        ");
    });
    assert!(log.has("self-test passed") && log.has("the running image is confirmed"));
}

#[test]
fn an_update_whose_self_test_fails_or_hangs_reverts_by_itself() {
    for (self_test, words) in [(SelfTest::Fail, "self-test failed"), (SelfTest::Hang, "watchdog")] {
        let (device, client, v2, log) = updatable(&Record { self_test, ..record("two") }, Timing::Instant);
        simulate(&device, &log, async {
            client.upload(v2.image()).await.unwrap();
            client.set_state(Some(v2.digest()), false).await.unwrap();
            client.reset(&log).await;
            // On trial nobody was served: the first answer comes from the old image.
            assert_eq!(client.state().await, "0 1.0.0 active confirmed\n1 2.0.0\n", "{self_test:?}");
        });
        assert!(log.has(words), "{self_test:?}: {}", log.lines());
    }
}

#[test]
fn an_update_that_nobody_confirms_reverts_at_the_next_reset() {
    let (device, client, v2, log) = updatable(&record("two"), Timing::Instant);
    simulate(&device, &log, async {
        client.upload(v2.image()).await.unwrap();
        client.set_state(Some(v2.digest()), false).await.unwrap();
        client.reset(&log).await;
        client.reset(&log).await;
        assert_eq!(client.state().await, "0 1.0.0 active confirmed\n1 2.0.0\n");
    });
}

#[test]
fn what_the_loader_would_not_boot_is_refused_at_test_and_nothing_is_marked() {
    let (ours, strangers) = (key(), key_of("MC4CAQAwBQYDK2VwBCIEIHrykjSIWlNEOnj2sNyHyDsMza2XZYITPkxkHIvybo9K"));
    let (device, client) = wired(&ours, &image(&ours, "1.0.0", &record("one")), Timing::Instant);
    let log = Log::default();
    let foreign = image(&strangers, "2.0.0", &record("two"));
    let whole = image(&ours, "2.0.0", &record("two"));
    let mut damaged = whole.image().to_vec();
    damaged[0x1000] ^= 1;
    simulate(&device, &log, async {
        client.upload(foreign.image()).await.unwrap();
        let refusal = client.set_state(Some(foreign.digest()), false).await.unwrap_err();
        let key_hash = hex(&strangers.public().hash()[..4]);
        assert!(refusal.contains("not trusted") && refusal.contains(&key_hash), "{refusal}");
        assert_eq!(client.state().await, "0 1.0.0 active confirmed\n1 2.0.0\n");

        client.upload(&damaged).await.unwrap();
        let refusal = client.set_state(Some(whole.digest()), false).await.unwrap_err();
        assert!(refusal.contains("the image is damaged"), "{refusal}");
        client.reset(&log).await;
        assert_eq!(client.state().await, "0 1.0.0 active confirmed\n1 2.0.0\n");
    });
    assert!(log.has("refused to boot the secondary image: the image is signed by a key that is not trusted"));
    assert!(log.has("refused to boot the secondary image: the image is damaged"));
}

#[test]
fn what_the_header_shows_is_refused_with_the_first_piece() {
    let key = key();
    let v1 = image(&key, "1.0.0", &record("one"));
    let (device, client) = wired(&key, &v1, Timing::Instant);
    let log = Log::default();
    simulate(&device, &log, async {
        let mut words = String::new();
        let mut encrypted = v1.image().to_vec();
        encrypted[16] = 4;
        for bad in [&[0xff; 100], &v1.image()[..5000], &[v1.image(), &[0; 0x20000]].concat(), &encrypted] {
            words += &(client.piece(bad, 0, 1024).await.unwrap_err() + "\n");
        }
        insta::assert_snapshot!(words, @r"
        the device answered image group error 23 (INVALID_IMAGE_HEADER_MAGIC): what was sent is no MCUboot image
        the device answered image group error 21 (INVALID_LENGTH): the upload's length is not given, or less than the image's header speaks of; it says: the image's header speaks of 20516 bytes or more, the file has 5000
        the device answered image group error 30 (INVALID_IMAGE_TOO_LARGE): the image is too large for the slot; it says: the image has 151728 bytes, slot 1 takes 122880
        the device answered image group error 22 (INVALID_IMAGE_HEADER): the image's header did not come whole, or asks for something that the device cannot do; it says: the image is ENCRYPTED_AES128, which this device cannot install
        ");
        insta::assert_snapshot!(client.state().await, @"0 1.0.0 active confirmed");
    });
}

#[test]
fn a_pending_image_can_be_erased() {
    let (device, client, v2, log) = updatable(&record("two"), Timing::Instant);
    simulate(&device, &log, async {
        client.upload(v2.image()).await.unwrap();
        client.set_state(Some(v2.digest()), false).await.unwrap();
        let refusal = client.upload(v2.image()).await.unwrap_err();
        assert!(refusal.contains("erase slot 1"), "{refusal}");
        client.erase().await.unwrap();
        insta::assert_snapshot!(client.state().await, @"0 1.0.0 active confirmed");
        client.upload(v2.image()).await.unwrap();
        client.reset(&log).await;
        assert_eq!(client.state().await, "0 1.0.0 active confirmed\n1 2.0.0\n");
    });
}

#[test]
fn power_lost_in_an_upload_then_it_starts_again_from_0() {
    let (device, client, v2, log) = updatable(&record("two"), Timing::Nrf52840);
    let power = device.power();
    simulate(&device, &log, async {
        for offset in (0..8).map(|n| n * 1024) {
            assert_eq!(client.piece(v2.image(), offset, 1024).await, Ok(offset + 1024));
        }
        power.cut();
        Timer::after(Duration::from_secs(1)).await;
        power.restore();
        assert_eq!(client.piece(v2.image(), 8 * 1024, 1024).await, Ok(0));
        client.upload(v2.image()).await.unwrap();
        client.set_state(Some(v2.digest()), false).await.unwrap();
        client.reset(&log).await;
        assert_eq!(client.state().await, "0 2.0.0 active\n1 1.0.0 confirmed\n");
    });
}

#[test]
fn power_lost_in_the_swap_then_the_next_boot_goes_on() {
    let mut resumed = 0;
    for op in [1, 20, 60, 61, 3000] {
        let (device, client, v2, log) = updatable(&record("two"), Timing::Nrf52840);
        let power = device.power();
        simulate(&device, &log, async {
            client.upload(v2.image()).await.unwrap();
            client.set_state(Some(v2.digest()), false).await.unwrap();
            device.plan_cut(Cut { op, leaves: Partial::FirstHalf });
            client.set_state(None, true).await.unwrap_err();
            client.ask(&ResetRequest::default()).await;
            while power.is_on() {
                Timer::after(Duration::from_millis(100)).await;
            }
            assert_eq!(client.ask_for(&EchoRequest { text: "?" }, 5).await, None);
            power.restore();
            assert_eq!(client.state().await, "0 2.0.0 active\n1 1.0.0 confirmed\n", "cut at operation {op}");
        });
        assert!(log.has("power lost"), "cut at operation {op}");
        resumed += usize::from(log.has("go on with the interrupted swap"));
        assert!(!log.has("boot: nothing"), "a device without power reports nothing: {}", log.lines());
    }
    // What a cut leaves before anything is moved is a swap that has not begun.
    assert_eq!(resumed, 1);
}

#[test]
fn two_transports_are_served_at_once_and_share_one_upload() {
    let key = key();
    let (port, wire) = DatagramPort::in_memory();
    let (serial, line) = SerialPort::in_memory();
    let v1 = image(&key, "1.0.0", &record("one"));
    let device = device(&key, Some(&v1), Timing::Nrf52840).with_datagrams(port).with_serial(serial);
    let client = Client::new(wire);
    let log = Log::default();
    let v2 = image(&key, "2.0.0", &record("two"));
    simulate(&device, &log, async {
        let over_udp = async { client.upload(v2.image()).await.unwrap() };
        let over_serial = async {
            let mut decoder = ConsoleDecoder::<{ 256 + CONSOLE_OVERHEAD }>::new();
            for n in 0..20 {
                let text = format!("line {n}");
                let mut frame = [0; 64];
                let request = EchoRequest { text: &text };
                let len = request.message(Version::V2, n, &mut frame).unwrap();
                line.send(b"other text on the console\n");
                let mut encoded = [0; LINE_SIZE];
                line.send(ConsoleEncoder::new(&frame[..len]).unwrap().next_line(&mut encoded).unwrap());
                let answer = loop {
                    let bytes = line.receive().await;
                    if let Some(answer) = decoder.feed(&mut &bytes[..]) {
                        break answer.to_vec();
                    }
                };
                assert!(String::from_utf8_lossy(&answer).contains(&text));
            }
        };
        embassy_futures::join::join(over_udp, over_serial).await;
        assert_eq!(client.state().await, "0 1.0.0 active confirmed\n1 2.0.0\n");
    });
}

#[test]
fn several_messages_in_one_datagram_are_answered_one_by_one() {
    let key = key();
    let (port, wire) = DatagramPort::in_memory();
    let device = device(&key, Some(&image(&key, "1.0.0", &record("one"))), Timing::Instant).with_datagrams(port);
    let log = Log::default();
    simulate(&device, &log, async {
        Timer::after(Duration::from_secs(1)).await;
        wire.send(b"\x0a\x00\x00\x05\x00\x00\x41\x00\xa1\x61da1\x0a\x00\x00\x05\x00\x00\x42\x00\xa1\x61dab");
        assert_eq!(wire.receive().await[6], 0x41);
        assert_eq!(wire.receive().await[6], 0x42);
    });
}

#[test]
fn a_link_that_others_can_reach_gets_what_the_image_asks_of_it() {
    struct To(mailbox::Sender<Vec<u8>>);
    impl DatagramSink for To {
        fn send(&self, _: SocketAddr, bytes: &[u8]) {
            self.0.send(bytes.to_vec());
        }
    }
    let key = key();
    for (access, allowed) in [(Access::Authenticated, false), (Access::Encrypted, false), (Access::Open, true)] {
        let running = image(&key, "1.0.0", &Record { access, ..record("one") });
        let (answers, heard) = mailbox::mailbox(8);
        // Not a local port: as bound to an address that other machines reach.
        let (port, incoming) = DatagramPort::new(Box::new(To(answers)), false);
        let device = device(&key, Some(&running), Timing::Instant).with_datagrams(port);
        let log = Log::default();
        let answer = simulate(&device, &log, async {
            Timer::after(Duration::from_secs(1)).await;
            let list = b"\x08\x00\x00\x01\x00\x01\x07\x00\xa0".to_vec();
            incoming.send((([192, 0, 2, 1], 9).into(), list));
            heard.receive().await
        });
        let refused = String::from_utf8_lossy(&answer).contains("looking needs security level");
        assert_eq!(refused, !allowed, "{access:?}: {}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn without_an_image_it_says_why_and_serves_nothing() {
    let key = key();
    let (port, wire) = DatagramPort::in_memory();
    let device = device(&key, None, Timing::Instant).with_datagrams(port);
    let client = Client::new(wire);
    let log = Log::default();
    simulate(&device, &log, async {
        assert_eq!(client.ask_for(&EchoRequest { text: "?" }, 5).await, None);
    });
    insta::assert_snapshot!(log.lines(), @r"
    primary: the slot is empty; no trailer
    secondary: the slot is empty; no trailer
    decision: boot the primary image, nothing else is asked for
    boot: nothing, the slot is empty
    no image to run in the primary slot: the slot is empty; staying in the bootloader
    ");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
