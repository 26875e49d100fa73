//! SMP (MCUmgr) headers, commands, CBOR bodies, error codes and framings.
#![no_std]
