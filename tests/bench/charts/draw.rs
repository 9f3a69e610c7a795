//! The charts: what the figures of `docs/performance.json` are as SVG.
//!
//! The same figures give the same bytes on every machine: no fonts are measured, and nothing
//! depends on time or order. Colours are attributes, and a style that knows them by their values
//! replaces them where the reader prefers dark pages.

use std::{error::Error, fmt::Write as _};

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde::Deserialize;

/// The file of one chart.
pub(crate) struct Drawn {
    pub(crate) file: String,
    pub(crate) title: &'static str,
    pub(crate) svg: String,
}

#[derive(Deserialize)]
struct Figures {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    row: String,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    what: String,
    verdict: String,
    ratio: Option<Ratio>,
    wire: Option<Count>,
    peak: Option<Count>,
    disk: Option<Count>,
}

/// A time, where that of what it is compared with is 1.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratio {
    value: f64,
    most: f64,
}

/// Bytes: of how many there are, how many they may be, and those of another program.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    bytes: f64,
    of: Option<f64>,
    most: Option<f64>,
    other: Option<f64>,
}

/// What one line of a chart shows, in the unit of its axis.
struct Bar {
    label: String,
    words: String,
    value: f64,
    most: Option<f64>,
    other: Option<f64>,
    missed: bool,
}

/// What a chart is about, and how it takes its values from a result.
struct Chart {
    name: &'static str,
    title: &'static str,
    /// Where an upright line shows what `kit` is compared with.
    line: Option<f64>,
    axis: fn(f64) -> String,
    bar: fn(&Outcome) -> Option<Values>,
}

/// Value, most, other, and the value in words.
type Values = (f64, Option<f64>, Option<f64>, String);

const CHARTS: [Chart; 4] = [
    Chart {
        name: "time",
        title: "Time, where that of what `kit` is compared with is 1",
        line: Some(1.0),
        axis: |value| format!("{value:.1} ×"),
        bar: |outcome| {
            let Ratio { value, most } = outcome.ratio?;
            Some((value, Some(most), None, ratio(value)))
        },
    },
    Chart {
        name: "wire",
        title: "Bytes on the wire, of those that there are",
        line: None,
        axis: percent,
        bar: |outcome| share(outcome.wire?),
    },
    Chart {
        name: "memory",
        title: "Peak memory",
        line: None,
        axis: |value| format!("{value:.0} MiB"),
        bar: |outcome| {
            let count = outcome.peak?;
            let mebi = |bytes| bytes / MIB;
            Some((
                mebi(count.bytes),
                count.most.map(mebi),
                count.other.map(mebi),
                beside(count),
            ))
        },
    },
    Chart {
        name: "disk",
        title: "Disk at most, of the size of the kit",
        line: None,
        axis: percent,
        bar: |outcome| share(outcome.disk?),
    },
];

const MIB: f64 = (1 << 20) as f64;

const WIDTH: u32 = 1000;
const SIDE: u32 = 20;
/// Title and legend.
const TOP: u32 = 66;
/// The numbers of the axis.
const BOTTOM: u32 = 34;
/// A line with words, and its bars.
const SLOT: u32 = 44;

/// How many characters a line has room for, by the widest usual font.
const LINE: usize = 127;

const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
const PALE_INK: RGBColor = RGBColor(0x59, 0x63, 0x6E);
const GRID: RGBColor = RGBColor(0xD1, 0xD9, 0xE0);
const KIT: RGBColor = RGBColor(0x09, 0x69, 0xDA);
const OTHER: RGBColor = RGBColor(0x9A, 0xA4, 0xAF);
const MISSED: RGBColor = RGBColor(0xBC, 0x4C, 0x00);

/// Each colour, and what it is on dark pages.
const DARK: [(RGBColor, RGBColor); 7] = [
    (PAPER, RGBColor(0x0D, 0x11, 0x17)),
    (INK, RGBColor(0xF0, 0xF6, 0xFC)),
    (PALE_INK, RGBColor(0x9C, 0xA5, 0xAF)),
    (GRID, RGBColor(0x2F, 0x36, 0x3D)),
    (KIT, RGBColor(0x4C, 0x9B, 0xF5)),
    (OTHER, RGBColor(0x66, 0x70, 0x7B)),
    (MISSED, RGBColor(0xF0, 0x88, 0x3E)),
];

/// Draws all charts that these figures have values for.
pub(crate) fn charts(json: &str) -> Result<Vec<Drawn>, Box<dyn Error>> {
    let figures: Figures = serde_json::from_str(json)?;
    let mut drawn = Vec::new();
    for chart in CHARTS {
        let bars = bars(&figures, &chart);
        if bars.is_empty() {
            continue;
        }
        drawn.push(Drawn {
            file: format!("{}.svg", chart.name),
            title: chart.title,
            svg: styled(&draw(&chart, &bars)?, chart.title),
        });
    }
    Ok(drawn)
}

fn bars(figures: &Figures, chart: &Chart) -> Vec<Bar> {
    let mut bars = Vec::new();
    for row in &figures.rows {
        for outcome in &row.results {
            let Some((value, most, other, words)) = (chart.bar)(outcome) else {
                continue;
            };
            bars.push(Bar {
                label: fitted(
                    &plain(&format!("row {}: {}", row.row, outcome.what)),
                    LINE - words.chars().count().min(LINE),
                ),
                words,
                value,
                most,
                other,
                missed: outcome.verdict == "MISSED",
            });
        }
    }
    bars
}

/// A chart shows no code.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// Cuts what would run into the value at the end of its line.
fn fitted(label: &str, room: usize) -> String {
    match label.char_indices().nth(room) {
        Some((end, _)) => format!("{}…", label[..end].trim_end()),
        None => label.to_owned(),
    }
}

fn ratio(value: f64) -> String {
    let digits = if value < 0.1 { 3 } else { 2 };
    format!("{value:.digits$} ×")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Returns bytes as a part of those that there are.
fn share(count: Count) -> Option<Values> {
    let of = count.of?;
    let words = match count.bytes / of * 100.0 {
        part if part > 0.0 && part < 0.01 => format!("< 0.01 %: {}", beside(count)),
        part => format!("{part:.2} %: {}", beside(count)),
    };
    let part = |bytes| bytes / of;
    Some((
        part(count.bytes),
        count.most.map(part),
        count.other.map(part),
        words,
    ))
}

fn beside(count: Count) -> String {
    match count.other {
        Some(other) => format!("{} beside {}", size(count.bytes), size(other)),
        None => size(count.bytes),
    }
}

fn size(bytes: f64) -> String {
    if bytes < 1000.0 * 1024.0 {
        format!("{:.1} KiB", bytes / 1024.0)
    } else {
        format!("{:.1} MiB", bytes / MIB)
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axes = Cartesian2d<RangedCoordf64, RangedCoordf64>;

fn draw(chart: &Chart, bars: &[Bar]) -> Result<String, Box<dyn Error>> {
    let slots = u32::try_from(bars.len())? * SLOT;
    let most = bars
        .iter()
        .flat_map(|bar| [Some(bar.value), bar.most, bar.other])
        .chain([chart.line])
        .flatten()
        .fold(0.0, f64::max);
    let (right, bottom) = (most * 1.01, f64::from(slots));
    let mut svg = String::new();
    {
        let size = (WIDTH, TOP + slots + BOTTOM);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&PAPER)?;
        heading(&area, chart, bars)?;
        let mut plot = ChartBuilder::on(&area)
            .margin_top(TOP)
            .margin_left(SIDE)
            .margin_right(SIDE)
            .x_label_area_size(BOTTOM)
            .build_cartesian_2d(0.0..right, bottom..0.0)?;
        plot.configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_labels(8)
            .x_label_formatter(&|value| (chart.axis)(*value))
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID)
            .label_style(text(12, PALE_INK, HPos::Center))
            .draw()?;
        if let Some(at) = chart.line {
            plot.draw_series([PathElement::new(vec![(at, 0.0), (at, bottom)], PALE_INK)])?;
        }
        let mut top = 0.0;
        for bar in bars {
            slot(&mut plot, bar, top, right)?;
            top += f64::from(SLOT);
        }
        area.present()?;
    }
    Ok(svg)
}

/// Draws what is said of one result, and below it its bars and the mark of what it may be.
fn slot(
    plot: &mut ChartContext<'_, SVGBackend<'_>, Axes>,
    bar: &Bar,
    top: f64,
    right: f64,
) -> Result<(), Box<dyn Error>> {
    let words =
        |words: &str, at, side| Text::new(words.to_owned(), (at, top + 12.0), text(13, INK, side));
    let filled = |value, from, to, colour: RGBColor| {
        Rectangle::new([(0.0, top + from), (value, top + to)], colour.filled())
    };
    plot.draw_series([
        words(&bar.label, 0.0, HPos::Left),
        words(&bar.words, right, HPos::Right),
    ])?;
    let value = bar.value.max(right / 400.0); // less could not be seen
    plot.draw_series([filled(value, 22.0, 32.0, bar.colour())])?;
    if let Some(other) = bar.other {
        plot.draw_series([filled(other, 33.0, 38.0, OTHER)])?;
    }
    if let Some(most) = bar.most {
        let ends = vec![(most, top + 19.0), (most, top + 35.0)];
        plot.draw_series([PathElement::new(ends, INK.stroke_width(2))])?;
    }
    Ok(())
}

impl Bar {
    fn colour(&self) -> RGBColor {
        if self.missed { MISSED } else { KIT }
    }
}

/// Draws the title, and what the colours of this chart mean.
fn heading(area: &Area<'_>, chart: &Chart, bars: &[Bar]) -> Result<(), Box<dyn Error>> {
    let left = i32::try_from(SIDE)?;
    let title = ("sans-serif", points(18), FontStyle::Bold)
        .into_font()
        .color(&INK);
    area.draw(&Text::new(plain(chart.title), (left, 14), title))?;
    let mut meanings = vec![(KIT, "kit")];
    if bars.iter().any(|bar| bar.missed) {
        meanings.push((MISSED, "kit, where it is more than it may be"));
    }
    if bars.iter().any(|bar| bar.other.is_some()) {
        meanings.push((OTHER, "the other program"));
    }
    if bars.iter().any(|bar| bar.most.is_some()) {
        meanings.push((INK, "the most it may be"));
    }
    let mut at = left;
    for (colour, meaning) in meanings {
        // The mark is a line in the chart, too.
        let width = if colour == INK { 2 } else { 12 };
        area.draw(&Rectangle::new(
            [(at, 42), (at + width, 54)],
            colour.filled(),
        ))?;
        area.draw(&Text::new(
            meaning,
            (at + width + 6, 48),
            text(13, PALE_INK, HPos::Left),
        ))?;
        at += 40 + width + 6 * i32::try_from(meaning.len())?;
    }
    Ok(())
}

fn text(size: u32, colour: RGBColor, anchor: HPos) -> TextStyle<'static> {
    let style = ("sans-serif", points(size)).into_font().color(&colour);
    style.pos(Pos::new(anchor, VPos::Center))
}

/// The crate takes the height of a line for the size of a font, 1.24 of it.
fn points(size: u32) -> f64 {
    f64::from(size) * 1.24
}

/// Gives a drawing a title, and its colours for dark pages.
fn styled(svg: &str, title: &str) -> String {
    let (open, rest) = svg
        .split_once('\n')
        .expect("the first element has a line of its own");
    let mut rules = String::new();
    for (light, dark) in DARK {
        for property in ["fill", "stroke"] {
            let (light, dark) = (hex(light), hex(dark));
            let _ = write!(rules, "[{property}=\"{light}\"]{{{property}:{dark}}}"); // a string takes all
        }
    }
    format!(
        "{open}\n<title>{}</title>\n<style>@media (prefers-color-scheme:dark){{{rules}}}</style>\n{rest}",
        plain(title)
    )
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
