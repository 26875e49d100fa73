use core::fmt;
use core::hash::Hash;

use otaru_flash::{Flash, FlashAddr, ReadFlash};

use crate::search::{Reread, search};
use crate::{History, NorError, NorFlash, OpKind, Partial, Step};

/// Something that runs whenever power comes on, and what must hold of it.
///
/// A power-up must depend on nothing but the flash and the world it is given: then every flash content that any
/// sequence of power cuts can leave is found, however many cuts it takes.
pub trait Scenario {
    /// What the world outside the device remembers: a power cut does not touch it. For example, that an update was
    /// asked for and the answer came.
    type World: Copy + Eq + Hash + fmt::Debug;

    /// The flash that it begins with, and the world.
    fn start(&self) -> (NorFlash, Self::World);

    /// Everything that happens from power-on until nothing more would happen.
    ///
    /// # Errors
    /// A [`Violation`] if it did what must never happen. It counts only if power stayed on.
    fn power_up(&self, device: &mut PowerUp<'_, Self::World>) -> Result<(), Violation>;

    /// Judges a flash that a whole power-up neither changed nor taught the world anything new from.
    ///
    /// # Errors
    /// A [`Violation`] if it must not end here.
    fn settled(&self, flash: &mut NorFlash, world: Self::World) -> Result<(), Violation>;
}

/// What must never happen, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// One power-up of a device: its flash, and the world around it.
///
/// There is no way to look at the flash but to read it: the explorer must know what a power-up depends on.
#[derive(Debug)]
pub struct PowerUp<'a, W> {
    flash: &'a mut NorFlash,
    world: W,
    /// What the world was told, and after which operation.
    pub(crate) told: Vec<(u64, W)>,
}

impl<'a, W: Copy> PowerUp<'a, W> {
    /// Power comes on for this flash in this world.
    pub fn new(flash: &'a mut NorFlash, world: W) -> Self {
        flash.power_on();
        Self { flash, world, told: Vec::new() }
    }

    /// What the world knows by now.
    #[must_use]
    pub fn world(&self) -> W {
        self.world
    }

    /// Has the world know `world` from now on, whether or not power is cut later.
    pub fn tell(&mut self, world: W) {
        if !self.flash.power_lost() {
            self.world = world;
            self.told.push((self.flash.op(), world));
        }
    }
}

impl<W> ReadFlash for PowerUp<'_, W> {
    type Error = NorError;

    fn read(&mut self, at: FlashAddr, out: &mut [u8]) -> Result<(), NorError> {
        self.flash.read(at, out)
    }
}

impl<W> Flash for PowerUp<'_, W> {
    fn write(&mut self, at: FlashAddr, data: &[u8]) -> Result<(), NorError> {
        self.flash.write(at, data)
    }

    fn erase(&mut self, at: FlashAddr, len: u32) -> Result<(), NorError> {
        self.flash.erase(at, len)
    }
}

/// When to stop, and what is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Distinct states to look at; an exploration that has more ends incomplete.
    pub states: usize,
    /// Whole power-ups until nothing changes any more, from any state.
    pub power_ups: u32,
    /// Erases in one power-up.
    pub erases: u64,
    /// Bad states after which to stop.
    pub bad: usize,
    /// What a cut may leave of a write unit.
    pub of_write: &'static [Partial],
    /// What a cut may leave of the erase of a sector.
    pub of_erase: &'static [Partial],
    /// Whether states that differ only in what nothing depends on count as one.
    pub merge: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            states: 10_000_000,
            power_ups: 8,
            erases: u64::MAX,
            bad: 20,
            of_write: &Partial::OF_WRITE,
            of_erase: &Partial::OF_ERASE,
            merge: true,
        }
    }
}

impl Limits {
    pub(crate) fn ways(&self, kind: OpKind) -> &'static [Partial] {
        match kind {
            OpKind::Write => self.of_write,
            OpKind::Erase => self.of_erase,
        }
    }
}

/// A state from which something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadState {
    /// How to come to it again: no sequence with fewer power-ups leads there.
    pub history: History,
    /// What went wrong.
    pub violation: Violation,
}

/// What an exploration came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Operations cut, each in each way, in each state.
    pub cuts: u64,
    /// Distinct states: flash contents, as far as anything depends on them, together with what the world knows.
    pub states: usize,
    /// Whether every state was looked at.
    pub complete: bool,
    /// The longest way, in whole power-ups, until nothing changed any more.
    pub power_ups: u32,
    /// The most erases in one power-up.
    pub erases: u64,
    /// The most operations in one power-up.
    pub ops: usize,
    /// The bad states, those with the fewest power-ups first.
    pub bad: Vec<BadState>,
}

impl Summary {
    /// Whether every state was looked at and none is bad.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.complete && self.bad.is_empty()
    }
}

/// Runs `scenario` from every state that power cuts can lead to.
///
/// From each state it runs one power-up to its end, and from the record of that run works out every state that a cut
/// in any of its operations leaves, each with every [`Partial`] result. It goes on until no new state turns up.
///
/// A sector that a power-up erases before it reads anything of it may hold whatever it likes, and so may it after each
/// cut before that erase, if the power-up that follows erases it first as well. States that differ in such sectors only
/// count as one. Where it turns out that a sector was read after all, everything begins again without merging there.
pub fn explore<S: Scenario>(scenario: &S, limits: &Limits) -> Summary {
    let mut unmerged = if limits.merge { 0 } else { u64::MAX };
    loop {
        match search(scenario, limits, unmerged) {
            Ok(summary) => return summary,
            Err(Reread(sectors)) => unmerged |= sectors,
        }
    }
}

/// Runs `scenario` through `history` and then through whole power-ups until nothing changes, telling each step.
///
/// # Errors
/// The [`Violation`] it ends in.
pub fn replay<S: Scenario>(
    scenario: &S,
    limits: &Limits,
    history: &History,
    mut tell: impl FnMut(&str),
) -> Result<(), Violation> {
    let (mut flash, mut world) = scenario.start();
    flash.record();
    let whole = core::iter::repeat_n(Step::Whole, limits.power_ups as usize + 1);
    for (index, step) in history.0.iter().copied().chain(whole).enumerate() {
        let before = (flash.contents().clone(), world);
        let mut power_up = PowerUp::new(&mut flash, world);
        if let Step::Cut(cut) = step {
            power_up.flash.cut_power(cut);
        }
        let result = scenario.power_up(&mut power_up);
        world = power_up.world;
        let ops = flash.recorded();
        tell(&format!("power-up {}: {} operations, the world knows {world:?}", index + 1, ops.len()));
        for (index, op) in ops.iter().enumerate() {
            tell(&format!("  {:>5} {op}", index + 1));
        }
        if flash.power_lost() {
            if let Step::Cut(cut) = step {
                tell(&format!("  {:>5} power is cut: {}", cut.op, cut.leaves));
            }
            continue;
        }
        result?;
        if flash.recorded().is_empty() && before == (flash.contents().clone(), world) && index >= history.0.len() {
            return scenario.settled(&mut flash, world);
        }
    }
    Err(never_settles(limits.power_ups))
}

pub(crate) fn never_settles(power_ups: u32) -> Violation {
    Violation(format!("after {power_ups} whole power-ups there is still something to do"))
}
