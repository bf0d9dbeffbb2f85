//! The statement as PDF/A-2u: fonts within it, the document's time that of the ledger's position.

use std::io::Write;

use jiff::tz::TimeZone;
use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{PathBuilder, Point, Rect, Size, Transform};
use krilla::image::Image;
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::{Document, SerializeSettings};

use super::Statement;
use super::glyphs::Face;
use super::paper::{self, Placed, Rule, Sheet};
use crate::{ControlTotals, Error};

/// Points in a tenth of a point.
const TENTH: f32 = 0.1;

impl Statement {
    /// Writes it as PDF.
    ///
    /// # Errors
    /// [`Error::DoesNotClose`], [`Error::Currency`], [`Error::Field`], [`Error::Character`] for what Noto Sans has not
    /// (it has Latin, Greek and Cyrillic), [`Error::Format`], [`Error::Io`].
    pub fn write_pdf(&self, mut out: impl Write) -> Result<ControlTotals, Error> {
        let checked = self.check()?;
        let (regular, bold) = (Face::regular(), Face::bold());
        let sheets = paper::pages(&checked, &regular, &bold)?;
        let configuration = ConfigurationBuilder::new().with_archival_validator(Archival::A2_U).finish();
        let configuration = configuration.map_err(|error| refused(&error))?;
        let settings = SerializeSettings { configuration, enable_tagging: false, ..SerializeSettings::default() };
        let mut document = Document::new_with(settings);
        document.set_metadata(self.metadata());
        let logo = self.logo_png.clone().map(|png| Image::from_png(png.into(), false)).transpose();
        let mut logo = logo.map_err(|reason| Error::Format { format: "PDF", reason })?;
        for sheet in &sheets {
            let size = PageSettings::from_wh(595.3, 841.9).expect("A4 has a width and a height");
            let mut page = document.start_page_with(size);
            let mut surface = page.surface();
            surface.push_transform(&Transform::from_scale(TENTH, TENTH));
            if let Some(logo) = logo.take() {
                draw_logo(&mut surface, logo);
            }
            for rule in &sheet.rules {
                draw_rule(&mut surface, rule);
            }
            for placed in &sheet.texts {
                draw_text(&mut surface, placed, if placed.style.bold { &bold } else { &regular });
            }
            surface.pop();
            surface.finish();
            page.finish();
        }
        out.write_all(&document.finish().map_err(|error| refused(&error))?)?;
        out.flush()?;
        Ok(checked.totals)
    }

    fn metadata(&self) -> Metadata {
        let made_at = self.position_at.to_zoned(TimeZone::UTC).datetime();
        let date = DateTime::new(made_at.year().unsigned_abs())
            .month(made_at.month().unsigned_abs())
            .day(made_at.day().unsigned_abs())
            .hour(made_at.hour().unsigned_abs())
            .minute(made_at.minute().unsigned_abs())
            .second(made_at.second().unsigned_abs())
            .utc_offset_hour(0)
            .utc_offset_minute(0);
        Metadata::new()
            .title(format!("{} – {}", self.language.words().title, self.seller.name))
            .authors(vec![self.platform.name.clone()])
            .language(self.language.tag().to_owned())
            .creator("Partita".to_owned())
            .creation_date(date)
    }
}

fn refused(error: &impl std::fmt::Debug) -> Error {
    Error::Format { format: "PDF", reason: format!("{error:?}") }
}

const DARK: (u8, u8, u8) = (22, 24, 29);
const SOFT: (u8, u8, u8) = (85, 91, 102);
const PALE: (u8, u8, u8) = (185, 190, 199);

fn ink((red, green, blue): (u8, u8, u8)) -> Fill {
    let color = rgb::Color::new(red, green, blue);
    Fill { paint: color.into(), opacity: NormalizedF32::ONE, rule: FillRule::default() }
}

fn draw_text(surface: &mut Surface<'_>, placed: &Placed, face: &Face) {
    surface.set_fill(Some(ink(if placed.style.soft { SOFT } else { DARK })));
    let start = Point::from_xy(f32::from(placed.x), f32::from(placed.y));
    let size = f32::from(placed.style.size);
    surface.draw_glyphs(start, &face.glyphs(&placed.text), face.font.clone(), &placed.text, size, false);
}

fn draw_rule(surface: &mut Surface<'_>, rule: &Rule) {
    let (left, width) = (f32::from(Sheet::LEFT), f32::from(Sheet::RIGHT - Sheet::LEFT));
    let Some(area) = Rect::from_xywh(left, f32::from(rule.y), width, if rule.strong { 8.0 } else { 5.0 }) else {
        return;
    };
    let mut path = PathBuilder::new();
    path.push_rect(area);
    surface.set_fill(Some(ink(if rule.strong { DARK } else { PALE })));
    if let Some(path) = path.finish() {
        surface.draw_path(&path);
    }
}

/// In the upper right corner, as large as fits.
fn draw_logo(surface: &mut Surface<'_>, logo: Image) {
    let (width, height) = fitted(logo.size());
    let Some(size) = Size::from_wh(f32::from(width), f32::from(height)) else { return };
    surface.push_transform(&Transform::from_translate(f32::from(Sheet::RIGHT - width), f32::from(Sheet::TOP)));
    surface.draw_image(logo, size);
    surface.pop();
}

/// Width and height within [`paper::LOGO`] with the proportions of the pixels.
fn fitted((width, height): (u32, u32)) -> (i16, i16) {
    let (most_wide, most_high) = (u64::from(paper::LOGO.0), u64::from(paper::LOGO.1));
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    let (wide, high) = if width * most_high > height * most_wide {
        (most_wide, height * most_wide / width)
    } else {
        (width * most_high / height, most_high)
    };
    let within = |length: u64| i16::try_from(length.max(1)).expect("it is within the head");
    (within(wide), within(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_keeps_its_proportions() {
        assert_eq!(fitted((300, 100)), (1350, 450));
        assert_eq!(fitted((1000, 100)), (1500, 150));
        assert_eq!(fitted((1, 100_000)), (1, 450));
    }
}
