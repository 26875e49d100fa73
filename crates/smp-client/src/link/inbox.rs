//! From a thread that waits on the operating system to a future that waits for frames.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What a thread puts in and a future takes out. Clones share it.
#[derive(Debug)]
pub(crate) struct Inbox<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// Why no more will come.
    ended: Option<String>,
    /// Nobody takes out any more.
    abandoned: bool,
    waiting: Option<Waker>,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let state = State { items: VecDeque::new(), ended: None, abandoned: false, waiting: None };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Puts one in. False if there is no room because nobody took any out: the item is lost.
    pub(crate) fn put(&self, item: T) -> bool {
        let mut state = self.lock();
        let room = state.items.len() < ROOM;
        if room {
            state.items.push_back(item);
        }
        wake(state);
        room
    }

    /// No more will come, and why.
    pub(crate) fn end(&self, why: String) {
        let mut state = self.lock();
        state.ended.get_or_insert(why);
        wake(state);
    }

    /// Tells the thread that nobody takes out any more.
    pub(crate) fn abandon(&self) {
        self.lock().abandoned = true;
    }

    /// Whether the thread may stop.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Takes one out; the error says why none will come.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<T, String>> {
        let mut state = self.lock();
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(Ok(item));
        }
        if let Some(why) = &state.ended {
            return Poll::Ready(Err(why.clone()));
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The state is whole between any two statements that hold it, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waker) = waiting {
        waker.wake();
    }
}

/// Items that wait to be taken out.
const ROOM: usize = 256;
