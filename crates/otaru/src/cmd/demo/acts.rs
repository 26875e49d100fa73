//! The acts: what is done, and what must come of it.

use super::stage::{Behaviour, Release, Stage};
use crate::cmd::upgrade::telling::Telling;
use crate::failure::Failure;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer};
use otaru_crypto::Scheme;
use otaru_nor_sim::{Cut, Partial};
use otaru_radio_sim::{Air, Phy, link_limit};
use otaru_sign::key::SigningKey;
use otaru_smp_client::{
    Client, ClientError, Event, Link, LinkError, Options, Outcome, UpgradeError, Uploaded, upgrade,
};
use serde_json::json;

/// The play: one client and one device through all acts.
pub(super) struct Play<'s, 'a, L> {
    stage: &'s Stage<'a>,
    client: Client<L>,
    /// Flash operations of a whole swap, once one was seen.
    swap_ops: u64,
    /// How one's own device is named where this demo has its virtual one.
    to: &'static str,
    uploaded: Option<Uploaded>,
    steps: Vec<&'static str>,
}

impl<'s, 'a, L: Link> Play<'s, 'a, L> {
    pub(super) fn new(stage: &'s Stage<'a>, client: Client<L>, to: &'static str) -> Self {
        Self { stage, client, swap_ops: 0, to, uploaded: None, steps: Vec::new() }
    }

    /// All acts, with those that need a radio.
    pub(super) async fn over_bluetooth(mut self, air: &Air) -> Result<(), Failure> {
        self.a_device().await?;
        self.an_unpaired_client().await?;
        self.stage.look().await;
        self.an_update("Pair by passkey, and update", PAIRED).await?;
        self.hold("paired with LE Secure Connections and bonded", self.stage.bonded())?;
        self.the_radio(air);
        self.stage.hush();
        self.misfortunes().await
    }

    /// All acts over a link that authenticates nobody.
    pub(super) async fn over_wire(mut self) -> Result<(), Failure> {
        self.a_device().await?;
        self.an_update("Update", UNPAIRED).await?;
        self.misfortunes().await
    }

    async fn misfortunes(&mut self) -> Result<(), Failure> {
        self.a_strangers_image().await?;
        self.a_faulty_image().await?;
        self.a_power_cut().await?;
        self.end()
    }

    async fn a_device(&mut self) -> Result<(), Failure> {
        let stage = self.stage;
        stage.act("A device with version 1", BORN);
        stage.command("otaru new lock");
        stage.command("otaru sign app.raw app-1.bin --version 1.0.0 --pad-header --confirm --project lock");
        stage.until_running().await?;
        self.hold("version 1.0.0 is verified and runs", stage.runs("1.0.0"))?;
        stage.pause().await;
        Ok(())
    }

    async fn an_unpaired_client(&mut self) -> Result<(), Failure> {
        let stage = self.stage;
        stage.act("A client that is not paired", STRANGER);
        stage.command(&format!("otaru image list --to {}", self.to));
        let result = self.client.connect().await;
        let Err(error) = result else { return stage.held("the unpaired client is refused", false) };
        let refused = matches!(error, ClientError::Link(LinkError::Unpaired { .. }));
        let told = Failure::from(error);
        told.to_string().lines().for_each(|line| stage.client_output().note(line));
        self.hold("refused, in words and at once; the device took nothing", refused && stage.uploads() == 0)?;
        stage.pause().await;
        Ok(())
    }

    async fn an_update(&mut self, title: &str, words: &str) -> Result<(), Failure> {
        let stage = self.stage;
        stage.act(title, words);
        let release = Release::sign("2.0.0", &stage.key, &stage.layout, Behaviour::Good)?;
        stage.command("otaru sign app.raw app-2.bin --version 2.0.0 --pad-header --project lock");
        stage.command(&format!("otaru upgrade app-2.bin --to {}", self.to));
        let outcome = self.upgrade(&release).await?;
        self.hold(
            "version 2.0.0 was seen running on trial, then confirmed",
            outcome == Outcome::Confirmed { already: false },
        )?;
        self.hold("version 2.0.0 runs on the device", stage.runs("2.0.0"))?;
        stage.pause().await;
        Ok(())
    }

    /// What the radio did during the update.
    fn the_radio(&mut self, air: &Air) {
        let Some(uploaded) = &self.uploaded else { return };
        let (rate, stats) = (f64::from(uploaded.rate()), air.stats());
        let limit = link_limit(Phy::Le2M, 15_000, 251, 495);
        self.stage.say(&format!(
            "Radio: {:.1} kB/s of the {:.1} that this link can carry. From here on the slot must be erased on the way: the flash of an nRF52840 then takes 32.",
            rate / 1e3,
            limit / 1e3
        ));
        self.stage.output().event("radio", json!({ "rate": rate, "link_limit": limit, "air": format!("{stats:?}") }));
    }

    async fn a_strangers_image(&mut self) -> Result<(), Failure> {
        let stage = self.stage;
        stage.act("An image signed with a stranger's key", FORGED);
        let forged = SigningKey::generate(Scheme::EcdsaP256)?;
        let release = Release::sign("6.6.6", &forged, &stage.layout, Behaviour::Good)?;
        let refusal = match self.upgrade(&release).await {
            Err(UpgradeError::Client(error)) if error.refusal().is_some() => Failure::from(error),
            _ => return stage.held("the stranger's image is refused", false),
        };
        refusal.to_string().lines().for_each(|line| stage.client_output().note(line));
        let marked = self.client.list().await?.iter().any(|slot| slot.pending);
        self.hold("refused with the reason; nothing is marked for boot", stage.rejected() && !marked)?;
        let resets = stage.resets() + 1;
        self.client.reset(false).await?;
        stage.until_running_after(resets).await?;
        self.hold("after a reset version 2.0.0 runs as before", stage.running() == Some(("2.0.0".into(), false)))?;
        stage.pause().await;
        Ok(())
    }

    async fn a_faulty_image(&mut self) -> Result<(), Failure> {
        let stage = self.stage;
        stage.act("An update that fails its self-test", FAULTY);
        let release = Release::sign("3.0.0", &stage.key, &stage.layout, Behaviour::FailsItsSelfTest)?;
        let outcome = self.upgrade(&release).await?;
        let reverted = matches!(&outcome, Outcome::Reverted { running, .. } if running == "2.0.0");
        self.hold("the device reverted to version 2.0.0 by itself, and the client says so", reverted)?;
        stage.pause().await;
        Ok(())
    }

    async fn a_power_cut(&mut self) -> Result<(), Failure> {
        let stage = self.stage;
        stage.act("Power fails in the middle of a swap", DARK);
        let release = Release::sign("4.0.0", &stage.key, &stage.layout, Behaviour::Good)?;
        let cut = Cut { op: self.swap_ops / 2, leaves: Partial::Mixed };
        let repair = async {
            stage.until_dark().await;
            stage.say(&format!(
                "Power is gone in flash operation {} of about {}: half a word is written.",
                cut.op, self.swap_ops
            ));
            Timer::after(OUTAGE).await;
            stage.device().power().restore();
            std::future::pending::<()>().await;
        };
        let mut telling = Telling::new(stage.client_output());
        let mut tell = |event: Event| {
            if let Event::Marked { .. } = event {
                stage.device().plan_cut(cut);
            }
            pace(stage, &event);
            telling.upgrade(&event);
        };
        let firmware = release.firmware();
        let job = upgrade(&mut self.client, &firmware, &OPTIONS, &mut tell);
        let outcome = match select(job, repair).await {
            Either::First(outcome) => outcome?,
            Either::Second(()) => return Err(super::defect(&"the repair ended before the update")),
        };
        drop(telling);
        self.hold("power was lost once, in the swap", stage.power_losses() == 1)?;
        self.hold(
            "the swap went on from where it was; 4.0.0 runs and is confirmed",
            outcome == Outcome::Confirmed { already: false },
        )?;
        self.hold("version 4.0.0 runs on the device", stage.runs("4.0.0"))?;
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        let stage = self.stage;
        let seconds = Instant::now().as_millis() / 1000;
        stage.output().heading("That was the whole road");
        stage.say(&format!("{} checks held, in {seconds} s of the device's time.", self.steps.len()));
        stage.say("Your own: `otaru new`, `otaru sign`, `otaru device`, `otaru upgrade`; README.md goes on from here.");
        stage.output().timed("done", json!({ "steps": self.steps, "virtual_seconds": seconds }));
        Ok(())
    }

    /// One upgrade, as `otaru upgrade` makes it.
    async fn upgrade(&mut self, release: &Release) -> Result<Outcome, UpgradeError> {
        let stage = self.stage;
        let mut telling = Telling::new(stage.client_output());
        let mut ops = 0;
        let uploaded = &mut self.uploaded;
        let mut tell = |event: Event| {
            match &event {
                Event::Uploaded(done) => *uploaded = Some(*done),
                Event::Marked { .. } => ops = stage.device().with_flash(|flash| flash.op()),
                _ => {}
            }
            pace(stage, &event);
            telling.upgrade(&event);
        };
        let outcome = upgrade(&mut self.client, &release.firmware(), &OPTIONS, &mut tell).await;
        if self.swap_ops == 0 {
            self.swap_ops = stage.device().with_flash(|flash| flash.op()).saturating_sub(ops);
        }
        outcome
    }

    fn hold(&mut self, step: &'static str, held: bool) -> Result<(), Failure> {
        self.steps.push(step);
        self.stage.held(step, held)
    }
}

/// Uploads can be watched, swaps would take too long.
fn pace(stage: &Stage<'_>, event: &Event) {
    match event {
        Event::Upload(_) => stage.pace(1.0),
        Event::Reset { .. } => stage.pace(10.0),
        Event::Seen { .. } => stage.pace(1.0),
        _ => {}
    }
}

const OPTIONS: Options = Options {
    mode: otaru_smp_client::Mode::TestAndConfirm,
    only_newer: false,
    restart: Duration::from_secs(180),
    absence: Duration::from_secs(30),
};

/// How long the power stays away.
const OUTAGE: Duration = Duration::from_secs(3);

const BORN: &str = "A fresh signing key; version 1 of a lock's firmware signed with it and programmed at the factory.
At power-on the bootloader verifies the image against the key it was built with, and says what it found:";
const STRANGER: &str = "The device asks for an authenticated link. This client has no passkey to offer.";
const PAIRED: &str = "Somebody stands in front of the device now and reads its display. Then version 2: upload, verify,
test, swap at reset, trial, and the client confirms once it has seen the new version running.";
const UNPAIRED: &str = "This link authenticates nobody: the device takes it only because it is local.
Version 2: upload, verify, test, swap at reset, trial, and the client confirms once it has seen it running.";
const FORGED: &str =
    "Paired or not: what is not signed with the device's key does not run. Version 6.6.6 from elsewhere:";
const FAULTY: &str =
    "Version 3 is signed properly, but broken. On trial its self-test fails, and it restarts unconfirmed:";
const DARK: &str = "Version 4 is fine. Halfway through its swap the battery is pulled, in the middle of a write:";
