//! Draws the charts of `docs/performance.md`: `cargo bench --bench charts`.
//!
//! The figures are those of `docs/performance.json`, which `tests/bench/run` writes; nothing is
//! measured here. `tests/it/charts.rs` looks whether the files are what this would draw.

mod draw;

use std::{error::Error, fs, path::Path};

#[expect(clippy::print_stdout, reason = "it says what it has drawn")]
fn main() -> Result<(), Box<dyn Error>> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let charts = draw::charts(&fs::read_to_string(docs.join("performance.json"))?)?;
    let folder = docs.join("charts");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if !charts.iter().any(|it| *it.file == *entry.file_name()) {
            fs::remove_file(entry.path())?; // figures that there are no more
        }
    }
    for chart in charts {
        fs::write(folder.join(&chart.file), chart.svg)?;
        println!("docs/charts/{}: {}", chart.file, chart.title);
    }
    Ok(())
}
