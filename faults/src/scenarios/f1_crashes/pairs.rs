//! Which crash points there are, and which kinds of operations can reach them.

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    Payment,
    Cancel,
    Transfer,
    Reversal,
    Refund,
    TopUp,
}

impl Kind {
    pub(super) const ALL: [Self; 7] =
        [Self::Account, Self::Payment, Self::Cancel, Self::Transfer, Self::Reversal, Self::Refund, Self::TopUp];

    /// The command, as the service names it.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Account => "create_account",
            Self::Payment => "create_payment",
            Self::Cancel => "cancel_payment",
            Self::Transfer => "create_transfer",
            Self::Reversal => "create_reversal",
            Self::Refund => "create_refund",
            Self::TopUp => "create_top_up",
        }
    }

    /// The provider's object that its webhooks tell of.
    fn object(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Payment | Self::Cancel => "payment",
            Self::Transfer => "transfer",
            Self::Reversal => "reversal",
            Self::Refund => "refund",
            Self::TopUp => "top_up",
        }
    }

    /// The resource that our own events tell of.
    fn resource(self) -> &'static str {
        match self {
            Self::Account => "seller",
            other => other.object(),
        }
    }

    /// Where the provider is asked for it.
    pub(super) fn provider_path(self) -> &'static str {
        match self {
            Self::Account => "/v1/accounts",
            Self::Payment | Self::Cancel => "/v1/payment_intents",
            Self::Transfer | Self::Reversal => "/v1/transfers",
            Self::Refund => "/v1/refunds",
            Self::TopUp => "/v1/topups",
        }
    }

    /// Whether the worker asks for it, not a request.
    pub(super) fn is_queued(self) -> bool {
        matches!(self, Self::Transfer | Self::Reversal)
    }
}

/// What has to happen for a point to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is asked for, and that is all.
    Asked,
    /// The first attempt has no effect (429), the worker makes the second.
    Later,
    /// The provider answers with an error that it keeps; the third attempt looks the object up.
    LookedUp,
    /// Its webhooks come.
    Told,
    /// The platform is told.
    Announced,
    /// Its money becomes usable later than at once.
    Settled,
    /// Two people decide about it.
    Approved,
}

/// By what a point is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    None,
    Command,
    Object,
    Resource,
}

/// A crash point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) name: &'static str,
    pub(super) way: Way,
    label: Label,
}

const fn point(name: &'static str, way: Way, label: Label) -> Point {
    Point { name, way, label }
}

/// Every point, in the order in which an operation passes them.
pub(super) const POINTS: [Point; 24] = [
    point("before_intent", Way::Asked, Label::None),
    point("within_intent", Way::Asked, Label::Command),
    point("after_intent", Way::Asked, Label::None),
    point("after_rebalance", Way::Asked, Label::None),
    point("after_claim", Way::Later, Label::Command),
    point("before_call", Way::Asked, Label::Command),
    point("after_call", Way::Asked, Label::Command),
    point("before_result", Way::Asked, Label::Command),
    point("within_result", Way::Asked, Label::Command),
    point("after_result", Way::Asked, Label::Command),
    point("before_answer", Way::Asked, Label::None),
    point("after_answer", Way::Asked, Label::None),
    point("before_look_up", Way::LookedUp, Label::Command),
    point("after_look_up", Way::LookedUp, Label::Command),
    point("after_delivery", Way::Told, Label::None),
    point("before_events", Way::Told, Label::Object),
    point("within_events", Way::Told, Label::Object),
    point("after_events", Way::Told, Label::Object),
    point("before_availability", Way::Settled, Label::Object),
    point("within_availability", Way::Settled, Label::Object),
    point("before_send", Way::Announced, Label::Resource),
    point("after_send", Way::Announced, Label::Resource),
    point("within_approval", Way::Approved, Label::None),
    point("after_approval", Way::Approved, Label::None),
];

/// A process that dies at a point while it is at work on a kind of operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) point: Point,
    pub(super) kind: Kind,
}

impl Pair {
    /// All that can be.
    pub(super) fn all() -> Vec<Self> {
        let pairs = POINTS.into_iter().flat_map(|point| Kind::ALL.into_iter().map(move |kind| Self { point, kind }));
        pairs.filter(|pair| pair.why_never().is_none()).collect()
    }

    /// Why an operation of this kind never passes the point.
    pub(super) fn why_never(self) -> Option<&'static str> {
        let Self { point, kind } = self;
        match (point.name, point.way) {
            ("before_intent" | "after_intent" | "before_answer" | "after_answer", _) if kind.is_queued() => {
                Some("no request asks for it")
            }
            ("after_rebalance", _) if !kind.is_queued() => Some("rebalancing does not ask for it"),
            ("after_delivery", _) if kind != Kind::Payment => Some("a delivery is stored unread, whatever it tells of"),
            (_, Way::Told | Way::Announced) if kind == Kind::Cancel => Some("told of as its payment"),
            (_, Way::Told) if kind == Kind::Reversal => Some("the provider sends none of it to the platform"),
            (_, Way::Settled) if kind != Kind::Payment => Some("no money of it becomes usable later"),
            (_, Way::Approved) if !matches!(kind, Kind::Payment | Kind::Refund | Kind::TopUp) => {
                Some("moves no money or is not brought to review here")
            }
            _ => None,
        }
    }

    /// The name to arm.
    pub(super) fn armed(self) -> String {
        let Self { point, kind } = self;
        match point.label {
            Label::None => point.name.to_owned(),
            Label::Command => format!("{}/{}", point.name, kind.command()),
            Label::Object => format!("{}/{}", point.name, kind.object()),
            Label::Resource => format!("{}/{}", point.name, kind.resource()),
        }
    }

    /// Whether a worker passes the point: then the only one there is must be the one that dies.
    pub(super) fn is_passed_by_worker(self) -> bool {
        self.point.way != Way::Asked && self.point.way != Way::Approved || self.kind.is_queued()
    }
}
