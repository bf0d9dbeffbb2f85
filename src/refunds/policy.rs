//! Who bears what of a refund: declared by the platform, each part overridable by the refund itself.

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            /// The stored and shown word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads the stored word.
            pub fn parse(text: &str) -> Option<Self> {
                [$(Self::$variant,)*].into_iter().find(|one| one.as_str() == text)
            }
        }
    )*};
}

words! {
    /// Whether the platform gives its commission back with the goods.
    Commission {
        /// In proportion to the goods.
        Returned = "returned",
        /// Not.
        Kept = "kept",
    }

    /// Who bears the processor's fee of what is refunded, which the processor keeps.
    ProcessorFee {
        /// The platform: it stays its expense.
        Platform = "platform",
        /// Those who sold what is refunded, by their goods.
        Sellers = "sellers",
    }

    /// Whether the tax goes back with the goods.
    Tax {
        /// In proportion to the goods: it is not owed to the state any more.
        Returned = "returned",
        /// Not: the refund is of the net price only, and the tax of the sale stays owed.
        Kept = "kept",
    }
}

/// Who bears what of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which declaration; 0 is what holds without any.
    pub version: i32,
    /// The platform's commission.
    pub commission: Commission,
    /// The processor's fee.
    pub processor_fee: ProcessorFee,
    /// The tax.
    pub tax: Tax,
}

impl Default for Policy {
    /// Everyone gives back what it got, and the platform bears what the processor keeps.
    fn default() -> Self {
        Self { version: 0, commission: Commission::Returned, processor_fee: ProcessorFee::Platform, tax: Tax::Returned }
    }
}

/// What a refund says itself; what it does not say, the declared policy says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Of the commission.
    pub commission: Option<Commission>,
    /// Of the processor's fee.
    pub processor_fee: Option<ProcessorFee>,
    /// Of the tax.
    pub tax: Option<Tax>,
}

impl Policy {
    /// What holds for a refund that says some of it itself.
    #[must_use]
    pub fn with(self, said: Overrides) -> Self {
        Self {
            version: self.version,
            commission: said.commission.unwrap_or(self.commission),
            processor_fee: said.processor_fee.unwrap_or(self.processor_fee),
            tax: said.tax.unwrap_or(self.tax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refund_does_not_say_the_policy_says() {
        let declared = Policy { version: 3, processor_fee: ProcessorFee::Sellers, ..Policy::default() };
        assert_eq!(declared.with(Overrides::default()), declared);
        let kept = Overrides { commission: Some(Commission::Kept), ..Overrides::default() };
        assert_eq!(declared.with(kept), Policy { commission: Commission::Kept, ..declared });
    }
}
