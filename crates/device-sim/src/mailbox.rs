//! A bounded queue between a thread that talks to the operating system and a device, or between two ends in one
//! thread: sending never waits, receiving is a future.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    room: usize,
    waiting: Option<Waker>,
    closed: bool,
}

#[derive(Debug)]
struct Shared<T>(Mutex<Queue<T>>);

impl<T> Shared<T> {
    /// The queue is whole between any two statements that hold it, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending end. Clones send into the same queue.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// The receiving end: one, because only one waiter is woken.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

/// A queue for `room` items.
#[must_use]
pub fn mailbox<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Queue { items: VecDeque::new(), room, waiting: None, closed: false };
    let shared = Arc::new(Shared(Mutex::new(queue)));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Sender<T> {
    /// Puts `item` at the end. False if the queue is full or nobody receives any more: the item is lost, as a
    /// datagram or a byte on a wire would be.
    pub fn send(&self, item: T) -> bool {
        let mut queue = self.0.lock();
        if queue.closed || queue.items.len() >= queue.room {
            return false;
        }
        queue.items.push_back(item);
        let waiting = queue.waiting.take();
        drop(queue);
        if let Some(waker) = waiting {
            waker.wake();
        }
        true
    }

    /// Whether nobody receives any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }
}

impl<T> Receiver<T> {
    /// The next item. Never ready once every sender is gone and the queue is empty: a silent line is not an error.
    pub async fn receive(&self) -> T {
        poll_fn(|cx| {
            let mut queue = self.0.lock();
            match queue.items.pop_front() {
                Some(item) => Poll::Ready(item),
                None => {
                    queue.waiting = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The next item if there is one already.
    #[must_use]
    pub fn try_receive(&self) -> Option<T> {
        self.0.lock().items.pop_front()
    }

    /// Throws away what is queued, as a chip in reset does.
    pub fn clear(&self) {
        self.0.lock().items.clear();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waiting_receiver_is_woken_by_the_first_item_only() {
        let (tx, rx) = mailbox(2);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let mut receive = pin!(rx.receive());
        assert_eq!(receive.as_mut().poll(&mut cx), Poll::Pending);
        assert!(tx.send(1) && tx.clone().send(2));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(receive.as_mut().poll(&mut cx), Poll::Ready(1));
        assert_eq!(rx.try_receive(), Some(2));
        assert_eq!(rx.try_receive(), None);
    }

    #[test]
    fn a_full_or_abandoned_queue_loses_the_newest() {
        let (tx, rx) = mailbox(1);
        assert!(tx.send(1));
        assert!(!tx.send(2), "no room");
        assert_eq!(rx.try_receive(), Some(1));
        assert!(tx.send(3));
        rx.clear();
        assert_eq!(rx.try_receive(), None);
        assert!(!tx.is_closed());
        drop(rx);
        assert!(!tx.send(4) && tx.is_closed());
    }
}
