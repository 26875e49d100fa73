//! Every row of the tables, and every refusal's words.

use super::*;
use SecurityLevel::{L1, L2, L3, L4};
use std::string::ToString;

fn ble(level: SecurityLevel) -> Link {
    Link::ble(1, level, false)
}

#[test]
fn what_no_rule_allows_is_denied() {
    for transport in Transport::ALL {
        for action in Action::ALL {
            for level in [L1, L2, L3, L4] {
                let link = Link { transport, level, bonded: true, connection: None };
                assert_eq!(Policy::deny_all().decide(action, &link), Err(Refusal::Closed { transport }));
                let nothing = Policy::deny_all().with(transport, Access::nothing());
                assert_eq!(nothing.decide(action, &link), Err(Refusal::Never { action, transport }));
            }
        }
    }
}

#[test]
fn a_preset_allows_everything_from_its_level_up_but_confirming_what_never_ran() {
    for (access, least) in [(Access::open(), L1), (Access::encrypted(), L2), (Access::authenticated(), L3)] {
        let policy = Policy::deny_all().with(Transport::Ble, access);
        assert_eq!(access.entry_level(), Some(least));
        for action in Action::ALL {
            for level in [L1, L2, L3, L4] {
                let allowed = level >= least && action != Action::ConfirmUntested;
                assert_eq!(policy.decide(action, &ble(level)).is_ok(), allowed, "{action} at {level:?}");
            }
        }
    }
}

#[test]
fn an_access_for_one_transport_opens_no_other() {
    let policy = Policy::deny_all().with(Transport::Serial, Access::open());
    assert!(policy.decide(Action::Observe, &Link::serial()).is_ok());
    assert!(policy.decide(Action::Observe, &Link::udp()).is_err());
    assert!(policy.decide(Action::Observe, &ble(L4)).is_err());
}

#[test]
fn single_actions_can_be_allowed_and_denied() {
    let access =
        Access::authenticated().allow(Action::Observe, L1).deny(Action::Reset).allow(Action::ConfirmUntested, L4);
    let policy = Policy::deny_all().with(Transport::Ble, access);
    assert_eq!(access.entry_level(), Some(L1));
    assert!(policy.decide(Action::Observe, &ble(L1)).is_ok());
    assert!(policy.decide(Action::Upload, &ble(L2)).is_err());
    assert!(policy.decide(Action::Reset, &ble(L4)).is_err());
    assert!(policy.decide(Action::ConfirmUntested, &ble(L3)).is_err());
    assert!(policy.decide(Action::ConfirmUntested, &ble(L4)).is_ok());
}

#[test]
fn bonded_only_asks_for_the_level_first_and_then_for_the_bond() {
    let policy = Policy::deny_all().with(Transport::Ble, Access::authenticated().bonded_only());
    let action = Action::Upload;
    assert!(matches!(policy.decide(action, &Link::ble(0, L1, true)), Err(Refusal::Level { .. })));
    assert_eq!(policy.decide(action, &Link::ble(0, L4, false)), Err(Refusal::NotBonded { action }));
    assert!(policy.decide(action, &Link::ble(0, L4, true)).is_ok());
}

#[test]
fn refusals_say_what_is_missing_and_what_to_do() {
    let words = |access: Access, action, link: Link| {
        Policy::deny_all().with(link.transport, access).decide(action, &link).unwrap_err().to_string()
    };
    insta::assert_snapshot!(Policy::deny_all().decide(Action::Observe, &Link::udp()).unwrap_err(),
        @"this device takes no commands over UDP: use another transport");
    insta::assert_snapshot!(words(Access::open(), Action::ConfirmUntested, Link::serial()),
        @"confirming an untested image is not allowed over serial: test it, reset, and confirm it once it runs");
    insta::assert_snapshot!(words(Access::open().deny(Action::Reset), Action::Reset, ble(L4)),
        @"resetting is not allowed over Bluetooth");
    insta::assert_snapshot!(words(Access::encrypted(), Action::Erase, ble(L1)),
        @"erasing a slot needs security level 2, this link has 1: pair with the device");
    insta::assert_snapshot!(words(Access::authenticated(), Action::Test, ble(L2)),
        @"testing an image needs security level 3, this link has 2: pair with the passkey of the device");
    insta::assert_snapshot!(words(Access::nothing().allow(Action::Confirm, L4), Action::Confirm, ble(L3)),
        @"confirming the running image needs security level 4, this link has 3: pair by LE Secure Connections and passkey");
    insta::assert_snapshot!(words(Access::authenticated(), Action::SetClock, Link::udp()),
        @"setting the clock needs security level 3, this link has 1: use Bluetooth, which can be protected");
    insta::assert_snapshot!(words(Access::open().bonded_only(), Action::Upload, ble(L4)),
        @"uploading needs a bond: pair again and let both sides keep the keys");
}

#[test]
fn every_refusal_fits_an_answer() {
    for action in Action::ALL {
        for transport in Transport::ALL {
            for refusal in [
                Refusal::Closed { transport },
                Refusal::Never { action, transport },
                Refusal::Level { action, transport, needed: L4, level: L3 },
                Refusal::Level { action, transport, needed: L2, level: L1 },
                Refusal::NotBonded { action },
            ] {
                assert!(refusal.to_string().len() <= 112, "{} bytes: {refusal}", refusal.to_string().len());
            }
        }
    }
}
