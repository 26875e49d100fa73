//! This thread's clock as embassy-time's driver.

use crate::clock;
use std::task::Waker;

#[derive(Debug)]
struct ThreadClock;

impl embassy_time_driver::Driver for ThreadClock {
    fn now(&self) -> u64 {
        clock::now()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        clock::arm(at, waker);
    }
}

const _: () = assert!(embassy_time_driver::TICK_HZ == 1_000_000, "a tick is a microsecond");

embassy_time_driver::time_driver_impl!(static DRIVER: ThreadClock = ThreadClock);
