//! `otaru os`: what a device says of itself.

use crate::cmd::to::{AnyLink, To};
use crate::failure::Failure;
use crate::output::Output;
use otaru_smp_client::{Client, Task};
use serde_json::{Value, json};

/// Asks a device about itself, or has it restart.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  otaru os echo hello --to udp:192.0.2.7
  otaru os info --to serial:/dev/ttyACM0
  otaru os datetime 2026-01-31T12:00:00 --to udp:192.0.2.7")]
pub(crate) struct Os {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Has the device give a text back.
    Echo {
        /// The text.
        text: String,
        #[command(flatten)]
        to: To,
    },
    /// Restarts the device.
    Reset {
        #[command(flatten)]
        to: To,
        /// Even if it has something better to do.
        #[arg(long)]
        force: bool,
    },
    /// Tells its SMP buffers.
    Params {
        #[command(flatten)]
        to: To,
    },
    /// Tells what runs.
    Info {
        #[command(flatten)]
        to: To,
        /// Letters of what to tell, as in `uname`: s n r v b m p i o, or a for all.
        #[arg(long, value_name = "LETTERS", default_value = "a")]
        format: String,
    },
    /// Tells its bootloader and that one's mode.
    Bootloader {
        #[command(flatten)]
        to: To,
    },
    /// Reads its clock, or sets it.
    Datetime {
        /// What to set it to, such as 2026-01-31T12:00:00.
        set: Option<String>,
        #[command(flatten)]
        to: To,
    },
    /// Lists its tasks.
    Taskstat {
        #[command(flatten)]
        to: To,
    },
}

impl Action {
    fn to(&self) -> &To {
        match self {
            Self::Echo { to, .. }
            | Self::Reset { to, .. }
            | Self::Params { to }
            | Self::Info { to, .. }
            | Self::Bootloader { to }
            | Self::Datetime { to, .. }
            | Self::Taskstat { to } => to,
        }
    }
}

/// Runs `otaru os`.
pub(crate) fn run(os: &Os, output: &Output) -> Result<(), Failure> {
    os.action.to().with(output, async |client| {
        client.connect().await?;
        let fields = ask(&os.action, client, output).await?;
        output.timed("done", fields);
        Ok(())
    })
}

/// Asks, says the answer in words, and gives it back for scripts.
async fn ask(action: &Action, client: &mut Client<AnyLink>, output: &Output) -> Result<Value, Failure> {
    Ok(match action {
        Action::Echo { text, .. } => {
            let text = client.echo(text).await?;
            output.data(&text);
            json!({ "text": text })
        }
        Action::Reset { force, .. } => {
            client.reset(*force).await?;
            output.note("the device restarts");
            json!({})
        }
        Action::Params { .. } => {
            let params = client.ask_params().await?;
            output.data(format!("{} buffers of {} bytes", params.buf_count, params.buf_size));
            json!({ "buf_size": params.buf_size, "buf_count": params.buf_count })
        }
        Action::Info { format, .. } => {
            let text = client.info(format).await?;
            output.data(&text);
            json!({ "text": text })
        }
        Action::Bootloader { .. } => {
            let bootloader = client.bootloader().await?;
            let name = bootloader.name.as_deref().unwrap_or("no name");
            let mode = bootloader.mode_name().unwrap_or("no mode told");
            let downgrade = if bootloader.no_downgrade { ", refuses older images" } else { "" };
            output.data(format!("{name}, {mode}{downgrade}"));
            json!({
                "name": bootloader.name, "mode": bootloader.mode, "mode_name": bootloader.mode_name(),
                "no_downgrade": bootloader.no_downgrade,
            })
        }
        Action::Datetime { set: Some(text), .. } => {
            client.set_datetime(text).await?;
            output.note(format!("the device's clock is set to {text}"));
            json!({ "datetime": text })
        }
        Action::Datetime { set: None, .. } => {
            let text = client.datetime().await?;
            output.data(&text);
            json!({ "datetime": text })
        }
        Action::Taskstat { .. } => {
            let tasks = client.tasks().await?;
            tasks.iter().for_each(|task| output.data(task_line(task)));
            json!({ "tasks": tasks.iter().map(task_json).collect::<Vec<_>>() })
        }
    })
}

fn task_line(task: &Task) -> String {
    let stack = task.stack.map_or(String::new(), |(used, size)| format!(", stack {used} of {size} bytes"));
    let time = task.run_time.map_or(String::new(), |ticks| format!(", ran {ticks} ticks"));
    format!("{}: priority {}, state {}{stack}{time}", task.name, task.priority, task.state)
}

fn task_json(task: &Task) -> Value {
    json!({
        "name": task.name, "priority": task.priority, "id": task.id, "state": task.state,
        "stack_used": task.stack.map(|(used, _)| used), "stack_size": task.stack.map(|(_, size)| size),
        "switches": task.switches, "run_time": task.run_time,
    })
}
