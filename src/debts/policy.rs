//! The recovery ladder: how a platform gets back what sellers are short of, rung by rung.
//!
//! A shortfall climbs by its age. Below the ladder stands what needs no declaration: the rule of transfers takes back what
//! was sent too much, for as long as the shortfall is no debt.

/// A step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RungKind {
    /// What was sent too much is taken back from the seller's account at the provider.
    ReverseTransfers,
    /// The shortfall is a debt, and later sales pay it before anything is sent.
    NetFromSales,
    /// Two people may give it up.
    WriteOff,
}

impl RungKind {
    /// Every rung, from below.
    pub const ALL: [Self; 3] = [Self::ReverseTransfers, Self::NetFromSales, Self::WriteOff];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReverseTransfers => "reverse_transfers",
            Self::NetFromSales => "net_from_sales",
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
    /// Reverse, net, write off.
    pub rungs: [Rung; 3],
}

impl Default for Policy {
    /// Reversals until the end of the day, sales from then on, and after a month two people may give up.
    fn default() -> Self {
        let rung = |kind, after_days| Rung { kind, after_days, up_to: None, owner: "finance".to_owned() };
        Self {
            version: 0,
            rungs: [rung(RungKind::ReverseTransfers, 0), rung(RungKind::NetFromSales, 0), rung(RungKind::WriteOff, 30)],
        }
    }
}

impl Policy {
    /// The rung of a kind.
    pub fn rung(&self, kind: RungKind) -> &Rung {
        let [reverse, net, write_off] = &self.rungs;
        match kind {
            RungKind::ReverseTransfers => reverse,
            RungKind::NetFromSales => net,
            RungKind::WriteOff => write_off,
        }
    }

    /// The highest rung that takes a debt of this age and size. One that none takes stays on the lowest.
    pub fn stands_on(&self, age_days: i64, amount: i64) -> &Rung {
        let highest = self.rungs.iter().rev().find(|rung| rung.takes(age_days, amount));
        highest.unwrap_or(self.rung(RungKind::ReverseTransfers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_climbs_by_its_age_as_far_as_its_size_lets_it() {
        let mut ladder = Policy::default();
        let at = |ladder: &Policy, age, amount| ladder.stands_on(age, amount).kind;
        assert_eq!(at(&ladder, 0, 22_50), RungKind::NetFromSales);
        assert_eq!(at(&ladder, 29, 22_50), RungKind::NetFromSales);
        assert_eq!(at(&ladder, 30, 22_50), RungKind::WriteOff);
        ladder.rungs[2].up_to = Some(20_00);
        assert_eq!(at(&ladder, 30, 22_50), RungKind::NetFromSales, "too large to be given up");
        assert_eq!(at(&ladder, 30, 20_00), RungKind::WriteOff);
        ladder.rungs[1].after_days = 3;
        assert_eq!(at(&ladder, 2, 22_50), RungKind::ReverseTransfers);
    }
}
