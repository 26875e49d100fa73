//! A whole virtual device: flash in a file, bootloader, application, UDP, serial and virtual BLE.
