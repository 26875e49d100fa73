//! Time and wakes as futures see them.

use embassy_futures::join::{join, join3};
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use otaru_sim_rt::{ClockMode, run, switch, try_run};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::sync::mpsc;
use std::task::{Poll, Waker};

#[test]
fn virtual_time_jumps_from_timer_to_timer_in_order() {
    let log = RefCell::new(Vec::new());
    let tick = |name, period| {
        let log = &log;
        async move {
            for _ in 0..3 {
                Timer::after_micros(period).await;
                log.borrow_mut().push((Instant::now().as_micros(), name));
            }
        }
    };
    run(ClockMode::Virtual, join(tick("day", 86_400_000_000), tick("hour", 3_600_000_000)));
    let hours = |h: u64| h * 3_600_000_000;
    let expected = [(1, "hour"), (2, "hour"), (3, "hour"), (24, "day"), (48, "day"), (72, "day")];
    assert_eq!(log.into_inner(), expected.map(|(h, name)| (hours(h), name)));
}

#[test]
fn the_clock_goes_on_from_run_to_run_and_never_back() {
    run(ClockMode::Virtual, Timer::after_secs(100));
    assert_eq!(Instant::now().as_secs(), 100, "it stands still in between");
    let real = run(ClockMode::Real, async { Instant::now() });
    assert!(real.as_secs() >= 100);
    let after = run(ClockMode::Virtual, async {
        Timer::after_secs(1).await;
        Instant::now()
    });
    assert!(after >= real + Duration::from_secs(1));
}

#[test]
fn every_thread_has_its_own_clock() {
    run(ClockMode::Virtual, Timer::after_secs(7));
    let other = std::thread::spawn(|| run(ClockMode::Virtual, async { Instant::now() })).join().unwrap();
    assert_eq!((other.as_ticks(), Instant::now().as_secs()), (0, 7));
}

#[test]
fn a_wait_that_nothing_can_end_is_an_error_and_not_a_hang() {
    let stuck = async {
        Timer::after_millis(1_500).await;
        pending::<()>().await;
    };
    insta::assert_snapshot!(try_run(ClockMode::Virtual, stuck).unwrap_err(), @"every future waits at 1.500000 s of virtual time, and no timer is armed that could end the wait");
    assert!(try_run(ClockMode::Paced { speed: 1e9 }, pending::<()>()).is_err());
}

#[test]
fn a_timer_of_a_dropped_future_does_not_reach_the_next_run() {
    run(ClockMode::Virtual, select(Timer::after_secs(50), Timer::after_secs(1)));
    assert_eq!(try_run(ClockMode::Virtual, pending::<()>()).unwrap_err().micros, 1_000_000);
}

#[test]
fn futures_of_one_run_wake_each_other_without_time_passing() {
    let signal = Signal::<NoopRawMutex, u32>::new();
    let polls = Cell::new(0);
    let count = poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<()>::Pending
    });
    let both = join(signal.wait(), async {
        embassy_futures::yield_now().await;
        signal.signal(7);
    });
    let Either::First((seven, ())) = run(ClockMode::Virtual, select(both, count)) else { panic!() };
    assert_eq!((seven, Instant::now().as_ticks()), (7, 0));
    assert!(polls.get() <= 3, "{} polls for one hand-over: somebody wakes itself", polls.get());
}

/// The waker-spin trap: two futures on one single-waker cell would wake each other for ever if a waker compared
/// unequal to its clone.
#[test]
fn a_waker_equals_its_clones() {
    run(
        ClockMode::Virtual,
        poll_fn(|cx| {
            let clone: Waker = cx.waker().clone();
            assert!(clone.will_wake(cx.waker()) && clone.clone().will_wake(&clone));
            Poll::Ready(())
        }),
    );
}

#[test]
fn another_thread_wakes_a_real_run() {
    let (to_thread, wakers) = mpsc::channel::<Waker>();
    let (answers, from_thread) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        for waker in wakers {
            answers.send(()).unwrap();
            waker.wake();
        }
    });
    for _ in 0..100 {
        let mut asked = false;
        run(
            ClockMode::Real,
            poll_fn(|cx| {
                if !std::mem::replace(&mut asked, true) {
                    to_thread.send(cx.waker().clone()).unwrap();
                    return Poll::Pending;
                }
                from_thread.try_recv().map_or(Poll::Pending, Poll::Ready)
            }),
        );
    }
    drop(to_thread);
    thread.join().unwrap();
}

#[test]
fn real_time_is_not_shorter_than_asked_and_timers_fire_while_others_are_busy() {
    let (started, done) = (std::time::Instant::now(), Cell::new(false));
    let busy = async {
        while !done.get() {
            embassy_futures::yield_now().await;
        }
    };
    let timer = async {
        Timer::after_millis(3).await;
        done.set(true);
    };
    run(ClockMode::Real, join3(busy, timer, Timer::after_millis(1)));
    assert!(started.elapsed().as_millis() >= 3);
}

#[test]
fn paced_time_is_virtual_time_held_back() {
    let started = std::time::Instant::now();
    let end = run(ClockMode::Paced { speed: 100.0 }, async {
        Timer::after_millis(300).await;
        switch(ClockMode::Virtual);
        Timer::after_secs(1_000).await;
        Instant::now()
    });
    assert_eq!(end.as_micros(), 1_000_300_000, "exact, as in virtual time");
    assert!(started.elapsed().as_micros() >= 3_000);
}

#[test]
fn a_timeout_ends_a_wait() {
    let waited = run(ClockMode::Virtual, with_timeout(Duration::from_secs(5), pending::<()>()));
    assert!(waited.is_err());
    assert_eq!(Instant::now().as_secs(), 5);
}

#[test]
#[should_panic(expected = "a run cannot be started inside of a run on the same thread: join the futures")]
fn a_run_inside_of_a_run_is_refused() {
    run(ClockMode::Real, async { run(ClockMode::Virtual, async {}) });
}

#[test]
fn a_panic_in_a_future_leaves_the_thread_usable() {
    let panicked = std::panic::catch_unwind(|| run(ClockMode::Virtual, async { panic!("on purpose") }));
    assert!(panicked.is_err());
    run(ClockMode::Virtual, Timer::after_secs(1));
}
