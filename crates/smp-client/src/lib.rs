//! SMP client drivers (UDP, serial, BLE) and the upgrade state machine.
