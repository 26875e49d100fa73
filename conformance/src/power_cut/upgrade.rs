//! One update of one image, from the request to the end, whatever happens to the power.

use otaru_boot::request::Pending;
use otaru_image::{HEADER_LEN, Version};
use otaru_nor_sim::{NorError, NorFlash, PowerUp, Scenario, Violation};

use super::board::{Board, Field, Flags, Slot};
use super::{loader, toy};

/// What is asked for, and what the new image does once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// A test that the new image never confirms: it must be reverted.
    Test,
    /// A test that the new image confirms as soon as it runs.
    Confirm,
    /// Permanent: the new image may not be reverted.
    Permanent,
    /// A test of an image whose signature is broken, scheduled from the start: it must never run.
    Reject,
}

/// What is in flash before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Two images and no trailer.
    Plain,
    /// The running image was flashed with a trailer that says confirmed, as `imgtool sign --pad --confirm` makes it.
    Padded,
    /// The running image came by a permanent update.
    Updated,
    /// The new image was flashed with a trailer that asks for what the plan asks for.
    Scheduled,
}

/// What the outside world knows of the update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// The update was asked for, and the answer came (or the new image was seen, which answers as well).
    asked: bool,
    /// When power came on, a swap had brought the new image to its end. If power failed between the end of the swap and
    /// the hand-over, that is all a revert leaves of its one chance.
    installed: bool,
    /// The new image was seen running.
    ran: bool,
    /// The new image confirmed itself, and the call returned.
    confirmed: bool,
    /// The old image was seen running again after the update was asked for and began.
    back: bool,
}

/// The scenario: a board, what is in its flash, and what is to happen.
pub(super) struct Upgrade {
    pub(super) board: Board,
    pub(super) plan: Plan,
    pub(super) start: Start,
    old: Vec<u8>,
    new: Vec<u8>,
    /// What is in the slots where it ends with the old image, and with the new one, if power never fails.
    ends: [Option<End>; 2],
}

/// How an update ended: which image is in which slot, and the trailers.
struct End {
    secondary: Vec<u8>,
    primary_flags: Flags,
    secondary_flags: Flags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    Old,
    New,
}

impl Upgrade {
    pub(super) fn new(board: Board, plan: Plan, start: Start) -> Self {
        let [old_len, new_len] = board.payloads;
        let old = toy::image(Version::new(1, 0, 0, 0), old_len);
        let mut new = toy::image(Version::new(1, 1, 0, 0), new_len);
        if plan == Plan::Reject
            && let Some(last) = new.last_mut()
        {
            *last ^= 0x10;
        }
        let mut upgrade = Self { board, plan, start, old, new, ends: [None, None] };
        // A test that is confirmed may, if power fails at the wrong moment, end as one that is not.
        let other = if plan == Plan::Confirm { Plan::Test } else { plan };
        for plan in [plan, other] {
            let (running, end) = upgrade.uncut(plan);
            upgrade.ends[running as usize] = Some(end);
        }
        upgrade
    }

    /// What `plan` ends in if power never fails.
    fn uncut(&self, plan: Plan) -> (Running, End) {
        let (mut flash, mut world) = self.start();
        for _ in 0..POWER_UPS {
            let mut device = PowerUp::new(&mut flash, world);
            if self.run(plan, &mut device).is_err() {
                break;
            }
            world = device.world();
        }
        self.end(&mut flash).expect("flash with power can be read")
    }

    /// Which image the primary slot begins with, and the rest.
    fn end(&self, flash: &mut NorFlash) -> Result<(Running, End), NorError> {
        let board = self.board;
        let running = if board.holds(flash, Slot::Primary, &self.new)? { Running::New } else { Running::Old };
        let secondary = match running {
            Running::Old => &self.new,
            Running::New => &self.old,
        };
        let end = End {
            secondary: board.read(flash, Slot::Secondary, 0, secondary.len())?,
            primary_flags: board.flags(flash, Slot::Primary)?,
            secondary_flags: board.flags(flash, Slot::Secondary)?,
        };
        Ok((running, end))
    }

    fn run(&self, plan: Plan, device: &mut PowerUp<'_, World>) -> Result<(), Violation> {
        if self.installed(device).map_err(unreadable)? {
            device.tell(World { installed: true, ..device.world() });
        }
        let running = self.boot(device)?;
        let mut world = device.world();
        match running {
            Running::Old if world.asked => {
                if world.confirmed {
                    return Err(violation("a confirmed image was reverted"));
                }
                if plan == Plan::Permanent && world.installed {
                    return Err(violation("a permanent update was reverted"));
                }
                if plan != Plan::Reject && !world.installed && !world.ran {
                    return Err(violation("an update that was asked for did not happen"));
                }
                world.back = true;
                device.tell(world);
            }
            Running::Old => {
                let how = if plan == Plan::Permanent { Pending::Permanent } else { Pending::Test };
                loader::set_pending(&self.board, device, how).map_err(|error| failed("set_pending", &error))?;
                world.asked = true;
                device.tell(world);
            }
            Running::New => {
                if plan == Plan::Reject {
                    return Err(violation("an image with a broken signature was booted"));
                }
                if world.back {
                    return Err(violation("a reverted image was booted again"));
                }
                world.asked = true;
                world.ran = true;
                device.tell(world);
                if plan == Plan::Confirm && !world.confirmed {
                    loader::confirm(&self.board, device).map_err(|error| failed("confirm", &error))?;
                    world.confirmed = true;
                    device.tell(world);
                }
            }
        }
        Ok(())
    }

    /// Boots, and says which image runs. Whatever the loader calls verified must be one of the two, whole.
    fn boot(&self, device: &mut PowerUp<'_, World>) -> Result<Running, Violation> {
        let at = loader::boot(&self.board, device).map_err(|error| failed("boot", &error))?;
        if at != self.board.slot(Slot::Primary) {
            return Err(violation(&format!("{at} was booted, which is not the start of the primary slot")));
        }
        let mut holds = |image| self.board.holds(device, Slot::Primary, image).map_err(unreadable);
        if holds(&self.new)? {
            Ok(Running::New)
        } else if holds(&self.old)? {
            Ok(Running::Old)
        } else {
            Err(violation("what was booted is neither of the two images"))
        }
    }

    /// Whether a swap has brought the new image, to the end. Looks at no more than the trailer if there was none.
    fn installed(&self, device: &mut PowerUp<'_, World>) -> Result<bool, NorError> {
        let flags = self.board.flags(device, Slot::Primary)?;
        let complete = flags.magic == Field::Set && flags.copy_done != Field::Unset;
        Ok(complete && self.board.holds(device, Slot::Primary, &self.new[..HEADER_LEN])?)
    }

    /// The most sectors that one power-up may erase: an update and a revert of the request for it.
    pub(super) fn erases(&self) -> u64 {
        let Board { sectors, .. } = self.board;
        // A swap erases each sector of the images three times, and each trailer at most twice.
        u64::from(5 * sectors)
    }
}

impl Scenario for Upgrade {
    type World = World;

    fn start(&self) -> (NorFlash, World) {
        let board = &self.board;
        let mut flash = board.flash();
        for (slot, image) in [(Slot::Primary, &self.old), (Slot::Secondary, &self.new)] {
            flash.load(board.slot(slot), image).expect("images fit their slots");
        }
        let size = self.old.len().max(self.new.len()) as u32;
        match self.start {
            Start::Plain => {}
            Start::Padded => board.put_trailer(&mut flash, Slot::Primary, true, None),
            Start::Updated => board.put_trailer(&mut flash, Slot::Primary, true, Some((3, size))),
            Start::Scheduled => {}
        }
        // An application cannot ask for an image that does not verify: it must have been flashed like that.
        let asked = self.start == Start::Scheduled || self.plan == Plan::Reject;
        if asked {
            board.put_trailer(&mut flash, Slot::Secondary, self.plan == Plan::Permanent, None);
        }
        (flash, World { asked, ..World::default() })
    }

    fn power_up(&self, device: &mut PowerUp<'_, World>) -> Result<(), Violation> {
        self.run(self.plan, device)
    }

    fn settled(&self, flash: &mut NorFlash, world: World) -> Result<(), Violation> {
        let (running, found) = self.end(flash).map_err(unreadable)?;
        if running == Running::Old && self.plan == Plan::Permanent {
            return Err(violation("a permanent update was lost"));
        }
        if running == Running::New && self.plan == Plan::Test {
            return Err(violation("a test that nobody confirmed was not reverted"));
        }
        if running == Running::New && self.plan == Plan::Confirm && !world.confirmed {
            return Err(violation("an unconfirmed image stays"));
        }
        if self.plan == Plan::Reject {
            // How much of the slot was erased may differ. Nothing may be left that begins like an image or asks for one.
            let begins = self.board.holds(flash, Slot::Secondary, &self.new[..4]).map_err(unreadable)?;
            let asks = found.secondary_flags.magic == Field::Set;
            return if begins || asks { Err(violation("what was rejected is still there")) } else { Ok(()) };
        }
        let Some(end) = &self.ends[running as usize] else {
            let text = format!("it ended with the {running:?} image, as it never does without power cuts");
            return Err(Violation(text));
        };
        if found.secondary != end.secondary {
            return Err(violation("the secondary slot does not hold what it holds without power cuts"));
        }
        for (slot, found, expected) in [
            (Slot::Primary, found.primary_flags, end.primary_flags),
            (Slot::Secondary, found.secondary_flags, end.secondary_flags),
        ] {
            if !found.mean(expected) {
                return Err(violation(&format!("the {slot:?} trailer has {found}; without power cuts, {expected}")));
            }
        }
        Ok(())
    }
}

impl core::fmt::Display for Upgrade {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}-{:?}/{}", self.plan, self.start, self.board.name)
    }
}

fn violation(text: &str) -> Violation {
    Violation(text.into())
}

fn unreadable(error: NorError) -> Violation {
    Violation(format!("flash cannot be read: {error}"))
}

fn failed(what: &str, error: &loader::Failed) -> Violation {
    Violation(format!("{what} failed: {}", error.0))
}

/// Whole power-ups after which an update without power cuts is over.
const POWER_UPS: usize = 5;
