//! Everything a person reads on the pages of onboarding, per language.
//!
//! A language is one more [`Texts`] in [`LANGUAGES`].

use jiff::Timestamp;

/// A notice: what happened and what the person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    pub title: &'static str,
    pub what: &'static str,
    pub remedy: &'static str,
}

/// The texts of one language. Those with gaps are functions, since languages differ in where the gaps are.
pub(super) struct Texts {
    /// BCP 47 tag.
    pub lang: &'static str,
    pub test_mode: &'static str,
    pub test_mode_means: &'static str,
    /// Takes the marketplace's name.
    pub title: fn(&str) -> String,
    /// Takes the marketplace's name.
    pub purpose: fn(&str) -> String,
    /// Instead of the purpose, for a seller whose bank account is wanted anew. Takes the marketplace's name.
    pub bank_account: fn(&str) -> String,
    pub seller: &'static str,
    pub email: &'static str,
    pub next_heading: &'static str,
    /// Takes the marketplace's name.
    pub steps: fn(&str) -> Vec<String>,
    pub go_on: &'static str,
    /// Takes the minutes that are left; the time follows.
    pub validity: fn(i64) -> String,
    /// A time as people read it.
    pub time: fn(Timestamp) -> String,
    pub not_you_heading: &'static str,
    pub not_you: &'static str,
    /// Takes the marketplace's name.
    pub footer: fn(&str) -> String,
    pub what_to_do: &'static str,
    pub try_again: &'static str,
    /// The request's id follows.
    pub request: &'static str,
    pub unknown: Notice,
    pub expired: Notice,
    pub used: Notice,
    pub foreign: Notice,
    pub provider_down: Notice,
    pub unavailable: Notice,
    pub failed: Notice,
}

static LANGUAGES: [&Texts; 1] = [&ENGLISH];

/// The texts for a BCP 47 tag; English where the language has none.
pub(super) fn texts_for(locale: &str) -> &'static Texts {
    let language = locale.split('-').next().unwrap_or_default();
    LANGUAGES.into_iter().find(|texts| texts.lang.eq_ignore_ascii_case(language)).unwrap_or(&ENGLISH)
}

pub(super) static ENGLISH: Texts = Texts {
    lang: "en",
    test_mode: "Test mode",
    test_mode_means: "No real money moves, and what you enter may be made up.",
    title: |platform| format!("Set up how {platform} pays you"),
    purpose: |platform| {
        format!(
            "{platform} needs to know who you are and where to send the money for what you sell. This takes a few minutes."
        )
    },
    bank_account: |platform| {
        format!(
            "Your bank sent a payout back. {platform} can pay you again when you have given a bank account that works; your \
             money is safe until then."
        )
    },
    seller: "Seller",
    email: "E-mail",
    next_heading: "What happens next",
    steps: |platform| {
        vec![
            format!("The button takes you to the secure pages of the payment provider that {platform} works with."),
            "There you say who you are and give the bank account for your payouts. You enter nothing on this page."
                .to_owned(),
            format!(
                "You come back to {platform}. The provider then checks what you entered, which can take a while; if it \
                 needs more, {platform} tells you."
            ),
        ]
    },
    go_on: "Continue to the payment provider",
    validity: |minutes| match minutes {
        ..=1 => "This link works once and runs out within a minute,".to_owned(),
        minutes => format!("This link works once and for another {minutes} minutes, until"),
    },
    time: |time| time.strftime("%-d %B %Y, %H:%M UTC").to_string(),
    not_you_heading: "Not you?",
    not_you: "Then close this page; nothing has happened yet. Do not pass the link on: whoever has it can enter payout \
              details in this seller's name.",
    footer: |platform| format!("This page is run for {platform}."),
    what_to_do: "What you can do",
    try_again: "Try again",
    request: "If you ask for help, mention",
    unknown: Notice {
        title: "We do not know this link",
        what: "No seller's set-up belongs to this address.",
        remedy: "Check that the address is complete: some e-mail programs cut off long ones. If it is, ask your \
                 marketplace for a new link.",
    },
    expired: Notice {
        title: "This link has run out",
        what: "For your protection, links like this one work for a short time only.",
        remedy: "Ask your marketplace for a new link. Nothing that you entered before is lost.",
    },
    used: Notice {
        title: "This link was used already",
        what: "For your protection, links like this one work once.",
        remedy: "If the payment provider's page is still open in another window, go on there. Otherwise ask your \
                 marketplace for a new link. Nothing that you entered before is lost.",
    },
    foreign: Notice {
        title: "We did not go on",
        what: "The request came from another website and not from our page.",
        remedy: "Open the link that your marketplace gave you, and press the button there.",
    },
    provider_down: Notice {
        title: "The payment provider cannot be reached",
        what: "We could not lead you on to the payment provider just now. Your link is still good.",
        remedy: "Wait a minute and try again. If that does not help before the link runs out, ask your marketplace for a \
                 new one.",
    },
    unavailable: Notice {
        title: "This page cannot be shown just now",
        what: "Something that it needs does not answer. Nothing is lost.",
        remedy: "Wait a minute and try again. If the link runs out meanwhile, ask your marketplace for a new one.",
    },
    failed: Notice {
        title: "Something went wrong here",
        what: "The fault is ours, not yours. We have made a note of it.",
        remedy: "Try again later. If it happens again, tell your marketplace.",
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_locale_gets_texts() {
        for locale in ["en", "en-GB", "EN", "de-AT", "fr", "", "x"] {
            assert_eq!(texts_for(locale).lang, "en", "{locale}");
        }
    }

    #[test]
    fn times_are_read_by_people() {
        let time: Timestamp = "2026-03-07T08:05:59Z".parse().expect("a time");
        assert_eq!((ENGLISH.time)(time), "7 March 2026, 08:05 UTC");
        assert!((ENGLISH.validity)(14).contains("another 14 minutes"));
        assert!((ENGLISH.validity)(0).contains("within a minute"));
    }
}
