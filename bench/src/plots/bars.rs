//! Lying bars on a logarithmic scale: servers differ by factors, not by differences.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use super::{colour, label};
use crate::peers::Peer;

const WIDTH: u32 = 860;
const BAR: u32 = 24;
const HEAD: u32 = 56;
const FOOT: u32 = 12;
/// Where bars begin, after their names.
const LEFT: u32 = 220;
/// Room for the longest bar's value.
const RIGHT: u32 = 80;
/// Factor between the start of the scale and the smallest value.
const BELOW: f64 = 3.0;

pub(super) struct Bar {
    pub peer: Peer,
    /// Which value of the server; empty if there is one.
    pub note: &'static str,
    pub value: f64,
}

pub(super) struct Bars<'a> {
    pub title: &'a str,
    pub bars: Vec<Bar>,
}

impl Bars<'_> {
    pub(super) fn draw(&self, file: &Path) -> anyhow::Result<()> {
        let height = HEAD + FOOT + BAR * u32::try_from(self.bars.len())?;
        let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
        self.paint(&area).map_err(|why| anyhow!("{} can't be drawn: {why}", file.display()))
    }

    fn paint(&self, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<_>| error.to_string();
        area.fill(&WHITE).map_err(text)?;
        let title = ("sans-serif", 18).into_font().color(&BLACK);
        area.draw(&Text::new(format!("{} (logarithmic)", self.title), (12, 14), title)).map_err(text)?;
        let values = self.bars.iter().map(|bar| bar.value.max(1e-6));
        let least = values.clone().fold(f64::INFINITY, f64::min) / BELOW;
        let most = values.fold(f64::NEG_INFINITY, f64::max);
        let span = (most / least).ln().max(f64::MIN_POSITIVE);
        let room = f64::from(WIDTH - LEFT - RIGHT);
        let font = ("sans-serif", 14).into_font().color(&BLACK);
        for (index, bar) in self.bars.iter().enumerate() {
            let top =
                i32::try_from(HEAD + BAR * u32::try_from(index).unwrap_or_default()).unwrap_or_default();
            let left = i32::try_from(LEFT).unwrap_or_default();
            let length = ((bar.value.max(1e-6) / least).ln() / span * room) as i32;
            let name = format!("{} {}", bar.peer.title(), bar.note);
            area.draw(&Text::new(name.trim().to_owned(), (12, top + 4), font.clone())).map_err(text)?;
            let corners =
                [(left, top + 2), (left + length, top + i32::try_from(BAR).unwrap_or_default() - 4)];
            area.draw(&Rectangle::new(corners, colour(bar.peer).filled())).map_err(text)?;
            area.draw(&Text::new(label(bar.value), (left + length + 6, top + 4), font.clone()))
                .map_err(text)?;
        }
        area.present().map_err(text)
    }
}
