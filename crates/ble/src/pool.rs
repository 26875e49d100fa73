//! Packet pools: where trouble-host keeps L2CAP packets on their way in and out.
//!
//! trouble-host's own pool is one static for the whole process. Here each role has a type of its own, so that a client
//! and a device in one program cannot starve each other: [`PeripheralPool`] and [`CentralPool`] in static memory, and with
//! the feature `std` `PeripheralHeapPool` and `CentralHeapPool`, counted per thread. [`packet_pool!`](crate::packet_pool)
//! makes another size.

use core::cell::RefCell;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use static_cell::ConstStaticCell;
use trouble_host::Packet;

/// Bytes of one packet: an ATT_MTU of 498 and the L2CAP header. Two link-layer PDUs of 251 carry exactly this, and five
/// of them the field's usual SMP frame of 2475 bytes.
pub const PACKET: usize = 502;

/// Packets of [`PeripheralPool`]: a window of four frames of 2475 bytes in ATT_MTU 498 is 20, the transmit queue holds 8.
pub const PERIPHERAL_PACKETS: usize = 32;

/// Packets of [`CentralPool`].
pub const CENTRAL_PACKETS: usize = 64;

/// `N` packets in static memory. Made by [`packet_pool!`](crate::packet_pool).
pub struct StaticPool<const N: usize> {
    store: ConstStaticCell<[[u8; PACKET]; N]>,
    free: Mutex<CriticalSectionRawMutex, RefCell<heapless::Vec<&'static mut [u8; PACKET], N>>>,
}

impl<const N: usize> StaticPool<N> {
    /// All packets free.
    #[expect(clippy::new_without_default, reason = "for statics only, which Default cannot make")]
    pub const fn new() -> Self {
        Self { store: ConstStaticCell::new([[0; PACKET]; N]), free: Mutex::new(RefCell::new(heapless::Vec::new())) }
    }

    /// Takes a packet; `None` when all are in use.
    pub fn allocate(&'static self) -> Option<StaticPacket<N>> {
        self.free.lock(|free| {
            let mut free = free.borrow_mut();
            if let Some(store) = self.store.try_take() {
                free.extend(store);
            }
            free.pop().map(|bytes| StaticPacket { bytes: Some(bytes), home: self })
        })
    }
}

/// A packet of a [`StaticPool`]; goes back there when dropped.
pub struct StaticPacket<const N: usize> {
    bytes: Option<&'static mut [u8; PACKET]>,
    home: &'static StaticPool<N>,
}

impl<const N: usize> Packet for StaticPacket<N> {}

impl<const N: usize> AsRef<[u8]> for StaticPacket<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| bytes.as_slice())
    }
}

impl<const N: usize> AsMut<[u8]> for StaticPacket<N> {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.as_mut().map_or(&mut [], |bytes| bytes.as_mut_slice())
    }
}

impl<const N: usize> Drop for StaticPacket<N> {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            // Cannot be full: the list has room for every packet there is.
            self.home.free.lock(|free| free.borrow_mut().push(bytes).ok());
        }
    }
}

/// Makes a type whose packets live in a static of its own: `packet_pool!(pub MyPool, 24);`
#[macro_export]
macro_rules! packet_pool {
    ($(#[$meta:meta])* $visibility:vis $name:ident, $count:expr) => {
        $(#[$meta])*
        $visibility struct $name;

        impl $crate::trouble_host::PacketPool for $name {
            type Packet = $crate::pool::StaticPacket<{ $count }>;
            const MTU: usize = $crate::pool::PACKET;

            fn allocate() -> Option<Self::Packet> {
                static POOL: $crate::pool::StaticPool<{ $count }> = $crate::pool::StaticPool::new();
                POOL.allocate()
            }

            fn capacity() -> usize {
                $count
            }
        }
    };
}

packet_pool!(
    /// The device's packets, 16 KiB of static memory.
    pub PeripheralPool, PERIPHERAL_PACKETS
);
packet_pool!(
    /// The client's packets, 31 KiB of static memory.
    pub CentralPool, CENTRAL_PACKETS
);

#[cfg(feature = "std")]
pub use heap::{CentralHeapPool, HeapPacket, PeripheralHeapPool};

#[cfg(feature = "std")]
mod heap {
    extern crate std;

    use std::boxed::Box;
    use std::cell::Cell;
    use std::thread::LocalKey;

    use trouble_host::{Packet, PacketPool};

    use super::{CENTRAL_PACKETS, PACKET, PERIPHERAL_PACKETS};

    /// A packet on the heap, counted against its thread's pool.
    pub struct HeapPacket {
        bytes: Box<[u8; PACKET]>,
        in_use: &'static LocalKey<Cell<usize>>,
    }

    impl HeapPacket {
        fn allocate(in_use: &'static LocalKey<Cell<usize>>, capacity: usize) -> Option<Self> {
            let count = in_use.get();
            (count < capacity).then(|| {
                in_use.set(count.saturating_add(1));
                Self { bytes: Box::new([0; PACKET]), in_use }
            })
        }
    }

    impl Packet for HeapPacket {}

    impl AsRef<[u8]> for HeapPacket {
        fn as_ref(&self) -> &[u8] {
            self.bytes.as_slice()
        }
    }

    impl AsMut<[u8]> for HeapPacket {
        fn as_mut(&mut self) -> &mut [u8] {
            self.bytes.as_mut_slice()
        }
    }

    impl Drop for HeapPacket {
        fn drop(&mut self) {
            // Fails only while the thread ends, when nobody counts any more.
            let _ = self.in_use.try_with(|count| count.set(count.get().saturating_sub(1)));
        }
    }

    macro_rules! heap_pool {
        ($(#[$meta:meta])* $name:ident, $count:expr) => {
            $(#[$meta])*
            pub struct $name;

            impl PacketPool for $name {
                type Packet = HeapPacket;
                const MTU: usize = PACKET;

                fn allocate() -> Option<HeapPacket> {
                    std::thread_local!(static IN_USE: Cell<usize> = const { Cell::new(0) });
                    HeapPacket::allocate(&IN_USE, $count)
                }

                fn capacity() -> usize {
                    $count
                }
            }
        };
    }

    heap_pool!(
        /// As many packets as [`PeripheralPool`](super::PeripheralPool) has, for each thread.
        PeripheralHeapPool, PERIPHERAL_PACKETS
    );
    heap_pool!(
        /// As many packets as [`CentralPool`](super::CentralPool) has, for each thread.
        CentralHeapPool, CENTRAL_PACKETS
    );
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;
    use trouble_host::PacketPool;

    packet_pool!(Small, 3);

    #[test]
    fn a_pool_gives_what_it_has_and_takes_it_back() {
        let mut packets: Vec<_> = (0..3).map(|_| Small::allocate().unwrap()).collect();
        assert!(Small::allocate().is_none());
        packets[0].as_mut()[PACKET - 1] = 7;
        assert_eq!(packets[0].as_ref().len(), PACKET);
        packets.pop();
        assert!(Small::allocate().is_some(), "the packet just allocated is back as well");
        drop(packets);
        assert_eq!((0..4).map_while(|_| Small::allocate()).collect::<Vec<_>>().len(), 3);
    }

    #[cfg(feature = "std")]
    #[test]
    fn roles_and_threads_do_not_share_packets() {
        let all: Vec<_> = core::iter::from_fn(PeripheralHeapPool::allocate).collect();
        assert_eq!(all.len(), PERIPHERAL_PACKETS);
        assert!(CentralHeapPool::allocate().is_some());
        assert!(std::thread::spawn(|| PeripheralHeapPool::allocate().is_some()).join().unwrap());
        drop(all);
        assert!(PeripheralHeapPool::allocate().is_some());
    }
}
