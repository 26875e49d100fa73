//! The updatable application: SMP server, BLE service and boot requests, generic over the board.
#![no_std]
