//! The OS group.

use crate::{Board, ClockError, Event, FRAME, FRAMES};
use otaru_smp::os::{ParamsResponse, ResetRequest, TaskStatsResponse};
use otaru_smp::{Body, DateTime, List, OsError};
use otaru_smp_server::{Bootloader, Failure, Info, OsGroup};

/// `mode` of a loader that swaps by moving (spec §2, group 0 command 8).
const MODE_SWAP_MOVE: i32 = 3;

/// Answers from what the board says.
#[derive(Debug)]
pub(crate) struct Os<'a, B>(pub(crate) &'a B);

impl<B: Board> OsGroup for Os<'_, B> {
    async fn task_stats(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        Ok(TaskStatsResponse { tasks: List::new(self.0.tasks()) }.encode(out)?)
    }

    async fn date_time(&mut self) -> Result<DateTime, Failure> {
        self.0.date_time().map_err(no_clock)?.ok_or_else(|| Failure::new(OsError::RTC_NOT_SET))
    }

    async fn set_date_time(&mut self, date_time: DateTime) -> Result<(), Failure> {
        self.0.set_date_time(date_time).map_err(no_clock)
    }

    async fn prepare_reset(&mut self, request: &ResetRequest) -> Result<(), Failure> {
        match request.boot_mode {
            None | Some(0) => {
                self.0.event(Event::Restarting);
                Ok(())
            }
            Some(mode) => {
                let reason = format_args!("boot mode {mode} is not there: this bootloader has no recovery mode");
                Err(Failure::not_supported().because(reason))
            }
        }
    }

    fn params(&self) -> Result<ParamsResponse, Failure> {
        let fit = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(ParamsResponse { buf_size: fit(FRAME), buf_count: fit(FRAMES) })
    }

    fn info(&self) -> Result<Info<'_>, Failure> {
        Ok(self.0.info())
    }

    /// Clients choose their ways by the name of a loader, and this one keeps MCUboot's format and flow.
    fn bootloader(&self) -> Result<Bootloader<'_>, Failure> {
        Ok(Bootloader { name: "MCUboot", mode: MODE_SWAP_MOVE, no_downgrade: false })
    }
}

fn no_clock(error: ClockError) -> Failure {
    Failure::new(OsError::RTC_COMMAND_FAILED).because(error)
}
