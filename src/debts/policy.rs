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

    /// The highest rung that takes a debt of this age and size. One that none takes stays on the lowest.
    pub fn stands_on(&self, age_days: i64, amount: i64) -> &Rung {
        self.rungs().rev().find(|rung| rung.takes(age_days, amount)).unwrap_or(&self.reverse)
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
        ladder.write_off.up_to = Some(20_00);
        assert_eq!(at(&ladder, 30, 22_50), RungKind::NetFromSales, "too large to be given up");
        assert_eq!(at(&ladder, 30, 20_00), RungKind::WriteOff);
        let reserve = Rung { kind: RungKind::SellerReserve, after_days: 7, up_to: None, owner: "risk".to_owned() };
        ladder.reserve = Some(reserve);
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
