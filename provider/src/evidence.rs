//! What speaks for a platform in a dispute.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A field of evidence: a text, or a file by the provider's token of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// Logs that show the buyer using what was bought.
    AccessActivityLog,
    /// The buyer's billing address.
    BillingAddress,
    /// A file: the terms of cancellation, as the buyer was shown them.
    CancellationPolicy,
    /// How and when the buyer was shown the terms of cancellation.
    CancellationPolicyDisclosure,
    /// Why the subscription was not cancelled.
    CancellationRebuttal,
    /// A file: what the buyer wrote.
    CustomerCommunication,
    /// The buyer's e-mail address.
    CustomerEmailAddress,
    /// The buyer's name.
    CustomerName,
    /// The address of the network that the buyer bought from.
    CustomerPurchaseIp,
    /// A file: a document that the buyer signed.
    CustomerSignature,
    /// A file: what proves the charge that is said to be the same.
    DuplicateChargeDocumentation,
    /// What tells the charge from one that is said to be the same.
    DuplicateChargeExplanation,
    /// The other charge's id at the provider.
    DuplicateChargeId,
    /// What was sold.
    ProductDescription,
    /// A file: the receipt that the buyer was sent.
    Receipt,
    /// A file: the terms of refunds, as the buyer was shown them.
    RefundPolicy,
    /// How and when the buyer was shown the terms of refunds.
    RefundPolicyDisclosure,
    /// Why the buyer gets no refund.
    RefundRefusalExplanation,
    /// When the service began.
    ServiceDate,
    /// A file: what proves that the service was rendered.
    ServiceDocumentation,
    /// Where the goods were sent.
    ShippingAddress,
    /// Who carried them.
    ShippingCarrier,
    /// When they were sent.
    ShippingDate,
    /// A file: what proves that they were sent.
    ShippingDocumentation,
    /// The carrier's number of the parcel.
    ShippingTrackingNumber,
    /// A file: anything else.
    UncategorizedFile,
    /// Anything else.
    UncategorizedText,
}

/// What a file of evidence may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A document.
    Pdf,
    /// A photograph.
    Jpeg,
    /// A picture.
    Png,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Pdf, Self::Jpeg, Self::Png];

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// Whether the bytes begin as its files do.
    pub fn begins(self, bytes: &[u8]) -> bool {
        let start: &[u8] = match self {
            Self::Pdf => b"%PDF-",
            Self::Jpeg => &[0xff, 0xd8, 0xff],
            Self::Png => b"\x89PNG\r\n\x1a\n",
        };
        bytes.starts_with(start)
    }
}

/// A file that speaks for a platform. It is passed on to the provider, which keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct EvidenceFile {
    /// What the bank sees it called.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// The file.
    pub bytes: Bytes,
}

/// Says nothing of what is in it.
impl fmt::Debug for EvidenceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: _, kind, bytes } = self;
        f.debug_struct("EvidenceFile").field("kind", kind).field("bytes", &bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_how_they_begin_and_never_printed() {
        let pdf =
            EvidenceFile { name: "ada.pdf".into(), kind: FileKind::Pdf, bytes: Bytes::from_static(b"%PDF-1.7 secret") };
        let begins: Vec<_> = FileKind::ALL.into_iter().filter(|kind| kind.begins(&pdf.bytes)).collect();
        assert_eq!(begins, [FileKind::Pdf]);
        assert!(FileKind::Jpeg.begins(&[0xff, 0xd8, 0xff, 0xe0]) && !FileKind::Png.begins(b"PNG"));
        assert_eq!(format!("{pdf:?}"), "EvidenceFile { kind: Pdf, bytes: 15, .. }");
    }
}
