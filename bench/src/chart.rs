//! A chart of ratios, as SVG: a bar for each contender, to the left of 1.0 what is quicker or smaller than the first
//! contender, to the right what is slower or larger. The scale is logarithmic: half and twice are equally far.

use crate::measured::Row;
use std::fmt::Write;
use tandem_bench::shown;

/// Pixels.
const WIDTH: f64 = 920.0;
const LABELS: f64 = 290.0;
const MARGIN: f64 = 60.0;
const TOP: f64 = 64.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
const LEGEND_ITEM: f64 = 150.0;
/// A ratio closer to the edge than this factor is no tick's.
const AIR: f64 = 1.15;

/// Readable on light and on dark: the picture brings its own ground.
const STYLE: &str = "\
.ground{fill:#fff}text{fill:#24292f;font:12px system-ui,sans-serif}.small{font-size:10px;fill:#57606a}\
.title{font-size:15px;font-weight:600}.grid{stroke:#d0d7de}.one{stroke:#24292f;stroke-width:1.5}\
.c0{fill:#8c959f}.c1{fill:#56b4e9}.c2{fill:#0072b2}.c3{fill:#d55e00}.c4{fill:#cc79a7}.c5{fill:#009e73}\
@media(prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#e6edf3}.small{fill:#8d96a0}\
.grid{stroke:#30363d}.one{stroke:#e6edf3}}";
/// Who has which colour: the same in every picture.
const COLOURS: [&str; 6] = [
    "p11-kit proxy",
    "Tandem inline",
    "Tandem",
    "Tandem over two",
    "Tandem over four",
    "over two, one slow",
];

/// Draws rows.
pub(crate) fn draw(title: &str, rows: &[Row]) -> String {
    let names = contenders(rows);
    let height = TOP + BOTTOM + rows.iter().map(height_of).sum::<f64>();
    let scale = Scale::of(rows);
    let mut svg = Svg::new(title, height);
    svg.text((16.0, 24.0), "title", "start", title);
    let first = rows.first().and_then(|row| row.results.first()).map_or("", |it| it.name.as_str());
    for (at, name) in names.iter().enumerate() {
        let x = 16.0 + LEGEND_ITEM * place(at);
        svg.rect((x, 38.0), (10.0, 10.0), &colour(name));
        svg.text((x + 15.0, 47.0), "small", "start", name);
    }
    for tick in scale.ticks() {
        let (x, class) = (scale.x(tick), if is_one(tick) { "one" } else { "grid" });
        svg.line(x, (TOP - 4.0, height - BOTTOM + 4.0), class);
        svg.text((x, height - BOTTOM + 18.0), "small", "middle", &format!("×{tick}"));
    }
    svg.text(
        (16.0, height - BOTTOM + 18.0),
        "small",
        "start",
        &format!("×1 is {first}; left of it is quicker, or smaller"),
    );
    let mut y = TOP;
    for row in rows {
        group(&mut svg, (row, y), &scale);
        y += height_of(row);
    }
    svg.end()
}

/// One thing measured: its name, and a bar for each contender but the first.
fn group(svg: &mut Svg, (row, top): (&Row, f64), scale: &Scale) {
    let threads = match row.threads {
        1 => String::new(),
        more => format!(", {more} threads"),
    };
    let middle = top + (height_of(row) - GAP) / 2.0 + 4.0;
    svg.text((LABELS - 10.0, middle), "", "end", &format!("{}{threads}", row.what));
    for (at, result) in row.results.iter().skip(1).enumerate() {
        let (ratio, y) = (result.ratio.median, top + BAR * place(at));
        let (one, end) = (scale.x(1.0), scale.x(ratio));
        let size = ((end - one).abs().max(1.0), BAR - 2.0);
        svg.rect((one.min(end), y), size, &colour(&result.name));
        let (x, anchor) = if end < one { (end - 4.0, "end") } else { (end + 4.0, "start") };
        svg.text((x, y + BAR - 3.0), "small", anchor, &format!("×{}", shown::ratio(ratio)));
    }
}

fn height_of(row: &Row) -> f64 {
    BAR * place(row.results.len().saturating_sub(1)) + GAP
}

fn colour(name: &str) -> String {
    format!("c{}", COLOURS.iter().position(|known| *known == name).unwrap_or(0))
}

/// Everybody but the first of a row, in the order in which they appear.
fn contenders(rows: &[Row]) -> Vec<&str> {
    let mut names = Vec::new();
    for result in rows.iter().flat_map(|row| row.results.iter().skip(1)) {
        if !names.contains(&result.name.as_str()) {
            names.push(result.name.as_str());
        }
    }
    names
}

#[expect(clippy::cast_precision_loss, reason = "places on a page")]
const fn place(at: usize) -> f64 {
    at as f64
}

/// From ratios to places.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// One on which all of them, and 1, have room.
    fn of(rows: &[Row]) -> Self {
        let ratios = rows.iter().flat_map(|row| row.results.iter().skip(1));
        let ratios = ratios.map(|result| result.ratio.median).filter(|it| *it > 0.0);
        let (low, high) =
            ratios.fold((0.5_f64, 2.0_f64), |(low, high), it| (low.min(it), high.max(it)));
        Self { low: low / AIR, high: high * AIR }
    }

    fn x(&self, ratio: f64) -> f64 {
        let share = (ratio.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        LABELS + MARGIN + share * (WIDTH - LABELS - 2.0 * MARGIN)
    }

    /// 1, 2, 5, 10… where few decades are to be seen, and otherwise each tenth decade.
    fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = (-7..7).flat_map(|power: i32| {
            // Negative powers by division: 0.1 is written as such.
            let of = move |step: &f64| match power {
                ..0 => step / 10_f64.powi(-power),
                _ => step * 10_f64.powi(power),
            };
            steps.iter().map(of)
        });
        all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }
}

fn is_one(tick: f64) -> bool {
    (tick - 1.0).abs() < 1e-9
}

/// A picture that is being written.
struct Svg(String);

impl Svg {
    fn new(title: &str, height: f64) -> Self {
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
            escaped(title)
        );
        let _ = writeln!(
            text,
            "<rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>"
        );
        Self(text)
    }

    fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        let class = escaped(class);
        let _ = writeln!(
            self.0,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    /// An upright line.
    fn line(&mut self, x: f64, (from, to): (f64, f64), class: &str) {
        let class = escaped(class);
        let _ = writeln!(
            self.0,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\"/>"
        );
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
        let (class, anchor, text) = (escaped(class), escaped(anchor), escaped(text));
        let _ = writeln!(
            self.0,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Text as XML has it, in elements and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::{Part, tests::section};

    /// The left edge and the width of a bar of this class.
    fn bar(svg: &str, class: &str) -> (f64, f64) {
        let begin = format!("<rect class=\"{class}\"");
        let line = svg.lines().filter(|line| line.starts_with(&begin)).nth(1).unwrap();
        let number = |name: &str| {
            let rest = line.split_once(&format!(" {name}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        (number("x"), number("width"))
    }

    #[test]
    fn a_quicker_one_goes_left_of_the_line_and_a_slower_one_as_far_to_the_right() {
        let at = |ratio| bar(&draw("t", &section(Part::Work, "softhsm", 10, ratio).rows), "c2");
        let (quick, slow) = (at(0.5), at(2.0));
        assert!((quick.0 + quick.1 - slow.0).abs() < 0.2, "both begin at 1: {quick:?} {slow:?}");
        assert!(
            (quick.1 - slow.1).abs() < 0.2,
            "half and twice are equally far: {quick:?} {slow:?}"
        );
    }

    #[test]
    fn names_are_text_whatever_is_in_them() {
        let svg = draw("a & b", &section(Part::Work, "softhsm", 10, 1.0).rows);
        assert!(svg.contains("sign &lt;quickly&gt; &amp; well"), "{svg}");
        assert!(svg.contains("<title>a &amp; b</title>"), "{svg}");
        assert_eq!(escaped("\"'\u{7}"), "&quot;&apos; ");
    }

    #[test]
    fn the_scale_has_room_for_everything_and_marks_1() {
        for ratio in [0.000_02, 0.3, 1.0, 40.0, 3_000.0] {
            let rows = section(Part::Work, "softhsm", 10, ratio).rows;
            let scale = Scale::of(&rows);
            let x = scale.x(ratio);
            assert!((LABELS + MARGIN..=WIDTH - MARGIN).contains(&x), "{ratio}: {x}");
            let ticks = scale.ticks();
            assert!(ticks.iter().any(|tick| is_one(*tick)), "{ratio}: {ticks:?}");
            assert!((2..=12).contains(&ticks.len()), "{ratio}: {ticks:?}");
        }
    }
}
