//! A clock that is virtual or real, a small executor, and the [`embassy_time`] driver that joins them, for programs and
//! tests on a host.
//!
//! ```text
//!   run(mode, future) ── polls ──▶ the future: a virtual device, a client, an air, joined
//!        │                              │ embassy_time::{Instant, Timer}
//!        └── moves ──▶ this thread's clock and timers ◀──┘
//! ```
//!
//! Every thread has a clock and a timer queue of its own, so tests that run side by side share nothing. What a clock
//! does is chosen per [`run`], and may be changed on the way with [`switch`]:
//!
//! * [`ClockMode::Virtual`]: time stands still while anything can run and then jumps to the next timer. Hours pass in
//!   milliseconds, and the same program gives the same times again.
//! * [`ClockMode::Paced`]: the same, held back so that it can be watched.
//! * [`ClockMode::Real`]: time passes by itself; the thread sleeps until a timer is due or another thread wakes it.
//!
//! ```
//! use embassy_time::{Duration, Instant, Timer};
//! use otaru_sim_rt::{ClockMode, run};
//!
//! let waited = run(ClockMode::Virtual, async {
//!     let start = Instant::now();
//!     Timer::after(Duration::from_secs(3600)).await;
//!     start.elapsed()
//! });
//! assert_eq!(waited, Duration::from_secs(3600));
//! ```
//!
//! # What it is not
//! There is no `spawn`: join futures. It has no I/O: threads that wait on sockets wake it through wakers, which are
//! [`Send`]. Only binaries and tests link this crate, because a program has exactly one time driver: a library that
//! brought one along would choose for everybody.

mod clock;
mod driver;
mod executor;

pub use clock::{ClockMode, switch};
pub use executor::{Deadlock, run, try_run};

// Linking this crate is what brings embassy-time's driver and critical-section's implementation into a program.
use critical_section as _;
use embassy_time as _;
