//! Polls one future to its end while the clock of its thread passes as asked.

use crate::clock::{ClockMode, Idle, Running};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// Everything waits, and nothing in the run can end the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "every future waits at {}.{:06} s of virtual time, and no timer is armed that could end the wait",
    .micros / 1_000_000, .micros % 1_000_000
)]
pub struct Deadlock {
    /// Microseconds on the thread's clock.
    pub micros: u64,
}

/// Polls `future` to its end while this thread's clock passes by `mode`.
///
/// The clock goes on from where the thread's last run left it. Timers of futures that the run drops are forgotten.
///
/// # Panics
/// Where [`try_run`] fails, and inside of another run on the same thread.
pub fn run<F: Future>(mode: ClockMode, future: F) -> F::Output {
    try_run(mode, future).unwrap_or_else(|deadlock| panic!("{deadlock}"))
}

/// As [`run`], for those who look for deadlocks.
///
/// # Errors
/// The clock is virtual, `future` is not ready, nobody woke it and no timer is armed. A wake from another thread may
/// come too late to prevent this: with other threads in the game use [`ClockMode::Real`].
///
/// # Panics
/// Inside of another run on the same thread, and with a `speed` that is not finite and above zero.
pub fn try_run<F: Future>(mode: ClockMode, future: F) -> Result<F::Output, Deadlock> {
    let clock = Running::start(mode);
    let signal = Arc::new(Signal { woken: AtomicBool::new(true), thread: thread::current() });
    // Futures see clones of one clone. A waker may compare unequal to its first clone, because the table of its
    // functions exists once per codegen unit, and then single-waker cells wake each other for ever.
    let waker = Waker::from(Arc::clone(&signal));
    let waker = waker.clone();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        clock.wake_due();
        if signal.woken.swap(false, Ordering::Acquire) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Ok(output);
            }
            continue;
        }
        match clock.idle() {
            Idle::Woken | Idle::Sleep(Duration::ZERO) => {}
            Idle::Sleep(time) => thread::park_timeout(time),
            Idle::Forever => thread::park(),
            Idle::Deadlock { now } => return Err(Deadlock { micros: now }),
        }
    }
}

/// Says that the future wants to be polled.
struct Signal {
    woken: AtomicBool,
    thread: Thread,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}
