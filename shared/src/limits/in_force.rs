//! The limits of a wallet with what has been counted: what is kept beside the wallet, and changes only with it.

use serde::{Deserialize, Serialize};

use super::{
    Cap, Limits,
    movement::{Effect, GivenBack, HoldSoFar, Moved},
    row::Spelling,
    window::{Stretch, Window},
};
use crate::{Amount, Balance, HoldId, Timestamp, money::as_minor};

/// So many increases of holds that go on are remembered in each window, so that its row is bounded. What is above counts
/// like any other, and is not given back for itself.
const INCREASES_MAX: usize = 32;

/// The limits of a wallet that has some, as they are after one of its events. In JSON it is what its row says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WalletLimits {
    #[serde(
        default,
        with = "as_minor::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) ceiling: Option<Balance>,
    caps: Vec<Cap>,
    windows: Vec<Counting>,
    #[serde(skip)]
    pub(super) spelling: Spelling,
}

/// A window, and what counts in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Counting {
    #[serde(flatten)]
    window: Window,
    /// When it was put: what moved before does not count.
    since: Timestamp,
    /// In order. Of a calendar window there is one at most.
    parts: Vec<Part>,
    /// What of it are increases of holds that are not over, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    increases: Vec<Increase>,
}

/// What a hold was increased by in one part: the hold, from when the part is, and how much of it was not released.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "(HoldId, i64, i64)", into = "(HoldId, i64, i64)")]
struct Increase {
    hold_id: HoldId,
    from: i64,
    /// In minor units.
    sum: i64,
}

impl From<(HoldId, i64, i64)> for Increase {
    fn from((hold_id, from, sum): (HoldId, i64, i64)) -> Self {
        Self { hold_id, from, sum }
    }
}

impl From<Increase> for (HoldId, i64, i64) {
    fn from(Increase { hold_id, from, sum }: Increase) -> Self {
        (hold_id, from, sum)
    }
}

/// What moved in one stretch of time: from, until, sum, count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "(i64, i64, i64, u32)", into = "(i64, i64, i64, u32)")]
struct Part {
    stretch: Stretch,
    /// In minor units.
    sum: i64,
    count: u32,
}

impl From<(i64, i64, i64, u32)> for Part {
    fn from((from, until, sum, count): (i64, i64, i64, u32)) -> Self {
        Self {
            stretch: Stretch { from, until },
            sum,
            count,
        }
    }
}

impl From<Part> for (i64, i64, i64, u32) {
    fn from(part: Part) -> Self {
        let Stretch { from, until } = part.stretch;
        (from, until, part.sum, part.count)
    }
}

/// The first limit that a movement would pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exceeded {
    Ceiling { ceiling: Balance },
    Cap(Cap),
    Window(WindowUse),
}

/// A window as it is at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowUse {
    pub window: Window,
    /// What counts now.
    pub used: Balance,
    pub used_count: u32,
    /// Of a movement that it does not let pass: when it would; none when it never will, for it is more than the whole.
    /// Else when some of what counts does not any more: the end of a calendar window, and of the oldest part of a rolling
    /// one, if anything counts in it.
    pub until: Option<Timestamp>,
}

impl WindowUse {
    /// How much may move still.
    pub fn left(&self) -> Option<Balance> {
        let maximum = self.window.maximum?.minor();
        Some(Balance::new(
            maximum.saturating_sub(self.used.minor()).max(0),
        ))
    }

    /// How often.
    pub fn left_count(&self) -> Option<u32> {
        let maximum = self.window.maximum_count?;
        Some(maximum.saturating_sub(self.used_count))
    }

    /// Two that do not let a movement pass, as one: that with less left, until both let it.
    fn with(self, other: Self) -> Self {
        let until = self.until.zip(other.until).map(|(a, b)| a.max(b));
        // Where no more movements are left, nothing is, whatever the sum; else the sum is what is in the way.
        let left = |it: &Self| match it.left_count() {
            Some(0) => Some(Balance::ZERO),
            _ => it.left(),
        };
        let less = |a: &Self, b: &Self| match (left(a), left(b)) {
            (Some(a), Some(b)) => a < b,
            (a, b) => a.is_some() && b.is_none(),
        };
        // Of two with as little the one that is in the way for longer.
        let longer = |a: &Self, b: &Self| match (a.until, b.until) {
            (Some(a), Some(b)) => a > b,
            (a, b) => a.is_none() && b.is_some(),
        };
        let is_other = less(&other, &self) || (!less(&self, &other) && longer(&other, &self));
        let binding = if is_other { other } else { self };
        Self { until, ..binding }
    }
}

impl WalletLimits {
    /// What is in force when limits are put at a moment in place of those of before; none when nothing is limited. A window
    /// that stands already, with another maximum perhaps, keeps what it has counted.
    pub fn put(limits: &Limits, before: Option<&Self>, at: Timestamp) -> Option<Self> {
        if limits.is_empty() {
            return None;
        }
        let Limits {
            ceiling,
            caps,
            windows,
        } = limits.clone();
        let counted = before.map_or(&[][..], |before| &before.windows);
        let counting = |window: Window| {
            let same = counted
                .iter()
                .find(|counted| counted.window.counts_like(&window));
            Counting {
                since: same.map_or(at, |same| same.since),
                parts: same.map(|same| same.parts.clone()).unwrap_or_default(),
                increases: same.map(|same| same.increases.clone()).unwrap_or_default(),
                window,
            }
        };
        Some(Self {
            ceiling,
            caps,
            windows: windows.into_iter().map(counting).collect(),
            spelling: Spelling::default(),
        })
    }

    /// What is limited.
    pub fn limits(&self) -> Limits {
        let windows = self.windows.iter();
        Limits {
            ceiling: self.ceiling,
            caps: self.caps.clone(),
            windows: windows.map(|counting| counting.window.clone()).collect(),
        }
    }

    pub const fn ceiling(&self) -> Option<Balance> {
        self.ceiling
    }

    pub fn caps(&self) -> &[Cap] {
        &self.caps
    }

    /// The limit that keeps a movement from being, when it is made at that moment and leaves that balance. Of several windows
    /// it is the one with the least left, and it would pass when all of them let it.
    pub fn objects_to(
        &self,
        moved: &Moved,
        balance_after: Balance,
        at: Timestamp,
    ) -> Option<Exceeded> {
        let ceiling = self.ceiling.filter(|_| moved.is_credit());
        if let Some(ceiling) = ceiling.filter(|ceiling| balance_after.minor() > ceiling.minor()) {
            return Some(Exceeded::Ceiling { ceiling });
        }
        let mut caps = self.caps.iter().filter(|cap| cap.of.include(moved));
        if let Some(cap) = caps.find(|cap| moved.whole > cap.maximum.minor()) {
            return Some(Exceeded::Cap(cap.clone()));
        }
        let windows = self.windows.iter();
        let in_the_way = windows
            .filter(|counting| counting.is_passed_by(moved, at.seconds()))
            .map(|counting| counting.use_for(moved, at.seconds()));
        in_the_way.reduce(WindowUse::with).map(Exceeded::Window)
    }

    /// What is in force after an event that is not a change of limits. `hold` is the one that the event is about, as it was
    /// before; without it nothing is given back.
    pub fn after(&mut self, effect: Effect, hold: Option<HoldSoFar>, at: Timestamp) {
        let Effect { moves, gives_back } = effect;
        if let Some(moved) = moves {
            let concerned = self.windows.iter_mut();
            concerned
                .filter(|counting| counting.window.of.include(&moved))
                .for_each(|counting| counting.add(&moved, at.seconds()));
        }
        if let (Some(given), Some(hold)) = (gives_back, hold) {
            for counting in &mut self.windows {
                counting.give_back(&given, &hold);
            }
        }
    }

    /// The windows as they are at a moment.
    pub fn windows_at(&self, at: Timestamp) -> impl Iterator<Item = WindowUse> {
        let now = at.seconds();
        self.windows
            .iter()
            .map(move |counting| counting.use_at(now))
    }
}

impl Counting {
    /// The parts that count at a moment.
    fn current(&self, now: i64) -> impl Iterator<Item = &Part> + Clone {
        self.parts
            .iter()
            .filter(move |part| part.stretch.until > now)
    }

    fn used(&self, now: i64) -> (i64, u32) {
        let sum = |(sum, count): (i64, u32), part: &Part| {
            (
                sum.saturating_add(part.sum),
                count.saturating_add(part.count),
            )
        };
        self.current(now).fold((0, 0), sum)
    }

    /// Whether one more movement fits into what is used.
    fn fits(&self, (sum, count): (i64, u32), moved: &Moved) -> bool {
        let maximum = self.window.maximum.map_or(i64::MAX, Amount::minor);
        let maximum_count = self.window.maximum_count.unwrap_or(u32::MAX);
        let sum = i128::from(sum) + i128::from(moved.amount);
        let count = u64::from(count) + u64::from(moved.is_one_more);
        sum <= i128::from(maximum) && count <= u64::from(maximum_count)
    }

    fn is_passed_by(&self, moved: &Moved, now: i64) -> bool {
        self.window.of.include(moved) && !self.fits(self.used(now), moved)
    }

    fn add(&mut self, moved: &Moved, now: i64) {
        self.parts.retain(|part| part.stretch.until > now);
        let parts = &self.parts;
        self.increases
            .retain(|it| parts.iter().any(|part| part.stretch.from == it.from));
        let count = u32::from(moved.is_one_more);
        // A calendar window goes on until it has ended; of a rolling one each part has its time.
        let is_calendar = self.window.time_zone.is_some();
        let open = self
            .parts
            .last_mut()
            .filter(|part| is_calendar || self.window.stretch(now).from <= part.stretch.from);
        let stretch = match open {
            Some(part) => {
                part.sum = part.sum.saturating_add(moved.amount);
                part.count = part.count.saturating_add(count);
                part.stretch
            }
            None => {
                let stretch = self.window.stretch(now);
                let sum = moved.amount;
                self.parts.push(Part {
                    stretch,
                    sum,
                    count,
                });
                stretch
            }
        };
        if let Some(hold_id) = moved.increases {
            self.remember(hold_id, stretch.from, moved.amount);
        }
    }

    fn remember(&mut self, hold_id: HoldId, from: i64, sum: i64) {
        let mut increases = self.increases.iter_mut();
        if let Some(same) = increases.find(|it| it.hold_id == hold_id && it.from == from) {
            same.sum = same.sum.saturating_add(sum);
        } else if self.increases.len() < INCREASES_MAX {
            self.increases.push(Increase { hold_id, from, sum });
        }
    }

    /// What of a release is not from increases that were counted here. The latest are given back first, so that of what stays
    /// each part has counted as much as was set aside in it.
    fn give_back_increases(&mut self, hold_id: HoldId, amount: i64) -> i64 {
        let mut rest = amount;
        let increases = self.increases.iter_mut().rev();
        for increase in increases.filter(|it| it.hold_id == hold_id) {
            let taken = increase.sum.min(rest);
            let mut parts = self.parts.iter_mut();
            if let Some(part) = parts.find(|part| part.stretch.from == increase.from) {
                part.sum = part.sum.saturating_sub(taken).max(0);
            }
            increase.sum = increase.sum.saturating_sub(taken);
            rest = rest.saturating_sub(taken);
        }
        self.increases.retain(|it| it.sum > 0);
        rest
    }

    fn give_back(&mut self, given: &GivenBack, hold: &HoldSoFar) {
        let of = self.window.of;
        let redirected = if hold.counts_what_is_redirected(of) {
            given.redirected
        } else {
            0
        };
        let amount = given.amount.saturating_add(redirected);
        let rest = self.give_back_increases(given.hold_id, amount);
        if hold.counts_as().contains(&of) {
            let is_undone = given.is_over && !given.is_capture && !hold.was_captured;
            self.give_back_placed(rest, is_undone, hold.placed_at);
        }
        if given.is_over {
            self.increases.retain(|it| it.hold_id != given.hold_id);
        }
    }

    /// What was counted when the hold was placed: not before the window was put, and not what is over.
    fn give_back_placed(&mut self, amount: i64, is_undone: bool, placed_at: Timestamp) {
        if placed_at <= self.since {
            return;
        }
        let from = self.window.stretch(placed_at.seconds()).from;
        let mut parts = self.parts.iter_mut();
        if let Some(part) = parts.find(|part| part.stretch.from == from) {
            part.sum = part.sum.saturating_sub(amount).max(0);
            part.count = part.count.saturating_sub(u32::from(is_undone));
        }
    }

    fn use_at(&self, now: i64) -> WindowUse {
        let until = match self.window.time_zone {
            Some(_) => Some(self.window.stretch(now).until),
            None => self
                .current(now)
                .find(|part| part.sum != 0 || part.count != 0)
                .map(|part| part.stretch.until),
        };
        self.as_used(now, until)
    }

    /// With the moment at which a movement that does not pass now would.
    fn use_for(&self, moved: &Moved, now: i64) -> WindowUse {
        let (mut sum, mut count) = self.used(now);
        let freed = self.current(now).find(|part| {
            sum = sum.saturating_sub(part.sum);
            count = count.saturating_sub(part.count);
            self.fits((sum, count), moved)
        });
        let until = freed.map(|part| part.stretch.until);
        self.as_used(now, until)
    }

    fn as_used(&self, now: i64, until: Option<i64>) -> WindowUse {
        let (sum, used_count) = self.used(now);
        WindowUse {
            window: self.window.clone(),
            used: Balance::new(sum),
            used_count,
            until: until.and_then(Timestamp::from_seconds),
        }
    }
}
