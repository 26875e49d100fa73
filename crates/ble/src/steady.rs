//! One waker for a whole stack.
//!
//! Inside a stack many futures share a task, and embassy-sync's single-waker cells wake the old registrant whenever
//! [`Waker::will_wake`] says the new one is different. Some executors' wakers compare unequal to their own clones in
//! optimised builds (their vtable exists once per codegen unit): the task then wakes itself for ever and burns a core.
//! Polling through one clone makes every comparison equal.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// Polls `future` through one clone of the task's waker.
pub(crate) struct Steady<F> {
    future: F,
    waker: Option<Waker>,
}

impl<F: Future + Unpin> Steady<F> {
    pub(crate) const fn new(future: F) -> Self {
        Self { future, waker: None }
    }
}

impl<F: Future + Unpin> Future for Steady<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // The data pointer names the task. If that changed, the future moved to another task.
        let waker = match self.waker.take() {
            Some(waker) if waker.data() == context.waker().data() => waker,
            _ => context.waker().clone(),
        };
        let result = Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker));
        self.waker = Some(waker);
        result
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::future::poll_fn;
    use std::sync::Arc;
    use std::task::Wake;

    struct Task;
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn the_future_sees_one_waker_as_long_as_the_task_is_the_same() {
        let mut seen: Option<Waker> = None;
        let mut steady = Steady::new(poll_fn(|context| {
            let same = seen.as_ref().is_some_and(|waker| core::ptr::eq(waker.data(), context.waker().data()));
            seen = Some(context.waker().clone());
            if same { Poll::Ready(()) } else { Poll::<()>::Pending }
        }));
        let (one, other) = (Waker::from(Arc::new(Task)), Waker::from(Arc::new(Task)));
        let poll = |steady: &mut Steady<_>, waker: &Waker| Pin::new(steady).poll(&mut Context::from_waker(waker));
        assert!(poll(&mut steady, &one).is_pending());
        assert!(poll(&mut steady, &other).is_pending(), "a new task brings its own waker");
        assert!(poll(&mut steady, &other.clone()).is_ready());
    }
}
