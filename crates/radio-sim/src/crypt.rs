//! Encryption of links: session keys and AES-CCM (Core Specification Vol 6 Part B, 5.1.3.1 and Part E).

use crate::phy::MIC;
use aes::Aes128;
use aes::cipher::{BlockEncrypt, KeyInit};
use ccm::Ccm;
use ccm::aead::AeadInPlace;
use ccm::consts::{U4, U13};

/// AES-128 of one block. All values least significant byte first, as HCI and the link layer have them.
pub(crate) fn aes(key: [u8; 16], plain: [u8; 16]) -> [u8; 16] {
    let (mut key, mut block) = (key, plain);
    key.reverse();
    block.reverse();
    let mut block = block.into();
    Aes128::new(&key.into()).encrypt_block(&mut block);
    let mut block: [u8; 16] = block.into();
    block.reverse();
    block
}

/// What both ends of a link contribute to a session: a diversifier and an initialisation vector, in the byte order of
/// LL_ENC_REQ and LL_ENC_RSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) skd: [u8; 8],
    pub(crate) iv: [u8; 4],
}

/// The keys of one encrypted session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    key: [u8; 16],
    iv: [u8; 8],
}

impl Session {
    pub(crate) fn new(ltk: [u8; 16], central: Share, peripheral: Share) -> Self {
        let (mut skd, mut iv) = ([0; 16], [0; 8]);
        skd[..8].copy_from_slice(&central.skd);
        skd[8..].copy_from_slice(&peripheral.skd);
        iv[..4].copy_from_slice(&central.iv);
        iv[4..].copy_from_slice(&peripheral.iv);
        Self { key: aes(ltk, skd), iv }
    }
}

/// Encrypts or decrypts the packets of one direction, in their order.
pub(crate) struct Cipher {
    ccm: Ccm<Aes128, U4, U13>,
    iv: [u8; 8],
    from_central: bool,
    /// Packets so far.
    count: u64,
}

impl Cipher {
    pub(crate) fn new(session: &Session, from_central: bool) -> Self {
        let mut key = session.key;
        key.reverse();
        Self { ccm: Ccm::new(&key.into()), iv: session.iv, from_central, count: 0 }
    }

    /// The nonce of the next packet: its number, the direction bit and the initialisation vector.
    fn nonce(&mut self) -> [u8; 13] {
        let mut nonce = [0; 13];
        nonce[..5].copy_from_slice(&self.count.to_le_bytes()[..5]);
        nonce[4] = nonce[4] & 0x7f | u8::from(self.from_central) << 7;
        nonce[5..].copy_from_slice(&self.iv);
        self.count += 1;
        nonce
    }

    /// Encrypts `payload` in place and puts the MIC behind it. `header` is the first byte of the PDU.
    pub(crate) fn seal(&mut self, header: u8, payload: &mut Vec<u8>) {
        let nonce = self.nonce();
        // Fails for payloads longer than the length field of the nonce's format can say, 65535 bytes.
        if let Ok(mic) = self.ccm.encrypt_in_place_detached(&nonce.into(), &[header & AUTHENTICATED], payload) {
            payload.extend_from_slice(&mic);
        }
    }

    /// Decrypts `payload` in place and takes the MIC off. `None` if that does not fit.
    #[must_use]
    pub(crate) fn open(&mut self, header: u8, payload: &mut Vec<u8>) -> Option<()> {
        let nonce = self.nonce();
        let mic = payload.split_off(payload.len().checked_sub(MIC)?);
        let mic = mic.as_slice().into();
        self.ccm.decrypt_in_place_detached(&nonce.into(), &[header & AUTHENTICATED], payload, mic).ok()
    }
}

impl core::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cipher").field("count", &self.count).finish_non_exhaustive()
    }
}

/// The bits of the header that the MIC covers: all but NESN, SN and MD, which change with retransmissions.
const AUTHENTICATED: u8 = 0b1110_0011;

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample data of the Core Specification, Vol 6 Part C, 1.1.
    fn sample() -> Session {
        let mut ltk = 0x4C68_3841_39F5_74D8_36BC_F34E_9DFB_01BF_u128.to_be_bytes();
        ltk.reverse();
        let share = |skd: u64, iv: u32| Share { skd: skd.to_le_bytes(), iv: iv.to_le_bytes() };
        Session::new(ltk, share(0xACBD_CEDF_E0F1_0213, 0xBADC_AB24), share(0x0213_2435_4657_6879, 0xDEAF_BABE))
    }

    #[test]
    fn the_session_key_is_that_of_the_specification() {
        let session = sample();
        assert_eq!(u128::from_le_bytes(session.key), 0x99AD_1B52_26A3_7E3E_058E_3B8E_27C2_C666);
        assert_eq!(session.iv, [0x24, 0xAB, 0xDC, 0xBA, 0xBE, 0xBA, 0xAF, 0xDE]);
    }

    #[test]
    fn packets_are_those_of_the_specification() {
        let session = sample();
        let mut start = vec![0x06];
        Cipher::new(&session, true).seal(0x0f, &mut start);
        assert_eq!(start, [0x9f, 0xcd, 0xa7, 0xf4, 0x48]);
        let mut start = vec![0x06];
        Cipher::new(&session, false).seal(0x07, &mut start);
        assert_eq!(start, [0xa3, 0x4c, 0x13, 0xa4, 0x15]);
    }

    #[test]
    fn what_was_sealed_opens_once_in_order_and_in_its_direction() {
        let session = sample();
        let (mut tx, mut rx) = (Cipher::new(&session, true), Cipher::new(&session, true));
        let mut packets: Vec<Vec<u8>> = (0..3).map(|i| vec![i; 27]).collect();
        packets.iter_mut().for_each(|packet| tx.seal(0x02, packet));
        for (i, packet) in (0..).zip(&packets) {
            let mut packet = packet.clone();
            // Sequence bits and MD may differ; what kind of packet it is may not.
            assert_eq!(rx.open(0x1e, &mut packet), Some(()));
            assert_eq!(packet, vec![i; 27]);
        }
        assert_eq!(rx.open(0x02, &mut packets[2].clone()), None, "a replay");
        let first = packets[0].clone();
        assert_eq!(Cipher::new(&session, true).open(0x01, &mut first.clone()), None, "another kind");
        assert_eq!(Cipher::new(&session, false).open(0x02, &mut first.clone()), None, "the other direction");
        assert_eq!(Cipher::new(&session, true).open(0x02, &mut first[..3].to_vec()), None, "no room for a MIC");
    }
}
