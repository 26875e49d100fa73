//! One thread's clock and the timers armed on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How time passes in a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClockMode {
    /// Jumps to the next timer whenever nothing can run.
    Virtual,
    /// As [`Virtual`](Self::Virtual), but no faster than `speed` virtual seconds per real second.
    Paced {
        /// Virtual seconds per real second: finite and above zero.
        speed: f64,
    },
    /// Passes as it does on the wall.
    Real,
}

impl ClockMode {
    /// How much of the clock passes in `real` time at most; `None`: as much as wanted.
    fn passed(self, real: Duration) -> Option<u64> {
        match self {
            Self::Virtual => None,
            Self::Paced { speed } => Some((real.as_secs_f64() * speed * 1e6) as u64),
            Self::Real => Some(u64::try_from(real.as_micros()).unwrap_or(u64::MAX)),
        }
    }

    /// How much real time `micros` of the clock take.
    fn takes(self, micros: u64) -> Duration {
        match self {
            Self::Virtual => Duration::ZERO,
            // Rounded up, or the last fraction of a microsecond would be waited for by spinning.
            Self::Paced { speed } => {
                Duration::try_from_secs_f64(micros as f64 / 1e6 / speed).unwrap_or(LONG) + Duration::from_nanos(999)
            }
            Self::Real => Duration::from_micros(micros),
        }
    }
}

/// Changes how time passes from here on in the run that polls the caller, for example to skip what nobody needs to
/// watch. The clock goes on from where it is.
///
/// # Panics
/// Outside of a run, and with a `speed` that is not finite and above zero.
pub fn switch(mode: ClockMode) {
    CLOCK.with_borrow_mut(|clock| {
        assert!(clock.pace.is_some(), "the clock can be switched within a run only, and this thread is in none");
        clock.set_pace(mode);
    });
}

thread_local! {
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock { now: 0, pace: None, timers: BTreeMap::new() }) };
}

/// Microseconds on this thread's clock. They never go back, not even from one run to the next.
pub(crate) fn now() -> u64 {
    CLOCK.with_borrow_mut(Clock::now)
}

/// Arms a timer on this thread's clock. One that is due wakes at once. So does one armed outside of a run, where no
/// time passes: whoever polled there has to poll again, inside.
pub(crate) fn arm(at: u64, waker: &Waker) {
    let armed = CLOCK.with_borrow_mut(|clock| {
        let armed = clock.pace.is_some() && at > clock.now();
        if armed {
            clock.arm(at, waker);
        }
        armed
    });
    if !armed {
        waker.wake_by_ref();
    }
}

/// What a run has to do when nothing can run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// A timer was due and its waker was woken.
    Woken,
    /// Sleep so long, or until woken.
    Sleep(Duration),
    /// No timer is armed, and only another thread could wake this one.
    Forever,
    /// No timer is armed, and time moves by timers only.
    Deadlock {
        /// Microseconds on the clock.
        now: u64,
    },
}

/// This thread's clock while a run uses it. Dropped, it stops the clock and forgets the run's timers.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn start(mode: ClockMode) -> Self {
        CLOCK.with_borrow_mut(|clock| {
            assert!(
                clock.pace.is_none(),
                "a run cannot be started inside of a run on the same thread: join the futures"
            );
            clock.set_pace(mode);
        });
        Self(())
    }

    /// Wakes what is due; otherwise moves a virtual clock to the next timer as far as its pace allows.
    pub(crate) fn idle(&self) -> Idle {
        let (due, idle) = CLOCK.with_borrow_mut(|clock| {
            let idle = clock.idle();
            (clock.take_due(), idle)
        });
        // Outside of the borrow: a waker may arm timers.
        let woken = !due.is_empty();
        due.into_iter().for_each(Waker::wake);
        if woken { Idle::Woken } else { idle }
    }

    /// Wakes what is due without moving a virtual clock.
    pub(crate) fn wake_due(&self) {
        let due = CLOCK.with_borrow_mut(|clock| {
            clock.now();
            clock.take_due()
        });
        due.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let timers = CLOCK.with_borrow_mut(|clock| {
            clock.now();
            clock.pace = None;
            std::mem::take(&mut clock.timers)
        });
        // Outside of the borrow: dropping a foreign waker may run anything.
        drop(timers);
    }
}

struct Clock {
    /// Microseconds, as of the last look.
    now: u64,
    /// `None` outside of a run.
    pace: Option<Pace>,
    timers: BTreeMap<u64, Vec<Waker>>,
}

/// How time passes since when.
#[derive(Clone, Copy)]
struct Pace {
    mode: ClockMode,
    /// The clock, in microseconds, when the mode was chosen.
    from: u64,
    /// When that was.
    since: Instant,
}

impl Pace {
    /// The furthest that the clock may stand now; `None`: anywhere.
    fn limit(&self) -> Option<u64> {
        self.mode.passed(self.since.elapsed()).map(|passed| self.from.saturating_add(passed))
    }
}

impl Clock {
    fn set_pace(&mut self, mode: ClockMode) {
        if let ClockMode::Paced { speed } = mode {
            assert!(speed.is_finite() && speed > 0.0, "a clock cannot pass at {speed} times the real speed");
        }
        let from = self.now();
        self.pace = Some(Pace { mode, from, since: Instant::now() });
    }

    fn now(&mut self) -> u64 {
        if let Some(pace) = self.pace
            && pace.mode == ClockMode::Real
        {
            self.now = self.now.max(pace.limit().unwrap_or(0));
        }
        self.now
    }

    fn arm(&mut self, at: u64, waker: &Waker) {
        // embassy-time arms a timer at every poll, so the same waker comes again and again.
        let wakers = self.timers.entry(at).or_default();
        if !wakers.iter().any(|armed| armed.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Moves a virtual clock towards the next timer, and says what there is to wait for if that is not reached.
    fn idle(&mut self) -> Idle {
        let now = self.now();
        let Some(pace) = self.pace else { return Idle::Forever };
        let Some(next) = self.timers.keys().next().copied() else {
            return if pace.mode == ClockMode::Real { Idle::Forever } else { Idle::Deadlock { now } };
        };
        if pace.mode != ClockMode::Real {
            self.now = now.max(pace.limit().unwrap_or(u64::MAX).min(next));
        }
        Idle::Sleep(pace.mode.takes(next.saturating_sub(self.now)))
    }

    fn take_due(&mut self) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.timers.first_entry().filter(|first| *first.key() <= self.now) {
            due.append(&mut first.remove());
        }
        due
    }
}

/// Longer than any run.
const LONG: Duration = Duration::from_secs(1 << 32);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted() -> (Waker, Arc<Count>) {
        let count = Arc::new(Count::default());
        (Waker::from(Arc::clone(&count)), count)
    }

    #[test]
    fn a_timer_armed_again_by_the_same_waker_is_kept_once() {
        let running = Running::start(ClockMode::Virtual);
        let (waker, count) = counted();
        let waker = waker.clone();
        for _ in 0..1000 {
            arm(now() + 5, &waker);
        }
        assert_eq!(Arc::strong_count(&count), 4, "ours, the waker, its clone, the timer");
        assert_eq!(running.idle(), Idle::Woken);
        assert_eq!((now(), count.0.load(Ordering::SeqCst)), (5, 1));
        assert_eq!(running.idle(), Idle::Deadlock { now: 5 });
    }

    #[test]
    fn a_timer_outside_of_a_run_wakes_at_once_and_none_outlives_its_run() {
        let (waker, count) = counted();
        arm(100, &waker);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        let running = Running::start(ClockMode::Virtual);
        arm(100, &waker);
        drop(running);
        assert_eq!((count.0.load(Ordering::SeqCst), Arc::strong_count(&count)), (1, 2));
        let running = Running::start(ClockMode::Virtual);
        assert_eq!(running.idle(), Idle::Deadlock { now: 0 });
    }

    #[test]
    fn a_paced_clock_asks_for_the_real_time_that_is_missing() {
        let running = Running::start(ClockMode::Paced { speed: 1e-9 });
        arm(1, &counted().0);
        let Idle::Sleep(sleep) = running.idle() else { panic!("a microsecond takes 1000 s at this speed") };
        assert!(sleep > Duration::from_secs(900), "{sleep:?}");
        switch(ClockMode::Virtual);
        assert_eq!((running.idle(), now()), (Idle::Woken, 1));
        switch(ClockMode::Paced { speed: 2.0 });
        assert_eq!(ClockMode::Paced { speed: 2.0 }.takes(3_000_000).as_micros(), 1_500_000);
        assert_eq!(ClockMode::Paced { speed: 2.0 }.passed(Duration::from_secs(3)), Some(6_000_000));
    }
}
