//! The board of a virtual device.

use crate::Event;
use crate::clock::Clock;
use otaru_device_app::{Board, ClockError, Event as AppEvent, Info};
use otaru_smp::DateTime;
use otaru_smp::os::Task;

/// What the application asks of the virtual hardware, for one run of it.
pub(crate) struct SimBoard<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) name: &'a str,
    /// Name and version of the application.
    pub(crate) application: String,
    pub(crate) tasks: &'a [Task<'a>],
    pub(crate) events: &'a dyn Fn(Event),
}

impl Board for SimBoard<'_> {
    fn date_time(&self) -> Result<Option<DateTime>, ClockError> {
        Ok(self.clock.get())
    }

    fn set_date_time(&self, date_time: DateTime) -> Result<(), ClockError> {
        self.clock.set(date_time);
        Ok(())
    }

    fn info(&self) -> Info<'_> {
        Info {
            kernel: "otaru",
            node: self.name,
            release: env!("CARGO_PKG_VERSION"),
            version: &self.application,
            build_time: "unknown",
            machine: "virtual",
            processor: "host",
            platform: "device-sim",
            operating_system: "otaru",
        }
    }

    fn tasks(&self) -> &[Task<'_>] {
        self.tasks
    }

    fn event(&self, event: AppEvent) {
        (self.events)(Event::App(event));
    }
}
