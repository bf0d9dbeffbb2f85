//! The font: Noto Sans, which has Latin, Greek and Cyrillic. Widths in tenths of a point.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::raw::TableProvider as _;
use skrifa::{FontRef, MetadataProvider as _};

/// A face of the font, for measuring and for drawing.
pub(super) struct Face {
    pub(super) font: Font,
    measures: FontRef<'static>,
    units_per_em: u16,
}

/// One character's glyph: its number and how far it goes, in units of the font.
struct Measured {
    glyph: u32,
    advance: u16,
}

impl Face {
    pub(super) fn regular() -> Self {
        Self::read(ttf_noto_sans::REGULAR)
    }

    pub(super) fn bold() -> Self {
        Self::read(ttf_noto_sans::BOLD)
    }

    fn read(bytes: &'static [u8]) -> Self {
        let measures = FontRef::new(bytes).expect("the crate has a font");
        let units_per_em = measures.head().expect("a font has a head").units_per_em();
        Self { font: Font::new(bytes.into(), 0).expect("the crate has a font"), measures, units_per_em }
    }

    /// The glyph of a character; none where the font has none.
    fn glyph(&self, character: char) -> Option<Measured> {
        let glyph = self.measures.charmap().map(character)?;
        let advance = self.measures.hmtx().ok()?.advance(glyph)?;
        Some(Measured { glyph: glyph.to_u32(), advance })
    }

    /// How wide a text is at a size, both in tenths of a point.
    ///
    /// # Errors
    /// The first character that the font has not.
    pub(super) fn width(&self, text: &str, size: i32) -> Result<i32, char> {
        let mut units = 0;
        for character in text.chars() {
            units += i32::from(self.glyph(character).ok_or(character)?.advance);
        }
        Ok(units * size / i32::from(self.units_per_em))
    }

    /// The glyphs of a text that was measured before.
    #[expect(clippy::float_arithmetic, reason = "where a glyph stands on paper; no amount comes near it")]
    pub(super) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        let em = f32::from(self.units_per_em);
        let drawn = text.char_indices().filter_map(|(at, character)| {
            let measured = self.glyph(character)?;
            Some(KrillaGlyph {
                glyph_id: GlyphId::new(measured.glyph),
                text_range: at..at + character.len_utf8(),
                x_advance: f32::from(measured.advance) / em,
                x_offset: 0.0,
                y_offset: 0.0,
                y_advance: 0.0,
                location: None,
            })
        });
        drawn.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_faces_have_what_names_and_amounts_are_written_with() {
        for face in [Face::regular(), Face::bold()] {
            for text in ["ÄÖÜäöüßẞ€", "ÀÇÉÈÊËÎÔŒœ«»’", "Łódź Şőğřþ", "Ελλάδα", "Україна Ђ", "\u{2212}\u{202f}\u{a0}–·…"]
            {
                assert!(face.width(text, 90).is_ok(), "{:?} is missing of {text}", face.width(text, 90));
            }
            let digits = ('0'..='9').map(|digit| face.width(&digit.to_string(), 2048));
            let digits: Vec<_> = digits.map(|width| width.expect("it has digits")).collect();
            assert!(digits.iter().all(|width| *width == digits[0]), "columns do not line up: {digits:?}");
        }
    }
}
