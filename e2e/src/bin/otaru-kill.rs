//! `otaru-kill MOMENTS [PHASE:MOMENT]`: the kill sweep, or one case of it. `cargo xtask kill` builds and runs it.

use anyhow::{Context, Result, bail};
use otaru_e2e::kill::{Case, Sweep, Verdict};
use std::time::Instant;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = "otaru-kill MOMENTS [PHASE:MOMENT], as in `otaru-kill 20 swap:7`";
    let (moments, only) = match args.as_slice() {
        [moments] => (moments.parse().context(usage)?, None),
        [moments, only] => (moments.parse().context(usage)?, Some(only.split_once(':').context(usage)?)),
        _ => bail!(usage),
    };
    let cases = match only {
        Some((phase, moment)) => vec![Case { phase: phase.parse()?, moment: moment.parse().context(usage)?, moments }],
        None => Sweep::cases(moments),
    };
    let began = Instant::now();
    let sweep = Sweep::prepare()?;
    let verdicts = sweep.run(&cases, |verdict| eprintln!("{} {verdict}", if verdict.held() { "ok" } else { "!!" }));
    println!("{:<14} {:>9}  {:<31} {:<73} and in the end", "case", "after", "killed while", "booted then");
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let failed = verdicts.iter().filter(|verdict: &&Verdict| !verdict.held()).count();
    println!("{} kills in {} s, {failed} failures", verdicts.len(), began.elapsed().as_secs());
    if failed > 0 {
        bail!("{failed} of {} kills were not survived", verdicts.len());
    }
    Ok(())
}
