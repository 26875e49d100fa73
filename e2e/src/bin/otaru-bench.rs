//! `otaru-bench [FILE]`: measures, prints the tables, and puts them between the markers of FILE. `cargo xtask bench`
//! builds and runs it, with the published tools in their pinned versions.

use anyhow::Result;
use otaru_e2e::bench;
use std::path::PathBuf;

fn main() -> Result<()> {
    let tables = bench::tables()?;
    println!("{tables}");
    if let Some(file) = std::env::args_os().nth(1).map(PathBuf::from) {
        bench::write_between_markers(&file, &tables)?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}
