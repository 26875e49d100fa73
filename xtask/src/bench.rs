//! Side-by-side measurements for docs/performance.md.

use anyhow::Result;

pub(crate) fn bench() -> Result<()> {
    anyhow::bail!("no figures yet")
}
