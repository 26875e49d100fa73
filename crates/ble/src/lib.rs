//! The SMP GATT service, its client side, pairing and bonds over trouble-host.
#![no_std]
