//! Upgrades of a model device, in virtual time.

mod bluetooth;
mod links;
mod model;
mod road;
mod trouble;
mod words;

use crate::link::memory::{Quality, pair};
use crate::{Client, Event, Mode, Options, Outcome, UpgradeError, UploadEvent, upgrade};
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant};
use model::{Image, Model, Swap};
use otaru_sim_rt::{ClockMode, run};

const QUALITY: Quality = Quality { latency: Duration::from_millis(10), bytes_per_second: 200_000, ..Quality::IDEAL };

/// What came of an upgrade.
struct Run {
    result: Result<Outcome, UpgradeError>,
    /// What was told and when, in milliseconds.
    told: Vec<(u64, Event)>,
    ms: u64,
}

impl Run {
    fn outcome(&self) -> Outcome {
        self.result.clone().unwrap_or_else(|error| panic!("{error}: {:?}", self.told))
    }

    fn error(&self) -> UpgradeError {
        self.result.clone().expect_err("an error")
    }

    /// The road in one word per event, without the uninteresting ones.
    fn road(&self) -> String {
        let mut words = Vec::new();
        for (ms, event) in &self.told {
            let word = match event {
                Event::Upload(UploadEvent::Progress(_)) | Event::Waiting { .. } | Event::Listed { .. } => continue,
                Event::Upload(UploadEvent::Started { frame, window, .. }) => format!("upload {frame}x{window}"),
                Event::Upload(UploadEvent::Resumed { offset }) => format!("resumed at {offset}"),
                Event::Upload(UploadEvent::Restarted { .. }) => "restarted".into(),
                Event::Upload(UploadEvent::LinkLost { .. }) => "link lost".into(),
                Event::Upload(other) => format!("{other:?}"),
                Event::Connected { .. } => "connected".into(),
                Event::Uploaded(uploaded) => format!("uploaded {} B", uploaded.sent),
                Event::Marked { permanent } => format!("marked{}", if *permanent { " permanent" } else { "" }),
                Event::Running { version, confirmed } => format!("{version} runs, confirmed {confirmed}"),
                other => format!("{other:?}").to_lowercase(),
            };
            words.push(format!("{ms:>6} {word}"));
        }
        words.join("\n")
    }
}

fn two() -> (Image, Image) {
    (Image::new(1, 20_000), Image::new(2, 50_000))
}

/// A device that runs version 1 and was never updated.
fn device() -> Model {
    let (old, new) = two();
    Model::running(old, &[new])
}

fn go(model: &mut Model, mode: Mode) -> Run {
    go_over(model, mode, QUALITY)
}

/// Brings version 2 onto the device.
fn go_over(model: &mut Model, mode: Mode, quality: Quality) -> Run {
    run(ClockMode::Virtual, async {
        let (link, peer) = pair(1024, quality);
        let mut client = Client::new(link);
        let (_, new) = two();
        let mut told = Vec::new();
        let options = Options { mode, ..Options::default() };
        let began = Instant::now();
        let mut tell = |event| told.push((began.elapsed().as_millis(), event));
        let firmware = new.firmware();
        let result = match select(upgrade(&mut client, &firmware, &options, &mut tell), model.run(&peer)).await {
            Either::First(result) => result,
            Either::Second(()) => unreachable!("the device runs for ever"),
        };
        Run { result, told, ms: began.elapsed().as_millis() }
    })
}

/// What runs on the device, and whether it is on trial.
fn runs(model: &Model) -> (&'static str, bool) {
    (model.slots[0].as_ref().unwrap().version, model.swap == Swap::Revert)
}
