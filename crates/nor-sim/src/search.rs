use core::hash::{BuildHasherDefault, Hash, Hasher};
use std::collections::{HashMap, VecDeque};
use std::hash::DefaultHasher;

use crate::explore::never_settles;
use crate::fingerprint::{Fingerprint, mix};
use crate::{
    BadState, Contents, Cut, History, Limits, NorFlash, Op, OpKind, Partial, PowerUp, Scenario, Step, Summary,
    Violation,
};

/// Sectors whose content was thought not to matter, and was read: one bit each.
pub(crate) struct Reread(pub(crate) u64);

/// Explores, merging states that differ only in sectors that are erased before they are read, but for `unmerged` ones.
pub(crate) fn search<S: Scenario>(scenario: &S, limits: &Limits, unmerged: u64) -> Result<Summary, Reread> {
    let (mut flash, world) = scenario.start();
    let (mut probe, _) = scenario.start();
    flash.record();
    probe.record();
    let fingerprint = Fingerprint::new(flash.devices());
    let start = flash.contents().clone();
    let mut search = Search {
        scenario,
        limits,
        unmerged,
        nodes: Vec::new(),
        met: HashMap::default(),
        merged: HashMap::default(),
        masks: Vec::new(),
        queue: VecDeque::new(),
        summary: Summary { complete: true, ..Summary::default() },
        fingerprint,
        probe,
    };
    search.meet(Meeting { fingerprint: search.fingerprint.of(&start), world, from: None, blind: 0 }, || start)?;
    while let Some((id, contents)) = search.queue.pop_front() {
        if id as usize >= limits.states || search.summary.bad.len() >= limits.bad {
            search.summary.complete = false;
            break;
        }
        search.visit(&mut flash, id, contents)?;
    }
    Ok(search.finish())
}

/// One state: how it was first met, and where a whole power-up leads from it.
struct Node<W> {
    from: Option<(u32, Step)>,
    world: W,
    next: Next,
    /// Sectors that its power-up erases before it reads them.
    blind: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Unknown,
    /// A violation was found, or a whole power-up leads nowhere else.
    End,
    To(u32),
}

/// A state on the way: what a cut leaves, or a whole power-up.
struct Meeting<W> {
    fingerprint: u64,
    world: W,
    from: Option<(u32, Step)>,
    /// Sectors whose content was taken for granted on the way, so the state that is met must not depend on it.
    blind: u64,
}

struct Search<'s, S: Scenario> {
    scenario: &'s S,
    limits: &'s Limits,
    unmerged: u64,
    nodes: Vec<Node<S::World>>,
    /// States by fingerprint and world.
    met: HashMap<u64, u32, BuildHasherDefault<Ready>>,
    /// The same without the sectors that they are blind to, and with which those are.
    merged: HashMap<u64, u32, BuildHasherDefault<Ready>>,
    /// Each set of blind sectors that any state has.
    masks: Vec<u64>,
    queue: VecDeque<(u32, Contents)>,
    summary: Summary,
    fingerprint: Fingerprint,
    /// Runs new states to see what they depend on.
    probe: NorFlash,
}

/// A power-up being walked through, operation by operation.
struct Walk<W> {
    id: u32,
    contents: Contents,
    fingerprint: u64,
    /// Fingerprint of each sector.
    sectors: Vec<u64>,
    world: W,
    /// Sectors that this power-up erases before it reads them, and has not erased yet.
    blind: u64,
}

impl<S: Scenario> Search<'_, S> {
    /// The state that is met: a known one, or a new one, which is put in the queue.
    fn meet(&mut self, meeting: Meeting<S::World>, contents: impl FnOnce() -> Contents) -> Result<u32, Reread> {
        let key = meeting.fingerprint ^ hash(meeting.world);
        let id = match self.met.get(&key) {
            Some(&id) => id,
            None => {
                let id = self.meet_new(&meeting, contents());
                self.met.insert(key, id);
                id
            }
        };
        self.check(id, meeting.blind)?;
        Ok(id)
    }

    fn meet_new(&mut self, meeting: &Meeting<S::World>, contents: Contents) -> u32 {
        let world = meeting.world;
        self.probe.restore(&contents);
        // What it leads to is judged when it is visited; here it only shows what it depends on.
        let _ = self.scenario.power_up(&mut PowerUp::new(&mut self.probe, world));
        let blind = self.probe.trace().map_or(0, |trace| trace.blind()) & !self.unmerged;
        let seen = meeting.fingerprint ^ self.fingerprint.of_sectors(&contents, blind);
        let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let id = *self.merged.entry(merged_key(seen, world, blind)).or_insert(new);
        if id == new {
            if !self.masks.contains(&blind) {
                self.masks.push(blind);
            }
            self.nodes.push(Node { from: meeting.from, world, next: Next::Unknown, blind });
            self.queue.push_back((id, contents));
        }
        id
    }

    /// Whether a state may be met without a look at those sectors.
    fn check(&self, id: u32, blind: u64) -> Result<(), Reread> {
        match blind & !self.nodes[id as usize].blind {
            0 => Ok(()),
            read => Err(Reread(read)),
        }
    }

    /// Powers the state up, and meets every state that follows from it.
    fn visit(&mut self, flash: &mut NorFlash, id: u32, contents: Contents) -> Result<(), Reread> {
        let world = self.nodes[id as usize].world;
        flash.restore(&contents);
        let mut power_up = PowerUp::new(flash, world);
        let mut result = self.scenario.power_up(&mut power_up);
        let (told, after) = (core::mem::take(&mut power_up.told), power_up.world());
        let ops = flash.recorded();
        let erases = ops.iter().filter(|op| op.kind == OpKind::Erase).count() as u64;
        let silent = ops.is_empty() && after == world;
        self.summary.erases = self.summary.erases.max(erases);
        self.summary.ops = self.summary.ops.max(ops.len());
        if result.is_ok() && erases > self.limits.erases {
            let limit = self.limits.erases;
            result = Err(Violation(format!("one power-up erased {erases} sectors, and {limit} is the limit")));
        }
        if result.is_ok() && silent {
            result = self.scenario.settled(flash, world);
            self.nodes[id as usize].next = Next::End;
        }
        if let Err(violation) = result {
            self.nodes[id as usize].next = Next::End;
            self.condemn(id, violation);
            return Ok(());
        }
        let walk = Walk {
            id,
            fingerprint: self.fingerprint.of(&contents),
            sectors: self.fingerprint.each_sector(&contents),
            contents,
            world,
            blind: self.nodes[id as usize].blind,
        };
        let end = self.branch(flash, walk, &told)?;
        if !silent {
            let whole = Meeting { fingerprint: end, world: after, from: Some((id, Step::Whole)), blind: 0 };
            let next = self.meet(whole, || flash.contents().clone())?;
            self.nodes[id as usize].next = Next::To(next);
        }
        Ok(())
    }

    /// Meets every state that a cut in this power-up's operations leaves. Returns the fingerprint at its end.
    fn branch(&mut self, flash: &NorFlash, mut walk: Walk<S::World>, told: &[(u64, S::World)]) -> Result<u64, Reread> {
        let Some(trace) = flash.trace() else { return Ok(walk.fingerprint) };
        let mut told = told.iter().peekable();
        let mut data = trace.data.as_slice();
        for (number, op) in (1u64..).zip(&trace.ops) {
            while let Some((_, news)) = told.next_if(|(after, _)| *after < number) {
                walk.world = *news;
            }
            let (new, rest) = data.split_at(if op.kind == OpKind::Write { op.len as usize } else { 0 });
            data = rest;
            self.cut(flash, &walk, number, op, new)?;
            let after = self.fingerprint.after(&walk.contents, walk.fingerprint, op, new, Partial::All);
            let sector = self.fingerprint.sector(op);
            walk.sectors[sector] ^= walk.fingerprint ^ after;
            walk.fingerprint = after;
            if op.kind == OpKind::Erase {
                walk.blind &= !bit(sector);
            }
            apply(flash, &mut walk.contents, op, new, Partial::All);
        }
        Ok(walk.fingerprint)
    }

    /// Meets every state that a cut in one operation leaves.
    fn cut(&mut self, flash: &NorFlash, walk: &Walk<S::World>, number: u64, op: &Op, new: &[u8]) -> Result<(), Reread> {
        let ways = self.limits.ways(op.kind);
        self.summary.cuts += ways.len() as u64;
        if let Some(id) = self.known_but_for(walk, self.fingerprint.sector(op)) {
            return self.check(id, walk.blind);
        }
        for &leaves in ways {
            let erased = op.kind == OpKind::Erase && leaves == Partial::All;
            let meeting = Meeting {
                fingerprint: self.fingerprint.after(&walk.contents, walk.fingerprint, op, new, leaves),
                world: walk.world,
                from: Some((walk.id, Step::Cut(Cut { op: number, leaves }))),
                blind: if erased { walk.blind & !bit(self.fingerprint.sector(op)) } else { walk.blind },
            };
            self.meet(meeting, || {
                let mut contents = walk.contents.clone();
                apply(flash, &mut contents, op, new, leaves);
                contents
            })?;
        }
        Ok(())
    }

    /// A known state that is like this one but for `sector`, which it is blind to: whatever becomes of that sector,
    /// it is that state.
    fn known_but_for(&self, walk: &Walk<S::World>, sector: usize) -> Option<u32> {
        let blind_to_it = self.masks.iter().filter(|&mask| mask & bit(sector) != 0);
        blind_to_it.into_iter().find_map(|&mask| {
            let unseen = walk.sectors.iter().enumerate().filter(|(index, _)| mask & bit(*index) != 0);
            let seen = unseen.fold(walk.fingerprint, |all, (_, sector)| all ^ sector);
            self.merged.get(&merged_key(seen, walk.world, mask)).copied()
        })
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
    fn finish(mut self) -> Summary {
        let limit = self.limits.power_ups;
        self.summary.states = self.nodes.len();
        let mut distance: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for id in 0..self.nodes.len() {
            let mut way = Vec::new();
            let mut at = id;
            let mut length = loop {
                if let Some(known) = distance[at] {
                    break known;
                }
                match self.nodes[at].next {
                    Next::To(next) if way.len() <= limit as usize => {
                        way.push(at);
                        at = next as usize;
                    }
                    Next::To(_) => break FOREVER,
                    Next::Unknown | Next::End => {
                        distance[at] = Some(0);
                        break 0;
                    }
                }
            };
            for &passed in way.iter().rev() {
                length = length.saturating_add(1);
                distance[passed] = Some(length);
            }
            let length = distance[id].unwrap_or(FOREVER);
            if length > limit && self.summary.bad.len() < self.limits.bad {
                self.condemn(id as u32, never_settles(limit));
            }
            self.summary.power_ups = self.summary.power_ups.max(length);
        }
        self.summary.bad.sort_by_key(|bad| bad.history.0.len());
        self.summary
    }
}

/// The bit of a sector; sectors past the 64th have none and are never merged.
pub(crate) fn bit(sector: usize) -> u64 {
    u32::try_from(sector).ok().and_then(|sector| 1u64.checked_shl(sector)).unwrap_or(0)
}

fn merged_key<W: Hash>(seen: u64, world: W, blind: u64) -> u64 {
    mix(seen ^ hash(world)) ^ mix(blind)
}

fn hash<W: Hash>(world: W) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn apply(flash: &NorFlash, contents: &mut Contents, op: &Op, data: &[u8], leaves: Partial) {
    if let Some(device) = flash.devices().get(usize::from(op.at.device.0)) {
        device.apply(contents, op, data, leaves);
    }
}

const FOREVER: u32 = u32::MAX / 2;

/// Keys are hashes already.
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
