//! Writes the seeds of one target as files: `cargo run -p tickdeck-fuzzing --example seeds -- TARGET FOLDER`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        eprintln!("usage: seeds TARGET FOLDER");
        return ExitCode::FAILURE;
    };
    let Some(target) = tickdeck_fuzzing::target(name) else {
        eprintln!("{name:?} is not a fuzz target");
        return ExitCode::FAILURE;
    };
    for (index, bytes) in (target.seeds)().iter().enumerate() {
        let path = PathBuf::from(folder).join(format!("seed-{index:04}"));
        if let Err(error) = std::fs::write(&path, bytes) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
