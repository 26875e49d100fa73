//! The device's supply.

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use std::cell::Cell;

/// The supply of one device: on from the start. Whoever shares it may cut it at any moment and bring it back.
pub struct Power {
    on: Cell<bool>,
    changed: Signal<NoopRawMutex, ()>,
}

impl Default for Power {
    fn default() -> Self {
        Self { on: Cell::new(true), changed: Signal::new() }
    }
}

impl Power {
    /// Cuts it: whatever runs stops where it waits.
    pub fn cut(&self) {
        self.set(false);
    }

    /// Brings it back: the device starts in its bootloader.
    pub fn restore(&self) {
        self.set(true);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    fn set(&self, on: bool) {
        if self.on.replace(on) != on {
            self.changed.signal(());
        }
    }

    /// Waits until it is on, or off. Only the device itself waits for it.
    pub(crate) async fn until(&self, on: bool) {
        while self.on.get() != on {
            self.changed.wait().await;
        }
    }
}
