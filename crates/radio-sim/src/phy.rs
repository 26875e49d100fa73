//! How long things take on the air (Core Specification Vol 6 Part B, 2.1 and 4.1), and what a link can carry at most.

/// The modulation that a packet is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phy {
    /// One million symbols per second: 8 µs per byte.
    Le1M,
    /// Two million symbols per second: 4 µs per byte.
    Le2M,
}

/// Microseconds between two packets of a connection event.
pub const T_IFS: u64 = 150;

/// Bytes of the message integrity check behind each encrypted payload that is not empty.
pub const MIC: usize = 4;

impl Phy {
    /// Microseconds that a link-layer PDU with `payload` bytes behind its header takes, the MIC counted as payload.
    #[must_use]
    pub const fn air_time(self, payload: usize) -> u64 {
        // Preamble, access address, header, payload, CRC.
        match self {
            Self::Le1M => (1 + 4 + 2 + payload as u64 + 3) * 8,
            Self::Le2M => (2 + 4 + 2 + payload as u64 + 3) * 4,
        }
    }

    /// The most payload bytes, without MIC, that fit into `micros` of an encrypted packet.
    pub(crate) const fn octets_in(self, micros: u16) -> u16 {
        match self {
            Self::Le1M => (micros / 8).saturating_sub(10 + MIC as u16),
            Self::Le2M => (micros / 4).saturating_sub(11 + MIC as u16),
        }
    }

    /// The number that HCI gives this PHY.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Le1M => 1,
            Self::Le2M => 2,
        }
    }
}

/// The most that a link can carry in one direction: ATT payload bytes per second when writes without response of
/// `write` bytes follow each other over an encrypted link without loss, and the other side has nothing to send.
///
/// `interval` is the connection interval in microseconds, `octets` the longest link-layer payload (27 to 251). Whole
/// exchanges (packet, T_IFS, empty packet, T_IFS) are packed into each interval.
#[must_use]
pub fn link_limit(phy: Phy, interval: u64, octets: usize, write: usize) -> f64 {
    /// Behind the L2CAP and ATT headers.
    const HEADERS: usize = 4 + 3;
    /// Long enough that a write cut by the end matters no more.
    const EVENTS: u64 = 10_000;
    if write == 0 || octets == 0 {
        return 0.0;
    }
    let mut written = 0_u64;
    let mut left = write + HEADERS;
    for _ in 0..EVENTS {
        let mut used = 0;
        loop {
            let payload = left.min(octets);
            used += phy.air_time(payload + MIC) + T_IFS + phy.air_time(0) + T_IFS;
            if used > interval {
                break;
            }
            left -= payload;
            if left == 0 {
                written += write as u64;
                left = write + HEADERS;
            }
        }
    }
    written as f64 * 1e6 / (EVENTS * interval).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn air_times_are_those_of_the_literature() {
        assert_eq!(Phy::Le1M.air_time(0), 80);
        assert_eq!(Phy::Le2M.air_time(0), 44);
        assert_eq!(Phy::Le1M.air_time(251 + MIC), 2120);
        assert_eq!(Phy::Le2M.air_time(251 + MIC), 1064);
        assert_eq!(Phy::Le1M.octets_in(2120), 251);
        assert_eq!(Phy::Le2M.octets_in(1064), 251);
        assert_eq!(Phy::Le1M.octets_in(328), 27, "what every controller starts with");
    }

    /// The theory rows of the published tables, in kB/s.
    #[test]
    fn limits_are_those_of_the_tables() {
        let rows = [
            (Phy::Le1M, 251, 244, ["97.6", "97.6", "97.6", "97.6"]),
            (Phy::Le1M, 251, 495, ["99.0", "99.0", "99.0", "99.0"]),
            (Phy::Le2M, 251, 244, ["162.7", "162.7", "170.8", "170.8"]),
            (Phy::Le2M, 251, 495, ["165.0", "165.0", "173.2", "173.2"]),
            (Phy::Le1M, 27, 244, ["32.5", "34.2", "35.0", "35.1"]),
            (Phy::Le2M, 27, 244, ["45.5", "47.2", "48.0", "48.3"]),
        ];
        for (phy, octets, write, expected) in rows {
            let limits = [7_500, 15_000, 30_000, 50_000]
                .map(|interval| format!("{:.1}", link_limit(phy, interval, octets, write) / 1000.0));
            assert_eq!(limits, expected, "{phy:?} {octets} {write}");
        }
    }
}
