//! What was measured: a table of numbers, kept as text and as a picture.

use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

use plotters::prelude::*;

/// Numbers against the first of each row.
#[derive(Debug)]
pub struct Table {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<f64>>,
}

impl Table {
    pub fn new<const N: usize>(title: &'static str, columns: [&'static str; N]) -> Self {
        Self {
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub fn row<const N: usize>(&mut self, of: f64, values: [f64; N]) {
        assert_eq!(N + 1, self.columns.len());
        eprintln!("{} {of}: {values:.1?}", self.title);
        self.rows.push([of].into_iter().chain(values).collect());
    }

    /// Writes it beside the other records.
    pub fn keep(&self, name: &str) -> Result<(), Box<dyn std::error::Error>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../record/growth");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{name}.tsv")), self.to_string())?;
        self.draw(&folder.join(format!("{name}.svg")))
    }

    /// One picture beside the other, each from zero, so that what is flat looks flat.
    fn draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let pictures = self.columns.len() - 1;
        let wide = u32::try_from(pictures)? * 360;
        let all = SVGBackend::new(path, (wide, 300)).into_drawing_area();
        all.fill(&WHITE)?;
        for (at, area) in all.split_evenly((1, pictures)).iter().enumerate() {
            let points = self.rows.iter().map(|row| (row[0], row[at + 1]));
            let points: Vec<_> = points.collect();
            let (least, most) = (points[0].0, points[points.len() - 1].0);
            let highest = points.iter().map(|it| it.1).fold(0.0, f64::max);
            let mut chart = ChartBuilder::on(area)
                .caption(self.columns[at + 1], ("sans-serif", 14))
                .margin(12)
                .x_label_area_size(36)
                .y_label_area_size(56)
                .build_cartesian_2d((least..most).log_scale(), 0.0..highest * 1.15)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(WHITE)
                .x_labels(6)
                .y_labels(5)
                .x_desc(self.columns[0])
                .x_label_formatter(&|value| short(*value))
                .y_label_formatter(&|value| short(*value))
                .draw()?;
            chart.draw_series(LineSeries::new(
                points.iter().copied(),
                BLUE.stroke_width(2),
            ))?;
            let dots = points.iter().map(|at| Circle::new(*at, 3, BLUE.filled()));
            chart.draw_series(dots)?;
        }
        all.present()?;
        Ok(())
    }
}

/// A number in few digits.
fn short(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{}M", value / 1e6),
        _ if value >= 1e4 => format!("{:.0}k", value / 1e3),
        _ if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.columns.join("\t"))?;
        for row in &self.rows {
            let values: Vec<String> = row.iter().map(|value| format!("{value:.1}")).collect();
            writeln!(f, "{}", values.join("\t"))?;
        }
        Ok(())
    }
}
