//! What a hold was increased by is given back, where it was counted and no more than that.

use super::*;
use crate::HoldId;

fn id(number: u8) -> HoldId {
    format!("01990000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
}

/// A hold that is followed through its events.
struct Followed {
    id: HoldId,
    placed_at: Timestamp,
    remaining: i64,
    whole: i64,
    was_captured: bool,
}

impl Followed {
    fn place(limits: &mut WalletLimits, number: u8, amount: i64, moment: Timestamp) -> Self {
        let placed = EventBody::HoldPlaced(HoldPlaced {
            hold_id: id(number),
            amount: Balance::new(amount),
            ..hold_placed()
        });
        limits.after(happened(&placed, 0), None, moment);
        Self {
            id: id(number),
            placed_at: moment,
            remaining: amount,
            whole: amount,
            was_captured: false,
        }
    }

    fn changed(&mut self, by: i64) -> HoldChanged {
        self.remaining += by;
        HoldChanged {
            hold_id: self.id,
            amount: Some(Balance::new(by.abs())),
            remaining: Balance::new(self.remaining),
            ..hold_changed()
        }
    }

    fn so_far(&self) -> Option<HoldSoFar> {
        Some(HoldSoFar {
            placed_at: self.placed_at,
            has_destination: false,
            whole: self.whole,
            was_captured: self.was_captured,
        })
    }

    fn increase(&mut self, limits: &mut WalletLimits, amount: i64, moment: Timestamp) {
        let increased = EventBody::HoldIncreased(self.changed(amount));
        let increased = effect(&increased, None, self.so_far().as_ref(), false);
        limits.after(increased, None, moment);
        self.whole += amount;
    }

    fn release(&mut self, limits: &mut WalletLimits, amount: i64, moment: Timestamp) {
        let released = EventBody::HoldReleased(self.changed(-amount));
        limits.after(happened(&released, 0), self.so_far(), moment);
        self.whole -= amount;
    }

    fn capture(&mut self, limits: &mut WalletLimits, amount: i64, moment: Timestamp) {
        self.remaining -= amount;
        let captured = EventBody::HoldCaptured(HoldCaptured {
            hold_id: self.id,
            released: Balance::ZERO,
            remaining: Balance::new(self.remaining),
            ..hold_captured()
        });
        let amount = Change::try_new(-amount);
        let captured = effect(&captured, amount, self.so_far().as_ref(), true);
        limits.after(captured, self.so_far(), moment);
        self.was_captured = true;
    }
}

#[test]
fn what_a_hold_was_increased_by_in_later_parts_is_given_back() {
    let mut limits = in_force(vec![window(Period::Hour, None)], "2026-01-15T00:00:00Z");
    let mut hold = Followed::place(&mut limits, 1, 1_000, at("2026-01-15T12:00:00Z"));
    hold.increase(&mut limits, 100, at("2026-01-15T12:00:30Z"));
    hold.increase(&mut limits, 3_000, at("2026-01-15T12:02:30Z"));
    hold.release(&mut limits, 4_100, at("2026-01-15T12:03:00Z"));
    assert_eq!(used(&limits, "2026-01-15T12:03:00Z"), [(0, 0)]);
    assert!(
        !serde_json::to_string(&limits)
            .unwrap()
            .contains("increases")
    );
}

#[test]
fn what_others_moved_is_not_given_back_with_a_hold() {
    let mut limits = in_force(vec![window(Period::Hour, None)], "2026-01-15T00:00:00Z");
    limits.after(sent(5_000), None, at("2026-01-15T12:00:00Z"));
    let mut hold = Followed::place(&mut limits, 1, 1_000, at("2026-01-15T12:00:00Z"));
    hold.increase(&mut limits, 3_000, at("2026-01-15T12:02:30Z"));
    limits.after(sent(700), None, at("2026-01-15T12:02:30Z"));
    hold.release(&mut limits, 4_000, at("2026-01-15T12:03:00Z"));
    assert_eq!(used(&limits, "2026-01-15T12:03:00Z"), [(5_700, 2)]);
    assert_eq!(used(&limits, "2026-01-15T13:02:00Z"), [(700, 1)]);
}

#[test]
fn an_increase_in_a_window_younger_than_its_hold_is_given_back_and_no_more() {
    let windows = vec![window(Period::Hour, None), window(Period::Day, Some("UTC"))];
    let mut limits = in_force(windows, "2026-01-15T12:00:00Z");
    let mut hold = Followed::place(&mut limits.clone(), 1, 5_000, at("2026-01-15T11:00:00Z"));
    limits.after(sent(700), None, at("2026-01-15T12:10:00Z"));
    hold.increase(&mut limits, 1_000, at("2026-01-15T12:10:00Z"));
    hold.release(&mut limits, 6_000, at("2026-01-15T12:20:00Z"));
    assert_eq!(used(&limits, "2026-01-15T12:20:00Z"), [(700, 1), (700, 1)]);
}

#[test]
fn an_increase_after_a_calendars_boundary_is_given_back_and_no_more() {
    let mut limits = in_force(
        vec![window(Period::Day, Some("UTC"))],
        "2026-01-14T00:00:00Z",
    );
    let mut hold = Followed::place(&mut limits, 1, 5_000, at("2026-01-15T23:00:00Z"));
    hold.increase(&mut limits, 200, at("2026-01-15T23:30:00Z"));
    limits.after(sent(700), None, at("2026-01-16T01:00:00Z"));
    hold.increase(&mut limits, 1_000, at("2026-01-16T02:00:00Z"));
    let mut in_parts = limits.clone();
    hold.release(&mut in_parts, 600, at("2026-01-16T03:00:00Z"));
    assert_eq!(used(&in_parts, "2026-01-16T03:00:00Z"), [(1_100, 1)]);
    hold.release(&mut in_parts, 5_600, at("2026-01-16T04:00:00Z"));
    assert_eq!(used(&in_parts, "2026-01-16T04:00:00Z"), [(700, 1)]);
}

#[test]
fn what_was_captured_of_a_hold_stays_counted_and_its_increases_are_forgotten() {
    let mut limits = in_force(vec![window(Period::Day, None)], "2026-01-15T00:00:00Z");
    let mut hold = Followed::place(&mut limits, 1, 1_000, at("2026-01-15T12:00:00Z"));
    hold.increase(&mut limits, 3_000, at("2026-01-15T14:00:00Z"));
    hold.capture(&mut limits, 2_500, at("2026-01-15T14:10:00Z"));
    let mut released = limits.clone();
    hold.release(&mut released, 1_500, at("2026-01-15T15:00:00Z"));
    assert_eq!(used(&released, "2026-01-15T15:00:00Z"), [(2_500, 1)]);
    hold.remaining = 1_500;
    hold.capture(&mut limits, 1_500, at("2026-01-15T15:00:00Z"));
    assert_eq!(used(&limits, "2026-01-15T15:00:00Z"), [(4_000, 1)]);
    assert!(
        !serde_json::to_string(&limits)
            .unwrap()
            .contains("increases")
    );
}

#[test]
fn the_row_remembers_increases_of_holds_that_go_on_and_not_without_end() {
    let mut limits = in_force(
        vec![window(Period::Day, Some("UTC"))],
        "2026-01-15T00:00:00Z",
    );
    let before = at("2026-01-14T12:00:00Z");
    let mut holds = Vec::new();
    for number in 0..40 {
        let mut hold = Followed {
            id: id(number),
            placed_at: before,
            remaining: 500,
            whole: 500,
            was_captured: false,
        };
        hold.increase(&mut limits, 10, at("2026-01-15T12:00:00Z"));
        hold.increase(&mut limits, 5, at("2026-01-15T12:30:00Z"));
        holds.push(hold);
    }
    let json = serde_json::to_value(&limits).unwrap();
    let remembered = json["windows"][0]["increases"].as_array().unwrap();
    assert_eq!(remembered.len(), 32);
    assert_eq!(
        remembered[0],
        serde_json::json!(["01990000-0000-7000-8000-000000000000", 1_768_435_200, 15])
    );
    let read: WalletLimits = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read, limits);
    // What is not remembered stays counted: rather too much than too little.
    for hold in &mut holds {
        hold.release(&mut limits, 515, at("2026-01-15T13:00:00Z"));
    }
    assert_eq!(used(&limits, "2026-01-15T13:00:00Z"), [(8 * 15, 0)]);
}

/// What was set aside, or sent: when, for which hold, and what of it was not released.
type Exact = Vec<(i64, usize, i64)>;

/// The same with every increase remembered for ever: the latest is released first.
fn release_exactly(account: &mut Exact, hold: usize, amount: i64) {
    let mut rest = amount;
    for (_, _, left) in account.iter_mut().rev().filter(|it| it.1 == hold) {
        let taken = rest.min(*left);
        *left -= taken;
        rest -= taken;
    }
}

fn still(account: &Exact, now: i64, length: i64) -> i64 {
    let within = account.iter().filter(|it| it.0 > now - length);
    within.map(|it| it.2).sum()
}

proptest! {
    #[test]
    fn a_window_never_counts_less_than_an_exact_account_and_what_is_remembered_is_exact(
        steps in prop::collection::vec((0..6_u8, 0..4_usize, 1..400_i64, 0..500_i64), 1..150),
    ) {
        let mut limits = in_force(vec![window(Period::Hour, None)], "2026-01-15T11:00:00Z");
        let mut now = at("2026-01-15T12:00:00Z").seconds();
        let (mut account, mut increases) = (Exact::new(), 0);
        let mut holds: Vec<Followed> = Vec::new();
        for (step, place, amount, pause) in steps {
            now += pause;
            let moment = Timestamp::from_seconds(now).unwrap();
            let number = holds.len();
            match (step, holds.get_mut(place)) {
                (0, _) => {
                    limits.after(sent(amount), None, moment);
                    account.push((now, usize::MAX, amount));
                }
                (1 | 2, Some(hold)) if hold.remaining > 0 => {
                    hold.increase(&mut limits, amount, moment);
                    account.push((now, place, amount));
                    increases += 1;
                }
                (3 | 4, Some(hold)) if hold.remaining > 0 => {
                    let amount = amount.min(hold.remaining);
                    hold.release(&mut limits, amount, moment);
                    release_exactly(&mut account, place, amount);
                }
                (5, Some(hold)) if hold.remaining > 0 => {
                    let amount = amount.min(hold.remaining);
                    hold.capture(&mut limits, amount, moment);
                }
                _ if number < 200 => {
                    let id = u8::try_from(number).unwrap();
                    holds.push(Followed::place(&mut limits, id, amount, moment));
                    account.push((now, number, amount));
                }
                _ => {}
            }
            for later in [0, 600, 1_800, 3_600] {
                let then = now + later;
                let moment = Timestamp::from_seconds(then).unwrap();
                let counted: i64 = limits.windows_at(moment).map(|it| it.used.minor()).sum();
                prop_assert!(counted >= still(&account, then, 3_600));
                if increases <= 32 {
                    prop_assert!(counted <= still(&account, then, 3_600 + 120));
                }
            }
        }
    }
}
