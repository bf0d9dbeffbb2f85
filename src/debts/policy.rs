//! The recovery ladder: how a platform gets back what sellers are short of, rung by rung.
//!
//! A shortfall climbs by its age. Below the ladder stands what needs no declaration: the rule of transfers takes back what
//! was sent too much, for as long as the shortfall is no debt.

use serde::{Deserialize, Serialize};

/// A step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RungKind {
    /// What was sent too much is taken back from the seller's account at the provider.
    ReverseTransfers,
    /// The shortfall is a debt, and later sales pay it before anything is sent.
    NetFromSales,
    /// What is kept back of the seller's other sales pays it. Declared or not there.
    SellerReserve,
    /// Two people may give it up.
    WriteOff,
}

impl RungKind {
    /// Every rung, from below.
    pub const ALL: [Self; 4] = [Self::ReverseTransfers, Self::NetFromSales, Self::SellerReserve, Self::WriteOff];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReverseTransfers => "reverse_transfers",
            Self::NetFromSales => "net_from_sales",
            Self::SellerReserve => "seller_reserve",
            Self::WriteOff => "write_off",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rung| rung.as_str() == text)
    }
}

/// A rung as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Which one.
    pub kind: RungKind,
    /// From which age of the shortfall on, in days.
    pub after_days: i32,
    /// The largest debt that it is for; minor units. None: any.
    pub up_to: Option<i64>,
    /// Who looks after debts on it.
    pub owner: String,
}

impl Rung {
    /// Whether a debt of this age and size may stand on it.
    pub fn takes(&self, age_days: i64, amount: i64) -> bool {
        age_days >= i64::from(self.after_days) && self.up_to.is_none_or(|most| amount <= most)
    }
}

/// A ladder as it is declared: the rungs in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which declaration; 0 is what holds without any.
    pub version: i32,
    /// What was sent too much is taken back.
    pub reverse: Rung,
    /// Later sales pay.
    pub net: Rung,
    /// What is kept back pays; none: it does not.
    pub reserve: Option<Rung>,
    /// Two people may give it up.
    pub write_off: Rung,
}

impl Default for Policy {
    /// Reversals until the end of the day, sales from then on, and after a month two people may give up.
    fn default() -> Self {
        let rung = |kind, after_days| Rung { kind, after_days, up_to: None, owner: "finance".to_owned() };
        Self {
            version: 0,
            reverse: rung(RungKind::ReverseTransfers, 0),
            net: rung(RungKind::NetFromSales, 0),
            reserve: None,
            write_off: rung(RungKind::WriteOff, 30),
        }
    }
}

impl Policy {
    /// The rungs that there are, from below.
    pub fn rungs(&self) -> impl DoubleEndedIterator<Item = &Rung> {
        [Some(&self.reverse), Some(&self.net), self.reserve.as_ref(), Some(&self.write_off)].into_iter().flatten()
    }

    /// Whether what is kept back of the seller pays a debt of this age and size: as long as later sales would pay it too.
    pub fn reserve_pays(&self, age_days: i64, amount: i64) -> bool {
        self.net.takes(age_days, amount) && self.reserve.as_ref().is_some_and(|rung| rung.takes(age_days, amount))
    }

    /// Whether less is recovered by it than by `before`: what is missing becomes debt later, or less of it does; what is kept
    /// back pays later, or less; or more may be given up, or sooner.
    pub fn loosens(&self, before: &Self) -> bool {
        let any = |up_to: Option<i64>| up_to.unwrap_or(i64::MAX);
        let recovers_less =
            |now: &Rung, then: &Rung| now.after_days > then.after_days || any(now.up_to) < any(then.up_to);
        let reserve_pays_less = match (&self.reserve, &before.reserve) {
            (Some(now), Some(then)) => recovers_less(now, then),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        recovers_less(&self.net, &before.net)
            || reserve_pays_less
            || self.write_off.after_days < before.write_off.after_days
            || any(self.write_off.up_to) > any(before.write_off.up_to)
    }

    /// The rungs, as proposals and events have them.
    pub fn to_json(&self) -> serde_json::Value {
        let stored = |rung: &Rung| StoredRung {
            rung: rung.kind.as_str().to_owned(),
            after_days: rung.after_days,
            up_to: rung.up_to,
            owner: rung.owner.clone(),
        };
        serde_json::to_value(self.rungs().map(stored).collect::<Vec<_>>()).expect("texts and numbers serialise")
    }

    /// Reads the rungs of a proposal; it has no version yet.
    pub fn from_json(stored: serde_json::Value) -> Option<Self> {
        let read = |rung: StoredRung| {
            let kind = RungKind::parse(&rung.rung)?;
            Some(Rung { kind, after_days: rung.after_days, up_to: rung.up_to, owner: rung.owner })
        };
        let rungs: Vec<StoredRung> = serde_json::from_value(stored).ok()?;
        let mut rungs = rungs.into_iter().map(read).collect::<Option<Vec<_>>>()?;
        let mut take = |kind| {
            let at = rungs.iter().position(|rung| rung.kind == kind)?;
            Some(rungs.remove(at))
        };
        let (reverse, net) = (take(RungKind::ReverseTransfers)?, take(RungKind::NetFromSales)?);
        let (reserve, write_off) = (take(RungKind::SellerReserve), take(RungKind::WriteOff)?);
        rungs.is_empty().then_some(Self { version: 0, reverse, net, reserve, write_off })
    }

    /// The highest rung that takes a debt of this age and size. One that none takes stays on the lowest.
    pub fn stands_on(&self, age_days: i64, amount: i64) -> &Rung {
        self.rungs().rev().find(|rung| rung.takes(age_days, amount)).unwrap_or(&self.reverse)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredRung {
    rung: String,
    after_days: i32,
    up_to: Option<i64>,
    owner: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(after_days: i32) -> Rung {
        Rung { kind: RungKind::SellerReserve, after_days, up_to: None, owner: "risk".to_owned() }
    }

    #[test]
    fn a_ladder_loosens_where_it_recovers_less_whatever_else_it_does() {
        let before = Policy::default();
        let with = |change: fn(&mut Policy)| {
            let mut ladder = before.clone();
            change(&mut ladder);
            ladder
        };
        assert!(with(|ladder| ladder.net.after_days = 1).loosens(&before), "debts begin later");
        assert!(with(|ladder| ladder.net.up_to = Some(50_00)).loosens(&before), "large ones are left to people");
        assert!(with(|ladder| ladder.write_off.after_days = 29).loosens(&before), "given up sooner");
        let small = with(|ladder| ladder.write_off.up_to = Some(50_00));
        assert!(!small.loosens(&before), "only small ones are given up");
        assert!(before.loosens(&small));
        assert!(!with(|ladder| ladder.write_off.after_days = 31).loosens(&before));
        assert!(!with(|ladder| ladder.write_off.owner = "the board".to_owned()).loosens(&before));
        let reserved = with(|ladder| ladder.reserve = Some(reserve(7)));
        assert!(!reserved.loosens(&before), "what is kept back pays, too");
        assert!(before.loosens(&reserved));
        assert!(with(|ladder| ladder.reserve = Some(reserve(8))).loosens(&reserved), "it pays later");
        let mut both = small;
        both.net.after_days = 1;
        assert!(both.loosens(&before), "stricter here does not make up for looser there");
        assert!(!before.loosens(&before));
    }

    #[test]
    fn a_ladder_is_read_back_as_it_was_proposed() {
        let mut ladder = Policy::default();
        ladder.write_off.up_to = Some(60_00);
        assert_eq!(Policy::from_json(ladder.to_json()), Some(ladder.clone()));
        ladder.reserve = Some(reserve(7));
        assert_eq!(Policy::from_json(ladder.to_json()), Some(ladder));
        assert_eq!(Policy::from_json(serde_json::json!([])), None);
    }

    #[test]
    fn a_debt_climbs_by_its_age_as_far_as_its_size_lets_it() {
        let mut ladder = Policy::default();
        let at = |ladder: &Policy, age, amount| ladder.stands_on(age, amount).kind;
        assert_eq!(at(&ladder, 0, 22_50), RungKind::NetFromSales);
        assert_eq!(at(&ladder, 29, 22_50), RungKind::NetFromSales);
        assert_eq!(at(&ladder, 30, 22_50), RungKind::WriteOff);
        ladder.write_off.up_to = Some(20_00);
        assert_eq!(at(&ladder, 30, 22_50), RungKind::NetFromSales, "too large to be given up");
        assert_eq!(at(&ladder, 30, 20_00), RungKind::WriteOff);
        ladder.reserve = Some(reserve(7));
        assert_eq!(at(&ladder, 6, 22_50), RungKind::NetFromSales);
        assert_eq!(at(&ladder, 30, 22_50), RungKind::SellerReserve);
        assert!(ladder.reserve_pays(7, 22_50) && !ladder.reserve_pays(6, 22_50));
        ladder.net.after_days = 8;
        assert!(!ladder.reserve_pays(7, 22_50), "it would be sent to the seller");
        ladder.reserve = None;
        assert!(!ladder.reserve_pays(30, 22_50));
        ladder.net.after_days = 3;
        assert_eq!(at(&ladder, 2, 22_50), RungKind::ReverseTransfers);
    }
}
