//! Writes the sample stats file into a directory and prints its path. Readers in other languages
//! are tested against it: `cargo run -p tickdeck-stats --example stats_sample -- DIR`.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: stats_sample DIR")?;
    println!("{}", sample::write_sample(Path::new(&dir))?.display());
    Ok(())
}
