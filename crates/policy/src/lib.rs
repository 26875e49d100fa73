//! Who may do what over SMP: the one gate before the running image may change.
#![no_std]
