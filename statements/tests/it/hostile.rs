//! Files that somebody made to do harm, and files that were damaged on the way.

use std::io::{self, Read};

use partita_statements::{Charset, Options, Part, Reason, read};

use crate::reader::{File, refused, whole};

const SAMPLES: [&str; 6] = [
    include_str!("samples/camt053_v02.xml"),
    include_str!("samples/camt053_v08.xml"),
    include_str!("samples/mt940.sta"),
    include_str!("samples/paypal.csv"),
    include_str!("samples/adyen_settlement.csv"),
    include_str!("samples/adyen_accounting.csv"),
];

/// A start, then one byte again and again: never held, only read.
fn endless(start: &'static str, byte: u8, bytes: u64) -> impl Read {
    start.as_bytes().chain(io::repeat(byte).take(bytes))
}

#[test]
fn entities_and_document_types_are_refused_before_they_do_anything() {
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;&lol;\">]>\n<Document/>";
    assert!(matches!(refused(laughs).reason, Reason::DocumentType));
    let outside = "<!DOCTYPE d SYSTEM \"file:///etc/passwd\"><Document/>";
    assert!(matches!(refused(outside).reason, Reason::DocumentType));
    let entity = SAMPLES[0].replacen("Stripe &amp; Co", "&lol;", 1);
    assert!(matches!(refused(&entity).reason, Reason::Entity(name) if name == "lol"));
    let control = SAMPLES[0].replacen("Stripe &amp; Co", "&#8;", 1);
    assert!(matches!(refused(&control).reason, Reason::ControlCharacter(8)));
    let numbered = whole(&SAMPLES[0].replacen("Stripe &amp; Co", "A &#38; B &lt;", 1));
    assert_eq!(numbered.entries[0].details[0].counterparty.as_deref(), Some("A & B <"));
}

#[test]
fn a_hundred_megabytes_in_one_line_are_refused_at_the_first_piece() {
    let hundred = 100 << 20;
    let starts: [(&'static str, u8); 6] =
        [("<", b'a'), ("<Document xmlns=\"", b'a'), ("<!--", b'-'), (":20:", b'x'), ("\"RH\",\"", b'x'), (" ", b' ')];
    for (start, byte) in starts {
        let refusal = read(endless(start, byte, hundred), &Options::default(), &mut |_| {}).expect_err(start);
        let early = matches!(refusal.reason, Reason::TooLong { .. } | Reason::UnknownFormat);
        assert!(early, "{start}: {refusal}");
    }
    let lines =
        read(endless("\"RH\",\"", b'\n', hundred), &Options::default(), &mut |_| {}).expect_err("a field of lines");
    assert!(matches!(lines.reason, Reason::TooLong { .. }), "{lines}");
    let nested = "<a>".repeat(100);
    let deep = SAMPLES[0].replacen("<GrpHdr>", &format!("<GrpHdr>{nested}"), 1);
    assert!(matches!(refused(&deep).reason, Reason::TooDeep { .. }));
}

#[test]
fn a_file_cut_anywhere_is_refused_or_says_the_same() {
    for sample in SAMPLES {
        let full = whole(sample);
        let mut accepted = 0;
        for length in 0..sample.len() {
            let Ok(cut) = File::read(&sample.as_bytes()[..length], &Options::default()) else { continue };
            accepted += 1;
            // Nothing in Adyen's reports says where they end, so that the last field of a row may be cut.
            let certain = if sample.contains("Psp") { cut.entries.len().saturating_sub(1) } else { cut.entries.len() };
            assert_eq!(cut.entries[..certain], full.entries[..certain], "cut at {length}");
            if !sample.contains("Psp") {
                assert_eq!(cut.statements, full.statements[..cut.statements.len()], "cut at {length}");
            }
        }
        let must_be_whole = sample.starts_with('<') || sample.starts_with("\"RH\"");
        // Only the last line's end may be missing.
        assert!(!must_be_whole || accepted <= 1, "{accepted} cuts of a file that says where it ends");
    }
}

#[test]
fn any_byte_may_be_damaged_without_a_panic() {
    for sample in SAMPLES {
        for (at, _) in sample.bytes().enumerate().step_by(7) {
            for damage in [0_u8, b'9', b'<', b'"', 0xff] {
                let mut bytes = sample.as_bytes().to_vec();
                bytes[at] = damage;
                let _ = File::read(&bytes, &Options::default());
            }
        }
    }
}

#[test]
fn control_characters_are_refused_at_their_line() {
    for sample in SAMPLES {
        let refusal = refused(&sample.replacen('\n', "\n\0", 1));
        assert!(matches!(refusal.reason, Reason::ControlCharacter(0)), "{refusal}");
        assert_eq!(refusal.line, 2);
    }
    assert!(matches!(
        refused(&SAMPLES[2].replace("for November", "for \u{81}")).reason,
        Reason::ControlCharacter(0x81)
    ));
}

#[test]
fn marks_and_line_ends_do_not_change_what_is_read() {
    for sample in SAMPLES {
        let plain = whole(sample);
        let windows = format!("\u{feff}{}", sample.replace('\n', "\r\n"));
        let file = whole(&windows);
        assert_eq!(file.statements.len(), plain.statements.len());
        let identities =
            |file: &File| file.entries.iter().map(|entry| (entry.identity, entry.line)).collect::<Vec<_>>();
        assert_eq!(identities(&file), identities(&plain));
        assert_ne!(file.read.fingerprint, plain.read.fingerprint, "other bytes are another file");
    }
}

#[test]
fn the_encoding_is_the_marks_the_declarations_or_the_callers() {
    let text = SAMPLES[1];
    let latin: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("Latin-1")).collect();
    let refusal = File::read(&latin, &Options::default()).expect_err("declared as UTF-8");
    assert!(matches!(refusal.reason, Reason::Encoding { encoding: "UTF-8" }), "{refusal}");
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let declared = text.replacen("UTF-8", "ISO-8859-1", 1);
    let declared: Vec<u8> = declared.chars().map(|letter| u8::try_from(u32::from(letter)).expect("Latin-1")).collect();
    for bytes in [utf16, declared] {
        let file = File::read(&bytes, &Options::default()).expect("in the encoding that it names");
        assert_eq!(file.entries[0].details[0].counterparty.as_deref(), Some("Müller & Söhne"));
    }
    let mt940: Vec<u8> = SAMPLES[2]
        .replace("Europe", "Köln")
        .chars()
        .map(|letter| u8::try_from(u32::from(letter)).expect("Latin-1"))
        .collect();
    let refusal = File::read(&mt940, &Options::default()).expect_err("not UTF-8");
    assert_eq!((refusal.line, matches!(refusal.reason, Reason::Encoding { .. })), (7, true), "{refusal}");
    let encoding: Option<Charset> = Some("iso-8859-1".parse().expect("a charset"));
    let file = File::read(&mt940, &Options { encoding, ..Options::default() }).expect("in the encoding that was named");
    assert_eq!(file.entries[0].details[0].counterparty.as_deref(), Some("Stripe Payments Köln"));
    assert!("klingon".parse::<Charset>().is_err());
}

#[test]
fn a_source_that_gives_single_bytes_or_fails_is_no_surprise() {
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let one = into.len().min(1);
            self.0.read(&mut into[..one])
        }
    }
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the network is gone"))
        }
    }
    for sample in SAMPLES {
        let mut entries = Vec::new();
        let file = read(Slow(sample.as_bytes()), &Options::default(), &mut |part| {
            if let Part::Entry(entry) = part {
                entries.push(*entry);
            }
        });
        assert_eq!((file.expect("the same file"), entries), (whole(sample).read, whole(sample).entries));
        let half = &sample.as_bytes()[..sample.len() / 2];
        let refusal = read(half.chain(Broken), &Options::default(), &mut |_| {}).expect_err("half a file");
        assert!(matches!(refusal.reason, Reason::Io(_)), "{refusal}");
    }
}
