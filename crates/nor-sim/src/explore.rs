use core::fmt;
use core::hash::{BuildHasherDefault, Hash, Hasher};
use std::collections::{HashMap, VecDeque};
use std::hash::DefaultHasher;

use crate::fingerprint::Fingerprint;
use crate::{Contents, Cut, History, NorFlash, Op, OpKind, Partial, Step};

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

/// One power-up of a device.
#[derive(Debug)]
pub struct PowerUp<'a, W> {
    /// The device's flash.
    pub flash: &'a mut NorFlash,
    world: W,
    /// What the world was told, and after which operation.
    told: Vec<(u64, W)>,
}

impl<'a, W: Copy> PowerUp<'a, W> {
    fn new(flash: &'a mut NorFlash, world: W) -> Self {
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
        }
    }
}

impl Limits {
    fn ways(&self, kind: OpKind) -> &'static [Partial] {
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
    /// Distinct states: flash contents together with what the world knows.
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
pub fn explore<S: Scenario>(scenario: &S, limits: &Limits) -> Summary {
    let (mut flash, world) = scenario.start();
    flash.record();
    let mut search = Search::new(&flash);
    let start = flash.contents().clone();
    search.meet(search.fingerprint.of(&start), world, None, || start);
    while let Some((id, contents)) = search.queue.pop_front() {
        if id as usize >= limits.states || search.summary.bad.len() >= limits.bad {
            search.summary.complete = false;
            break;
        }
        flash.restore(&contents);
        search.visit(scenario, limits, &mut flash, id, contents);
    }
    search.finish(limits)
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
        flash.power_on();
        if let Step::Cut(cut) = step {
            flash.cut_power(cut);
        }
        let mut power_up = PowerUp::new(&mut flash, world);
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

/// One state: how it was first met, and where a whole power-up leads from it.
struct Node<W> {
    from: Option<(u32, Step)>,
    world: W,
    next: Next,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Unknown,
    /// A violation was found, or a whole power-up leads nowhere else.
    End,
    To(u32),
}

struct Search<W> {
    fingerprint: Fingerprint,
    nodes: Vec<Node<W>>,
    met: HashMap<u64, u32, BuildHasherDefault<Ready>>,
    queue: VecDeque<(u32, Contents)>,
    summary: Summary,
}

impl<W: Copy + Eq + Hash + fmt::Debug> Search<W> {
    fn new(flash: &NorFlash) -> Self {
        Self {
            fingerprint: Fingerprint::new(flash.devices()),
            nodes: Vec::new(),
            met: HashMap::default(),
            queue: VecDeque::new(),
            summary: Summary { complete: true, ..Summary::default() },
        }
    }

    /// The state with this content and world, which is put in the queue if it is new.
    fn meet(
        &mut self,
        fingerprint: u64,
        world: W,
        from: Option<(u32, Step)>,
        contents: impl FnOnce() -> Contents,
    ) -> u32 {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let id = *self.met.entry(fingerprint ^ hasher.finish()).or_insert(new);
        if id == new {
            self.nodes.push(Node { from, world, next: Next::Unknown });
            self.queue.push_back((id, contents()));
        }
        id
    }

    /// Powers the state up, and meets every state that follows from it.
    fn visit<S: Scenario<World = W>>(
        &mut self,
        scenario: &S,
        limits: &Limits,
        flash: &mut NorFlash,
        id: u32,
        contents: Contents,
    ) {
        let world = self.nodes[id as usize].world;
        flash.power_on();
        let mut power_up = PowerUp::new(flash, world);
        let result = scenario.power_up(&mut power_up);
        let (told, after) = (power_up.told, power_up.world);
        let ops = flash.recorded();
        let erases = ops.iter().filter(|op| op.kind == OpKind::Erase).count() as u64;
        let silent = ops.is_empty();
        self.summary.erases = self.summary.erases.max(erases);
        self.summary.ops = self.summary.ops.max(ops.len());
        let mut result = result;
        if result.is_ok() && erases > limits.erases {
            result =
                Err(Violation(format!("one power-up erased {erases} sectors, and {} is the limit", limits.erases)));
        }
        if result.is_ok() && silent && after == world {
            result = scenario.settled(flash, world);
            self.nodes[id as usize].next = Next::End;
        }
        if let Err(violation) = result {
            self.nodes[id as usize].next = Next::End;
            self.condemn(id, violation);
            return;
        }
        let start = self.fingerprint.of(&contents);
        let end = self.branch(limits, flash, id, contents, start, &told);
        if self.nodes[id as usize].next == Next::Unknown {
            let next = self.meet(end, after, Some((id, Step::Whole)), || flash.contents().clone());
            self.nodes[id as usize].next = Next::To(next);
        }
    }

    /// Meets every state that a cut in this power-up's operations leaves. Returns the fingerprint at its end.
    fn branch(
        &mut self,
        limits: &Limits,
        flash: &NorFlash,
        id: u32,
        mut contents: Contents,
        start: u64,
        told: &[(u64, W)],
    ) -> u64 {
        let Some(trace) = flash.trace() else { return start };
        let mut fingerprint = start;
        let mut world = self.nodes[id as usize].world;
        let mut told = told.iter().peekable();
        let mut data = trace.data.as_slice();
        for (number, op) in (1u64..).zip(&trace.ops) {
            while let Some((_, news)) = told.next_if(|(after, _)| *after < number) {
                world = *news;
            }
            let new = match op.kind {
                OpKind::Write => {
                    let (unit, rest) = data.split_at(op.len as usize);
                    data = rest;
                    unit
                }
                OpKind::Erase => &[],
            };
            for &leaves in limits.ways(op.kind) {
                self.summary.cuts += 1;
                let left = self.fingerprint.after(&contents, fingerprint, op, new, leaves);
                let step = Step::Cut(Cut { op: number, leaves });
                let rebuild = || {
                    let mut contents = contents.clone();
                    apply(flash, &mut contents, op, new, leaves);
                    contents
                };
                self.meet(left, world, Some((id, step)), rebuild);
            }
            fingerprint = self.fingerprint.after(&contents, fingerprint, op, new, Partial::All);
            apply(flash, &mut contents, op, new, Partial::All);
        }
        fingerprint
    }

    fn condemn(&mut self, id: u32, violation: Violation) {
        let history = self.history(id);
        self.summary.bad.push(BadState { history, violation });
    }

    fn history(&self, id: u32) -> History {
        let mut steps = Vec::new();
        let mut at = id;
        while let Some((parent, step)) = self.nodes[at as usize].from {
            steps.push(step);
            at = parent;
        }
        steps.reverse();
        History(steps)
    }

    /// Follows whole power-ups from every state to their end.
    fn finish(mut self, limits: &Limits) -> Summary {
        self.summary.states = self.nodes.len();
        let mut distance: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for id in 0..self.nodes.len() as u32 {
            let mut way = Vec::new();
            let mut at = id;
            let mut length = loop {
                if let Some(known) = distance[at as usize] {
                    break known;
                }
                match self.nodes[at as usize].next {
                    Next::To(next) if way.len() <= limits.power_ups as usize => {
                        way.push(at);
                        at = next;
                    }
                    Next::To(_) => break FOREVER,
                    Next::Unknown | Next::End => {
                        distance[at as usize] = Some(0);
                        break 0;
                    }
                }
            };
            for &passed in way.iter().rev() {
                length = length.saturating_add(1);
                distance[passed as usize] = Some(length);
            }
            let length = distance[id as usize].unwrap_or(FOREVER);
            if length > limits.power_ups && self.summary.bad.len() < limits.bad {
                self.condemn(id, never_settles(limits.power_ups));
            }
            self.summary.power_ups = self.summary.power_ups.max(length);
        }
        self.summary.bad.sort_by_key(|bad| bad.history.0.len());
        self.summary
    }
}

fn apply(flash: &NorFlash, contents: &mut Contents, op: &Op, data: &[u8], leaves: Partial) {
    if let Some(device) = flash.devices().get(usize::from(op.at.device.0)) {
        device.apply(contents, op, data, leaves);
    }
}

fn never_settles(power_ups: u32) -> Violation {
    Violation(format!("after {power_ups} whole power-ups there is still something to do"))
}

const FOREVER: u32 = u32::MAX / 2;

/// Fingerprints are hashes already.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
