//! Which PDUs trouble-host can digest.

/// The L2CAP channel of the attribute protocol.
const ATT: [u8; 2] = [4, 0];

/// The smallest ATT_MTU there is (Core, Vol 3 Part F 3.2.8).
const MIN_ATT_MTU: u16 = 23;

/// May trouble-host have the PDU that starts with `start` (L2CAP header first)?
pub(super) fn is_sound(start: &[u8]) -> bool {
    let [length_low, length_high, channel_low, channel_high, att @ ..] = start else { return false };
    if [*channel_low, *channel_high] != ATT {
        return true;
    }
    let length = u16::from_le_bytes([*length_low, *length_high]);
    let [opcode, parameters @ ..] = att else { return false };
    match (*opcode, length) {
        // Error Response: to a request, not to a command (bit 6 of its opcode).
        (0x01, 5) => matches!(parameters, [request, ..] if request & 0x40 == 0),
        // Exchange MTU Request and Response.
        (0x02 | 0x03, 3) => {
            matches!(parameters, [low, high, ..] if u16::from_le_bytes([*low, *high]) >= MIN_ATT_MTU)
        }
        // Find Information, Read, Read Blob, Execute Write Requests; Read By Group Type Request with a 16-bit type.
        (0x04 | 0x0c, 5) | (0x0a, 3) | (0x18, 2) | (0x10, 7) => true,
        // Read By Type Request with a 16-bit or 128-bit type.
        (0x08, 7 | 21) => true,
        // Find By Type Value, Read Multiple, Write, Prepare Write Requests, Write Command.
        (0x06, 7..) | (0x0e | 0x16, 5..) | (0x12 | 0x52, 3..) => true,
        // Find Information, Find By Type Value Responses; Notification, Indication.
        (0x05, 6..) | (0x07, 5..) | (0x1b | 0x1d, 3..) => true,
        // Read By Type Response: entries of one length, a handle and at least one byte.
        (0x09, 5..) => matches!(parameters, [entry, ..] if *entry > 2),
        // Read By Group Type Response, the same with two handles.
        (0x11, 7..) => matches!(parameters, [entry, ..] if *entry > 4),
        (0x01..=0x12 | 0x16 | 0x18 | 0x1b | 0x1d | 0x52, _) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn att(pdu: &[u8]) -> Vec<u8> {
        let mut packet = vec![u8::try_from(pdu.len()).unwrap(), 0, 4, 0];
        packet.extend_from_slice(pdu);
        packet
    }

    #[test]
    fn well_formed_pdus_pass() {
        for pdu in [
            &[0x02, 247, 0][..],
            &[0x04, 1, 0, 0xff, 0xff],
            &[0x06, 1, 0, 0xff, 0xff, 0, 0x28, 0x0f, 0x18],
            &[0x08, 1, 0, 0xff, 0xff, 3, 0x28],
            &[0x08, 1, 0, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            &[0x0a, 1, 0],
            &[0x10, 1, 0, 0xff, 0xff, 0, 0x28],
            &[0x12, 1, 0],
            &[0x52, 1, 0, 1, 2, 3],
            &[0x01, 0x12, 1, 0, 5],
            &[0x09, 7, 1, 0, 2, 3, 0, 0, 0],
            &[0x13],
            &[0x1b, 1, 0],
        ] {
            assert!(is_sound(&att(pdu)), "{pdu:02x?}");
        }
        assert!(is_sound(&[0, 0, 6, 0]), "other channels are not this guard's");
    }

    #[test]
    fn what_panics_trouble_host_or_confuses_a_client_is_stopped() {
        // Every request cut short of its parameters.
        for (opcode, whole) in [
            (2, 3),
            (4, 5),
            (6, 7),
            (8, 7),
            (0xa, 3),
            (0xc, 5),
            (0xe, 5),
            (0x10, 7),
            (0x12, 3),
            (0x16, 5),
            (0x18, 2),
            (0x52, 3),
        ] {
            for length in 1..whole {
                let mut pdu = vec![0; length];
                pdu[0] = opcode;
                assert!(!is_sound(&att(&pdu)), "opcode {opcode:#04x}, {length} bytes");
            }
        }
        let mut group_type_128 = vec![0x10, 1, 0, 0xff, 0xff];
        group_type_128.resize(21, 7);
        for pdu in [
            &[][..],
            &group_type_128,
            &[0x02, 22, 0],
            &[0x01, 0x52, 1, 0, 5],
            &[0x01, 0x12, 1, 0],
            &[0x09, 2, 1, 0, 0, 0],
            &[0x1b, 1],
        ] {
            assert!(!is_sound(&att(pdu)), "{pdu:02x?}");
        }
        for start in [&[][..], &[1, 0, 4], &[3, 0, 4, 0]] {
            assert!(!is_sound(start), "{start:02x?}");
        }
    }

    /// The panics are trouble-host's: when this test fails, an upgrade has mended them and the guard can shrink.
    #[test]
    fn trouble_host_still_panics_on_them() {
        for pdu in
            [&[0x0a][..], &[0x52], &[0x10, 1, 0, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]]
        {
            let pdu = pdu.to_vec();
            assert!(
                std::panic::catch_unwind(move || {
                    let _ = trouble_host::att::Att::decode(&pdu);
                })
                .is_err()
            );
        }
    }
}
