//! The `otaru` command: from key to confirmed image. The only crate that prints.

mod cmd;
mod failure;
mod output;

use clap::Parser;
use failure::{Exit, Failure};
use output::Output;
use std::io::Write;
use std::process::ExitCode;

/// Secure firmware update over Bluetooth LE: sign, pair, upload, swap, confirm.
#[derive(Debug, Parser)]
#[command(name = "otaru", version, about, propagate_version = true)]
struct Cli {
    /// One JSON object per line on stdout instead of words.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: cmd::Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    match (cmd::run(cli.command, &output), output.broken()) {
        (Err(failure), _) => report(&output, &failure),
        (Ok(()), None) => ExitCode::SUCCESS,
        (Ok(()), Some(error)) => {
            let message = format!("the job is done, but stdout could not be written: {error}");
            report(&output, &Failure::new(Exit::Otherwise, "output.write", message, "look at where stdout goes"))
        }
    }
}

/// Tells the failure, in words or as the last JSON line, and turns it into an exit status.
fn report(output: &Output, failure: &Failure) -> ExitCode {
    output.note(failure.to_string());
    output.event(
        "error",
        serde_json::json!({
            "code": failure.code,
            "message": failure.message,
            "next": failure.next,
            "exit": failure.exit as u8,
        }),
    );
    if output.json() && output.broken().is_some() {
        // Nobody can read the last line.
        let _ = writeln!(std::io::stderr(), "{failure}");
    }
    ExitCode::from(failure.exit as u8)
}
