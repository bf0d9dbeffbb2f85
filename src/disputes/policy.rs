//! Who bears what when a dispute is lost: declared by the platform, copied to each dispute when it is opened.

/// Who bears an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// Those who sold what is disputed.
    Sellers,
    /// The platform.
    Platform,
}

impl Bearer {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sellers => "sellers",
            Self::Platform => "platform",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sellers, Self::Platform].into_iter().find(|bearer| bearer.as_str() == text)
    }
}

/// What is held while a dispute is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The sellers' shares of what is disputed; transfers of them are taken back.
    Shares,
    /// Nothing: sellers keep what they have until it is lost.
    Nothing,
}

impl Hold {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shares => "shares",
            Self::Nothing => "nothing",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Shares, Self::Nothing].into_iter().find(|hold| hold.as_str() == text)
    }
}

/// A platform's declared policy on disputes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which declaration; 0 is what holds without any.
    pub version: i32,
    /// Who bears the amount of a lost dispute.
    pub liability: Bearer,
    /// What is held while one is open.
    pub hold: Hold,
    /// Whether the tax of a lost sale is not owed any more; otherwise the platform bears it.
    pub tax_relief: bool,
    /// Who bears the fee of a lost dispute.
    pub fee: Bearer,
}

impl Policy {
    /// What holds for direct charges, whatever is declared: the provider takes all of it from the seller's own account, where
    /// nothing of the platform's can be held.
    pub const OF_DIRECT_CHARGES: Self =
        Self { version: 0, liability: Bearer::Sellers, hold: Hold::Nothing, tax_relief: false, fee: Bearer::Sellers };
}

impl Default for Policy {
    /// Sellers answer for what they sold, and nothing is claimed from the state or from them beyond it.
    fn default() -> Self {
        Self { version: 0, liability: Bearer::Sellers, hold: Hold::Shares, tax_relief: false, fee: Bearer::Platform }
    }
}
