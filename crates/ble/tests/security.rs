//! Who is let in, who is not, and what each side says about it.

mod common;

use bt_hci::controller::ExternalController;
use bt_hci::transport::Transport;
use bt_hci_transport::{PacketToController, PacketToHost};
use common::raw::{self, Raw};
use common::{Client, DEVICE, Device, Misreads, NAME, Reads, air, echo, request, simulate};
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer};
use otaru_ble::central::{self, Failure, Frames, LostBond, PasskeySource, Step, Target};
use otaru_ble::peripheral::{self, FRAME};
use otaru_ble::pool::CentralHeapPool;
use otaru_ble::{Access, Address, BondRecord, BondStore as _, PairingError, Passkey, RamBonds, Security};
use otaru_radio_sim::HciError;
use trouble_host::Error;
use trouble_host::prelude::{ConnectionEvent, IoCapabilities, SecurityLevel};

/// What the user sees of a session, without what depends on the link layer's timing.
fn story(event: &central::Event) -> bool {
    !matches!(event, central::Event::Tuned(_))
}

#[test]
fn an_unpaired_client_is_refused_told_why_and_let_in_by_passkey() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        let small = request(1, 9);
        let large = request(2, FRAME);
        let answers = client.session(Reads(&device), async { (client.ask(&small).await, client.ask(&large).await) });
        assert_eq!(answers.await.unwrap(), (echo(&small), echo(&large)));
    });
    insta::assert_snapshot!(client.log.lines(story), @r"
    searching for the device
    found C1:00:00:00:00:0D at -50 dBm
    connected to C1:00:00:00:00:0D
    the device refused access: the link is not authenticated, the device wants it paired with a passkey (ATT error 0x05)
    pairing with C1:00:00:00:00:0D
    C1:00:00:00:00:0D shows a passkey: enter it here
    the link is encrypted and authenticated
    paired: encrypted and authenticated, remembered
    ready: ATT_MTU 498, encrypted and authenticated
    disconnected: ended by this side (0x16)
    ");
    let chosen = |event: &peripheral::Event| {
        use peripheral::Event::*;
        matches!(event, Connected { .. } | AccessRefused { .. } | Secured { .. } | Paired { .. } | Disconnected { .. })
    };
    insta::assert_snapshot!(device.log.lines(chosen), @r"
    CE:00:00:00:00:01 connected
    refused CE:00:00:00:00:01 access to SMP: its link is not encrypted
    the link to CE:00:00:00:00:01 is encrypted and authenticated
    CE:00:00:00:00:01 paired: encrypted and authenticated, remembered
    CE:00:00:00:00:01 disconnected: ended by the other side (0x13)
    ");
    let links = device.handler.links.borrow();
    assert!(links.iter().all(|link| link.security == Security::Authenticated && link.bonded));
}

#[test]
fn a_wrong_passkey_is_a_reason_and_lets_nobody_in() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        let failure = client.session(Misreads(&device), client.ask(&request(1, 9))).await.unwrap_err();
        let error = PairingError::Failed { reason: 0x04 };
        assert_eq!(failure, Failure::Pairing { peer: DEVICE, error });
    });
    let told = device.log.count(|event| {
        matches!(event, peripheral::Event::PairingFailed { error: PairingError::Failed { reason: 0x04 }, .. })
    });
    assert_eq!(told, 1);
    assert!(device.handler.links.borrow().is_empty());
}

#[test]
fn without_a_passkey_the_client_stops_with_the_reason_and_may_come_again() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        let failure = client.session(None, client.ask(&request(1, 9))).await.unwrap_err();
        assert_eq!(failure, Failure::NoPasskey { peer: DEVICE });
        // The device counts a pairing that was broken off, and rests.
        Timer::after_secs(1).await;
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
    });
}

/// A user who went away.
struct Nobody;

impl PasskeySource for Nobody {
    async fn passkey(&mut self, _device: &Address) -> Option<Passkey> {
        core::future::pending().await
    }
}

#[test]
fn a_user_who_does_not_answer_is_not_waited_for_for_ever() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        let start = Instant::now();
        let failure = client.session(Nobody, client.ask(&request(1, 9))).await.unwrap_err();
        assert_eq!(failure, Failure::Pairing { peer: DEVICE, error: PairingError::TimedOut });
        assert!(start.elapsed() < Duration::from_secs(40), "took {} s", start.elapsed().as_secs());
        Timer::after_secs(1).await;
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
    });
}

#[test]
fn a_bonded_client_comes_back_without_a_dialog_also_after_a_reboot() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        for reboot in [false, true] {
            if reboot {
                device.reboot();
            }
            client.log.clear();
            client.session(None, client.ask(&request(1, 9))).await.unwrap();
            let bonded = |event: &central::Event| {
                matches!(event, central::Event::Secured { security: Security::Authenticated, bonded: true })
            };
            assert_eq!(client.log.count(bonded), 1, "{}", client.log.lines(story));
            assert_eq!(client.log.count(|event| matches!(event, central::Event::AccessRefused { .. })), 0);
        }
    });
}

fn bonds(device: &Device) -> Vec<BondRecord> {
    let mut bonds = Vec::new();
    device.bonds.for_each(|record| bonds.push(*record));
    bonds
}

#[test]
fn a_bond_the_device_lost_is_explained_and_made_again() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        forget(&device).await;
        client.log.clear();
        let answer = client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        assert_eq!(answer, echo(&request(1, 9)));
    });
    let lost = |event: &central::Event| matches!(event, central::Event::BondLost { pairing_again: true, .. });
    assert_eq!(client.log.count(lost), 1);
    assert_eq!(bonds(&device).len(), 1);
}

/// Erases the device's bonds and reboots it.
async fn forget(device: &Device) {
    for bond in bonds(device) {
        device.bonds.remove(&bond.peer).await.unwrap();
    }
    device.reboot();
    Timer::after_millis(10).await;
}

#[test]
fn a_bond_the_device_lost_ends_the_session_if_that_is_the_policy() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    client.config.replace_with(|config| config.clone().lost_bond(LostBond::Stop));
    simulate(&air, &device, async {
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        forget(&device).await;
        let failure = client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap_err();
        assert_eq!(failure, Failure::BondLost { peer: DEVICE });
    });
    let mut kept = 0;
    client.bonds.for_each(|_| kept += 1);
    assert_eq!(kept, 1, "the bond is the user's to delete");
}

#[test]
fn a_bond_the_client_lost_is_made_again() {
    let air = air();
    let (device, mut client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        client.bonds = RamBonds::new();
        let before = bonds(&device);
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        let after = bonds(&device);
        assert_eq!((before.len(), after.len()), (1, 1));
        assert_ne!(before, after);
        client.session(None, client.ask(&request(1, 9))).await.unwrap();
    });
}

/// Pairs as a raw central until that is done, and gives its level.
async fn pair_raw(raw: &Raw<'_, '_>, passkey: Option<&Device>) -> Result<SecurityLevel, Error> {
    raw.connection.request_security().unwrap();
    loop {
        match raw.connection.next().await {
            ConnectionEvent::PassKeyInput => {
                let passkey = passkey.and_then(|device| device.display.get()).expect("no passkey in this test");
                raw.connection.pass_key_input(passkey.value()).unwrap();
            }
            ConnectionEvent::PairingComplete { security_level, .. } => {
                // The last keys are still on their way.
                Timer::after_millis(500).await;
                return Ok(security_level);
            }
            ConnectionEvent::PairingFailed(error) => return Err(error),
            ConnectionEvent::Disconnected { .. } => return Err(Error::Disconnected),
            _ => {}
        }
    }
}

const OWN: Address = Address::random_static([0xce, 0, 0, 0, 0, 0x77]);

#[test]
fn pairing_without_a_passkey_opens_nothing_and_is_not_remembered() {
    let air = air();
    let device = Device::new(&air);
    simulate(&air, &device, async {
        raw::central(&air, OWN, IoCapabilities::NoInputNoOutput, async |raw| {
            assert_eq!(pair_raw(&raw, None).await, Ok(SecurityLevel::Encrypted));
            let refused = raw.client.subscribe(&raw.smp, false).await.map(drop);
            assert!(matches!(
                refused,
                Err(trouble_host::BleHostError::BleHost(Error::Att(code))) if code.to_u8() == 0x05
            ));
        })
        .await;
    });
    assert_eq!(bonds(&device), []);
    let told = |event: &peripheral::Event| {
        matches!(event, peripheral::Event::PairedTooWeakly { security: Security::Encrypted, .. })
    };
    assert_eq!(device.log.count(told), 1);
}

#[test]
fn pairing_without_a_passkey_does_not_take_the_place_of_a_bond_that_had_one() {
    for access in [Access::Authenticated, Access::Encrypted] {
        let air = air();
        let device = Device::with_access(&air, access);
        simulate(&air, &device, async {
            let level =
                raw::central(&air, OWN, IoCapabilities::KeyboardOnly, async |raw| pair_raw(&raw, Some(&device)).await);
            assert_eq!(level.await, Ok(SecurityLevel::EncryptedAuthenticated));
            let before = bonds(&device);
            assert_eq!(before.len(), 1);
            // Somebody else with the same address.
            let level =
                raw::central(&air, OWN, IoCapabilities::NoInputNoOutput, async |raw| pair_raw(&raw, None).await);
            assert_eq!(level.await, Ok(SecurityLevel::Encrypted));
            assert_eq!(bonds(&device), before, "{access:?}");
        });
    }
}

#[test]
fn a_client_that_wants_a_passkey_does_not_do_without() {
    for access in [Access::Open, Access::Encrypted] {
        let air = air();
        let device = Device::with_access(&air, access);
        let client = Client::new(&air, 1);
        simulate(&air, &device, async {
            let failure = client.session(None, client.ask(&request(1, 9))).await.unwrap_err();
            assert_eq!(failure, Failure::NoPasskey { peer: DEVICE }, "{access:?}");
            Timer::after_secs(1).await;
            client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        });
        assert_eq!(ready(&client), Some(Security::Authenticated), "{access:?}");
        assert_eq!(device.handler.links.borrow().len(), 1, "{access:?}");
    }
}

#[test]
fn a_client_that_is_told_to_does_without_a_passkey() {
    let air = air();
    let device = Device::with_access(&air, Access::Open);
    let client = Client::new(&air, 1);
    client.config.replace_with(|config| config.clone().minimum(Security::None));
    simulate(&air, &device, async {
        let answer = client.session(None, client.ask(&request(1, 9))).await.unwrap();
        assert_eq!(answer, echo(&request(1, 9)));
    });
    assert_eq!(ready(&client), Some(Security::None));
}

/// What the last link was worth.
fn ready(client: &Client) -> Option<Security> {
    client.log.find(|event| match event {
        central::Event::Ready { security, .. } => Some(*security),
        _ => None,
    })
}

#[test]
fn a_device_that_cannot_show_a_passkey_is_refused_in_words() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    let failure = simulate(&air, &device, async {
        device.power_off();
        let request = request(1, 9);
        let attempt = client.session(None, client.ask(&request));
        match select(raw::peripheral(&air, DEVICE, IoCapabilities::NoInputNoOutput), attempt).await {
            Either::First(never) => match never {},
            Either::Second(result) => result.unwrap_err(),
        }
    });
    insta::assert_snapshot!(failure, @"C1:00:00:00:00:0D offers a link that is encrypted, not authenticated; one that is encrypted and authenticated is wanted");
    assert_eq!(ready(&client), None);
    client.bonds.for_each(|bond| panic!("remembers {bond:?}"));
}

#[test]
fn a_bond_is_worth_no_less_for_being_said_to_be_lost() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    // Also of a client that would take any link of a device it does not know.
    client.config.replace_with(|config| config.clone().minimum(Security::None));
    simulate(&air, &device, async {
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        let mut before = Vec::new();
        client.bonds.for_each(|bond| before.push(*bond));
        assert_eq!(before.len(), 1);
        device.power_off();
        client.log.clear();
        // Somebody else takes the device's address and name, and asks for no pairing.
        let request = request(2, 9);
        let attempt = client.session(None, client.ask(&request));
        match select(raw::peripheral(&air, DEVICE, IoCapabilities::NoInputNoOutput), attempt).await {
            Either::First(never) => match never {},
            Either::Second(result) => {
                let (security, required) = (Security::Encrypted, Security::Authenticated);
                assert_eq!(result, Err(Failure::TooWeak { peer: DEVICE, security, required }));
            }
        }
        let lost = |event: &central::Event| matches!(event, central::Event::BondLost { pairing_again: true, .. });
        assert_eq!(client.log.count(lost), 1);
        assert_eq!(ready(&client), None);
        client.bonds.for_each(|bond| assert_eq!(*bond, before[0], "the bond with the real device is still there"));
    });
}

#[test]
fn a_bond_that_is_worth_too_little_now_is_made_again() {
    let air = air();
    let device = Device::with_access(&air, Access::Encrypted);
    let client = Client::new(&air, 1);
    let weak = BondRecord { peer: DEVICE, irk: None, ltk: [7; 16], security: Security::Encrypted };
    simulate(&air, &device, async {
        client.bonds.save(&weak).await.unwrap();
        device.bonds.save(&BondRecord { peer: client.own(), ..weak }).await.unwrap();
        device.reboot();
        Timer::after_millis(10).await;
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
    });
    assert_eq!(ready(&client), Some(Security::Authenticated));
    client.bonds.for_each(|bond| assert_eq!(bond.security, Security::Authenticated));
}

#[test]
fn of_devices_with_one_name_the_bonded_one_is_meant() {
    let air = air();
    let (device, namesake, client) = (Device::new(&air), Device::new(&air), Client::new(&air, 1));
    let other = Address::random_static([0xc1, 0, 0, 0, 0, 0x0e]);
    namesake.config.replace_with(|config| config.clone().address(other).unwrap());
    simulate(&air, &device, async {
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
        let sessions = async {
            for _ in 0..8 {
                client.session(None, client.ask(&request(1, 9))).await.unwrap();
            }
        };
        match select(Box::pin(namesake.run()), sessions).await {
            Either::First(error) => panic!("the namesake's controller failed: {error}"),
            Either::Second(()) => {}
        }
    });
    assert_eq!(namesake.log.count(|event| matches!(event, peripheral::Event::Connected { .. })), 0);
}

#[test]
fn an_address_is_not_a_bond() {
    let air = air();
    let device = Device::with_access(&air, Access::Open);
    simulate(&air, &device, async {
        let paired =
            raw::central(&air, OWN, IoCapabilities::KeyboardOnly, async |raw| pair_raw(&raw, Some(&device)).await);
        assert_eq!(paired.await, Ok(SecurityLevel::EncryptedAuthenticated));
        assert_eq!(bonds(&device).len(), 1);
        // Somebody else with the same address: without encryption, and paired without a passkey.
        for pairs in [false, true] {
            raw::central(&air, OWN, IoCapabilities::NoInputNoOutput, async |raw| {
                if pairs {
                    assert_eq!(pair_raw(&raw, None).await, Ok(SecurityLevel::Encrypted));
                }
                let mut answers = raw.client.subscribe(&raw.smp, false).await.unwrap();
                raw.client.write_characteristic_without_response(&raw.smp, &request(1, 9)).await.unwrap();
                assert_eq!(answers.next().await.as_ref(), echo(&request(1, 9)));
            })
            .await;
        }
    });
    let links = device.handler.links.borrow();
    let seen: Vec<_> = links.iter().map(|link| (link.security, link.bonded)).collect();
    assert_eq!(seen, [(Security::None, false), (Security::Encrypted, false)]);
}

#[test]
fn failed_pairings_make_the_next_one_wait_longer_and_longer() {
    let air = air();
    let (device, client) = (Device::new(&air), Client::new(&air, 1));
    simulate(&air, &device, async {
        for expected in [1, 2, 4] {
            let failure = client.session(Misreads(&device), client.ask(&request(1, 9))).await.unwrap_err();
            assert!(matches!(failure, Failure::Pairing { .. }), "{failure}");
            let rest = device.log.find(|event| match event {
                peripheral::Event::PairingFailed { rest, .. } => Some(*rest),
                _ => None,
            });
            assert_eq!(rest, Some(Duration::from_secs(expected)));
            if expected < 4 {
                Timer::after_secs(expected).await;
            }
        }
        // Too soon, also with the right passkey, also from another address.
        let other = Client::new(&air, 2);
        let failure = other.session(Reads(&device), other.ask(&request(1, 9))).await.unwrap_err();
        assert_eq!(failure, Failure::PairingRefused { peer: DEVICE, reason: 0x05 });
        assert_eq!(device.log.count(|event| matches!(event, peripheral::Event::PairingRefused { .. })), 1);
        Timer::after_secs(4).await;
        other.session(Reads(&device), other.ask(&request(1, 9))).await.unwrap();
        // The right passkey ends the waiting.
        client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
    });
}

#[test]
fn a_passkey_is_new_for_every_pairing_unless_it_is_fixed() {
    let air = air();
    let device = Device::new(&air);
    let shown = simulate(&air, &device, async {
        let mut shown = Vec::new();
        for fixed in [None, None, Passkey::new(123_456), Passkey::new(123_456)] {
            if let Some(passkey) = fixed {
                device.config.replace_with(|config| config.clone().fixed_passkey(passkey));
            }
            forget(&device).await;
            let client = Client::new(&air, 1);
            client.session(Reads(&device), client.ask(&request(1, 9))).await.unwrap();
            shown.push(device.display.take().unwrap());
        }
        shown
    });
    assert_ne!(shown[0], shown[1]);
    assert_eq!(shown[2..], [Passkey::new(123_456).unwrap(); 2]);
    let fixed = |event: &peripheral::Event| matches!(event, peripheral::Event::Passkey { fixed: true, .. });
    assert_eq!(device.log.count(fixed), 2);
}

#[test]
fn a_link_that_stays_unsecured_has_to_make_room() {
    let air = air();
    let device = Device::new(&air);
    let lasted = simulate(&air, &device, async {
        raw::central(&air, OWN, IoCapabilities::NoInputNoOutput, async |raw| {
            let start = Instant::now();
            while !matches!(raw.connection.next().await, ConnectionEvent::Disconnected { .. }) {}
            start.elapsed()
        })
        .await
    });
    assert!((58..=61).contains(&lasted.as_secs()), "{} s", lasted.as_secs());
    assert_eq!(device.log.count(|event| matches!(event, peripheral::Event::UnsecuredClosed { .. })), 1);
}

#[test]
fn a_device_that_is_not_there_is_not_found() {
    let air = air();
    let device = Device::new(&air);
    let client = Client::new(&air, 1);
    client.config.replace(central::Config::new(Target::Name("door"), OWN));
    simulate(&air, &device, async {
        let failure = client.session(None, client.ask(&request(1, 9))).await.unwrap_err();
        assert_eq!(failure, Failure::NotFound { seconds: 10, others: 1 });
    });
}

#[test]
fn a_controller_that_does_not_answer_is_not_waited_for() {
    let air = air();
    let device = Device::new(&air);
    simulate(&air, &device, async {
        let controller = ExternalController::<Silent, 10>::new(Silent);
        let mut resources = Box::new(central::Resources::<CentralHeapPool, FRAME>::new());
        let (frames, bonds, config) = (Frames::new(), RamBonds::new(), central::Config::new(Target::Name(NAME), OWN));
        let ended = central::run(&controller, &mut resources, &config, &bonds, &mut None, &frames, &|_| {}).await;
        assert_eq!(ended, Err(Failure::TimedOut { step: Step::Starting, seconds: 5 }));
    });
}

/// A controller that takes everything and says nothing.
struct Silent;

impl embedded_io::ErrorType for Silent {
    type Error = HciError;
}

impl Transport for Silent {
    async fn read<'a, P: PacketToHost<'a>>(&self, _rx: &'a mut [u8]) -> Result<P, HciError> {
        core::future::pending().await
    }

    async fn write<P: PacketToController>(&self, _packet: &P) -> Result<(), HciError> {
        Ok(())
    }
}
