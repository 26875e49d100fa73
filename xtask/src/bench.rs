//! Side-by-side measurements for docs/performance.md.

use crate::interop;
use crate::run::{Run, release_binary};
use anyhow::Result;

pub(crate) fn bench() -> Result<()> {
    let tools = interop::install()?;
    Run::cargo("build").args(["--release", "--package", "otaru"]).go()?;
    let package = ["--release", "--quiet", "--package", "otaru-e2e", "--bin", "otaru-bench", "--"];
    let mut bench = Run::cargo("run").args(package).args(["docs/performance.md"]);
    for (key, path) in tools {
        bench = bench.env(key, path);
    }
    bench.env("OTARU_BIN", release_binary("otaru")).go()
}
