//! SMP over Bluetooth LE: frames over GATT, by the central in `otaru-ble`.
//!
//! A radio has work to do while nobody waits for a frame, so it is a future of its own, [`BleRadio::run`], to be polled
//! beside whatever uses the [`BleLink`].

use super::{Link, LinkError, Transport};
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, with_timeout};
use otaru_ble::central::{self, Config, Event, Failure, Frames, PasskeySource, Resources};
use otaru_ble::pool::CentralHeapPool;
use otaru_ble::{BondStore, HciController, PairingError};
use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;

/// The frames' end of a Bluetooth link.
#[derive(Debug)]
pub struct BleLink {
    shared: Rc<Shared>,
    frame: Vec<u8>,
}

/// The radio's end.
#[derive(Debug)]
pub struct BleRadio {
    shared: Rc<Shared>,
}

/// A link to the device called `name` in messages, and the radio that makes it.
pub fn ble(name: impl Into<String>) -> (BleLink, BleRadio) {
    let shared = Rc::new(Shared {
        name: name.into(),
        frames: Frames::new(),
        state: RefCell::new(State::Down(None)),
        changed: Signal::new(),
        wanted: Signal::new(),
    });
    (BleLink { shared: Rc::clone(&shared), frame: vec![0; FRAME] }, BleRadio { shared })
}

impl BleRadio {
    /// Makes the link whenever it is wanted, with a controller from `open`, which is asked again after one failed.
    /// Never ends. `events` is told of every step.
    pub async fn run<C, B, K>(
        self,
        mut open: impl FnMut() -> Result<C, String>,
        config: &Config<'_>,
        bonds: &B,
        passkeys: &mut K,
        events: &impl Fn(Event),
    ) -> !
    where
        C: HciController,
        B: BondStore,
        K: PasskeySource,
    {
        let shared = &*self.shared;
        let mut resources: Box<Resources<CentralHeapPool, FRAME>> = Box::default();
        let mut kept = None;
        loop {
            shared.wanted.wait().await;
            let opened = match kept.take() {
                Some(controller) => Ok(controller),
                None => open(),
            };
            let controller = match opened {
                Ok(controller) => controller,
                Err(why) => {
                    shared.set(State::Down(Some(LinkError::Absent { to: shared.name.clone(), why })));
                    continue;
                }
            };
            let told = |event| {
                if let Event::Ready { att_mtu, .. } = event {
                    shared.set(State::Up { att_mtu });
                }
                events(event);
            };
            let session = central::run(&controller, &mut resources, config, bonds, passkeys, &shared.frames, &told);
            let result = session.await;
            if !matches!(result, Err(Failure::Controller(_))) {
                kept = Some(controller);
            }
            shared.ended(result);
        }
    }
}

impl Link for BleLink {
    fn transport(&self) -> Transport {
        Transport::Ble
    }

    fn max_frame(&self) -> usize {
        FRAME
    }

    /// One write: a device that does not tell its buffers may not put several together.
    fn single_frame(&self) -> usize {
        match *self.shared.state.borrow() {
            State::Up { att_mtu } => usize::from(att_mtu).saturating_sub(3),
            State::Down(_) | State::Rising => 20,
        }
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        let shared = &*self.shared;
        if matches!(*shared.state.borrow(), State::Up { .. } | State::Rising) {
            shared.frames.close();
            let down = shared.settled(|state| matches!(state, State::Down(_)));
            if with_timeout(FAREWELL, down).await.is_err() {
                return Err(LinkError::Lost { to: shared.name.clone(), why: "the old link does not end".into() });
            }
        }
        shared.set(State::Rising);
        shared.wanted.signal(());
        shared.settled(|state| !matches!(state, State::Rising)).await;
        match &*shared.state.borrow() {
            State::Down(Some(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        let shared = &*self.shared;
        match select(shared.gone(), shared.frames.send(frame)).await {
            Either::First(error) => Err(error),
            Either::Second(sent) => sent.map_err(|error| LinkError::TooLong {
                to: shared.name.clone(),
                len: error.length,
                max: error.limit,
            }),
        }
    }

    async fn receive(&mut self) -> Result<&[u8], LinkError> {
        let shared = &*self.shared;
        // Frames that came before the link went are still good.
        match select(shared.frames.receive(&mut self.frame), shared.gone()).await {
            Either::First(len) => Ok(&self.frame[..len.min(FRAME)]),
            Either::Second(error) => Err(error),
        }
    }
}

struct Shared {
    name: String,
    frames: Frames<FRAME>,
    state: RefCell<State>,
    changed: Signal<NoopRawMutex, ()>,
    wanted: Signal<NoopRawMutex, ()>,
}

#[derive(Debug)]
enum State {
    /// And why, once it was tried.
    Down(Option<LinkError>),
    Rising,
    Up {
        att_mtu: u16,
    },
}

impl Shared {
    fn set(&self, state: State) {
        *self.state.borrow_mut() = state;
        self.changed.signal(());
    }

    /// Waits until the state is as wanted. One waiter at a time: the link's user.
    async fn settled(&self, wanted: impl Fn(&State) -> bool) {
        while !wanted(&self.state.borrow()) {
            self.changed.wait().await;
        }
    }

    /// Waits until the link is gone, and says why.
    async fn gone(&self) -> LinkError {
        self.settled(|state| matches!(state, State::Down(_))).await;
        match &*self.state.borrow() {
            State::Down(Some(error)) => error.clone(),
            _ => LinkError::Lost { to: self.name.clone(), why: "it was not connected".into() },
        }
    }

    fn ended<E: Display>(&self, result: Result<(), Failure<E>>) {
        let to = self.name.clone();
        let up = matches!(*self.state.borrow(), State::Up { .. });
        let error = match result {
            Ok(()) => LinkError::Lost { to, why: "it was closed".into() },
            Err(Failure::Controller(error)) => LinkError::Absent { to, why: error.to_string() },
            Err(failure @ Failure::NoPasskey { .. }) => LinkError::Unpaired { to, why: failure.to_string() },
            Err(Failure::Pairing { error: error @ PairingError::Failed { reason: TOO_SOON }, .. }) => {
                LinkError::PairingDelayed { to, why: error.to_string() }
            }
            Err(Failure::Pairing { error, .. }) => LinkError::PairingFailed { to, why: error.to_string() },
            Err(failure @ Failure::BondLost { .. }) => LinkError::PairingFailed { to, why: failure.to_string() },
            Err(failure @ Failure::TooWeak { .. }) => LinkError::TooWeak { to, why: failure.to_string() },
            Err(failure @ Failure::PairingRefused { .. }) => LinkError::PairingDelayed { to, why: failure.to_string() },
            Err(failure) if up => LinkError::Lost { to, why: failure.to_string() },
            Err(failure) => LinkError::Absent { to, why: failure.to_string() },
        };
        self.set(State::Down(Some(error)));
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The largest frame: more than any device of the field buffers.
const FRAME: usize = 4096;
/// Pairing failed: Repeated Attempts.
const TOO_SOON: u8 = 0x09;
/// How long the old link may take to end.
const FAREWELL: Duration = Duration::from_secs(5);
