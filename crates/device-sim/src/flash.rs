//! The flash as the application sees it: each change takes the modelled time, while everything else goes on.

use crate::power::Power;
use embassy_time::Timer;
use otaru_flash::{AsyncFlash, Flash, FlashAddr, ReadFlash};
use otaru_nor_sim::{NorError, NorFlash};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The device's flash, shared by loader and application, which never run at the same time.
pub(crate) type SharedFlash = Arc<Mutex<NorFlash>>;

/// A flash operation is whole or not begun when it panics over a caller's mistake: the flash stays good.
pub(crate) fn lock(flash: &SharedFlash) -> MutexGuard<'_, NorFlash> {
    flash.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`AsyncFlash`] over simulated flash. Where a planned power cut strikes, the device is off: the call never returns.
pub(crate) struct AppFlash {
    flash: SharedFlash,
    power: Rc<Power>,
}

impl AppFlash {
    pub(crate) fn new(flash: SharedFlash, power: Rc<Power>) -> Self {
        Self { flash, power }
    }

    async fn change(
        &mut self,
        busy: Duration,
        change: impl FnOnce(&mut NorFlash) -> Result<(), NorError>,
    ) -> Result<(), NorError> {
        if !busy.is_zero() {
            Timer::after(busy.try_into().unwrap_or(embassy_time::Duration::MAX)).await;
        }
        let result = change(&mut lock(&self.flash));
        if result == Err(NorError::PowerLost) {
            self.power.cut();
            std::future::pending::<()>().await;
        }
        result
    }
}

impl ReadFlash for AppFlash {
    type Error = NorError;

    fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), NorError> {
        lock(&self.flash).read(at, out)
    }
}

impl AsyncFlash for AppFlash {
    async fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), NorError> {
        let busy = lock(&self.flash).timing().write(data.len());
        self.change(busy, |flash| flash.write(at, data)).await
    }

    async fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), NorError> {
        let busy = lock(&self.flash).timing().erase(len);
        self.change(busy, |flash| flash.erase(at, len)).await
    }
}
