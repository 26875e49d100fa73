//! Naming a device, reaching it, and saying what went wrong: what every command with `--to` shares.

mod bonds;
mod passkey;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use bonds::ClientState;
use bt_hci::controller::ExternalController;
use embassy_futures::select::{Either, select};
use otaru_ble::central::{Config, Event as BleEvent, Target};
use otaru_ble::{Security, parse_address};
use otaru_sim_rt::ClockMode;
use otaru_smp_client::h4::H4Tcp;
use otaru_smp_client::link::ble::{BleLink, BleRadio, ble};
use otaru_smp_client::link::serial::{Console, PortLine};
use otaru_smp_client::link::udp::UdpLink;
use otaru_smp_client::{Client, ClientError, Link, LinkError, Transport, UploadError};
use passkey::Asking;
use serde_json::json;
use std::path::PathBuf;

/// Which device, and how to be with it.
#[derive(Debug, clap::Args)]
pub(crate) struct To {
    /// The device: `udp:HOST[:1337]`, `serial:PATH[@115200]`, `h4:HOST:PORT/NAME` (a Bluetooth controller over TCP).
    #[arg(long, value_name = "DEVICE")]
    to: String,
    /// The passkey that the device shows: six digits, `-` to read it from stdin when it is asked for, or `prompt` to be
    /// asked [default: prompt on a terminal].
    #[arg(long, value_name = "N|-|prompt")]
    passkey: Option<String>,
    /// Over Bluetooth, be content with a device that is not authenticated, whoever it is: for those that ask for less.
    #[arg(long)]
    allow_unauthenticated: bool,
    /// Where this client keeps its identity and its bonds [default: the user's state folder].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Keep this many requests of an upload in flight, whatever the device says about its buffers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    window: Option<u8>,
}

/// A device's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Udp { device: String },
    Serial { path: String, baud: u32 },
    H4 { controller: String, name: String },
}

/// Any link that `--to` can name.
#[derive(Debug)]
pub(crate) enum AnyLink {
    Udp(UdpLink),
    Serial(Console<PortLine>),
    Ble(BleLink),
}

impl To {
    /// Reaches the device and does `job` with it, in real time.
    ///
    /// # Errors
    /// Of naming, of reaching, and of the job.
    pub(crate) fn with<T>(
        &self,
        output: &Output,
        job: impl AsyncFnOnce(&mut Client<AnyLink>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let with_link = async |link| {
            let mut client = Client::new(link);
            if let Some(window) = self.window {
                client = client.with_window(window);
            }
            job(&mut client).await
        };
        match parse(&self.to)? {
            Destination::Udp { device } => run(with_link(AnyLink::Udp(UdpLink::new(device)))),
            Destination::Serial { path, baud } => {
                run(with_link(AnyLink::Serial(Console::new(PortLine::new(path, baud)))))
            }
            Destination::H4 { controller, name } => {
                let (link, radio) = ble(&self.to);
                let mut passkeys = Asking::new(self.passkey.as_deref(), output)?;
                let state = ClientState::open(self.state.as_deref())?;
                let beside = self.radio(radio, controller, &name, &state, &mut passkeys, output);
                run(async {
                    match select(with_link(AnyLink::Ble(link)), beside).await {
                        Either::First(result) => result,
                        Either::Second(never) => never,
                    }
                })
            }
        }
    }

    async fn radio(
        &self,
        radio: BleRadio,
        controller: String,
        name: &str,
        state: &ClientState,
        passkeys: &mut Asking<'_>,
        output: &Output,
    ) -> ! {
        let target = parse_address(name).map_or(Target::Name(name), Target::Address);
        let mut config = Config::new(target, state.identity());
        if self.allow_unauthenticated {
            output.warn("whatever answers by this name or address is taken for the device: it need not authenticate");
            config = config.minimum(Security::None);
        }
        let open = || {
            let transport =
                H4Tcp::connect(&controller).map_err(|error| format!("no controller at {controller}: {error}"))?;
            Ok(ExternalController::<_, COMMANDS>::new(transport))
        };
        radio.run(open, &config, state, passkeys, &|event| tell_ble(output, event)).await
    }
}

/// Commands that a host may have outstanding with its controller.
const COMMANDS: usize = 10;

fn run<T>(job: impl Future<Output = T>) -> T {
    otaru_sim_rt::run(ClockMode::Real, job)
}

fn usage(message: String, next: &str) -> Failure {
    Failure::new(Exit::Usage, "to.invalid", message, next)
}

fn parse(to: &str) -> Result<Destination, Failure> {
    let Some((kind, rest)) = to.split_once(':').filter(|(_, rest)| !rest.is_empty()) else {
        return Err(usage(format!("--to {to:?} names no device"), FORMS));
    };
    match kind {
        "udp" => Ok(Destination::Udp { device: with_port(rest)? }),
        "serial" => match rest.rsplit_once('@') {
            None => Ok(Destination::Serial { path: rest.into(), baud: 115_200 }),
            Some((path, baud)) => match baud.parse() {
                Ok(baud) if baud > 0 && !path.is_empty() => Ok(Destination::Serial { path: path.into(), baud }),
                _ => Err(usage(format!("--to {to:?}: {baud:?} is no baud rate"), "write it as serial:PATH@115200")),
            },
        },
        "h4" => match rest.split_once('/') {
            Some((controller, name)) if !name.is_empty() && controller.rsplit_once(':').is_some() => {
                Ok(Destination::H4 { controller: controller.into(), name: name.into() })
            }
            _ => Err(usage(
                format!("--to {to:?} does not say where the controller is and which device is meant"),
                "write it as h4:HOST:PORT/NAME, as in h4:127.0.0.1:9000/lock",
            )),
        },
        "ble" => Err(Failure::new(
            Exit::Usage,
            "to.ble",
            format!("--to {to:?}: this machine's own Bluetooth adapter cannot be used yet"),
            "use a controller over TCP (h4:HOST:PORT/NAME), or UDP or serial if the device has them",
        )),
        other => Err(usage(format!("--to {to:?}: {other:?} is no kind of link"), FORMS)),
    }
}

const FORMS: &str = "write it as udp:HOST[:1337], serial:PATH[@115200] or h4:HOST:PORT/NAME";

/// `HOST:PORT`, with SMP's port where none is given. An IPv6 address with a port stands in brackets.
fn with_port(host: &str) -> Result<String, Failure> {
    let bare_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    match host.rsplit_once(':') {
        _ if bare_v6 => Ok(format!("[{host}]:1337")),
        None => Ok(format!("{host}:1337")),
        Some(_) if host.ends_with(']') => Ok(format!("{host}:1337")),
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(host.into()),
        Some((_, port)) => Err(usage(format!("--to udp:{host}: {port:?} is no port, which is at most 65535"), FORMS)),
    }
}

/// A step of the Bluetooth link, for people and scripts.
pub(crate) fn tell_ble(output: &Output, event: BleEvent) {
    let step = match event {
        BleEvent::Searching => "searching",
        BleEvent::Found { .. } => "found",
        BleEvent::Connected { .. } => "connected",
        BleEvent::Tuned(_) => "tuned",
        BleEvent::Secured { .. } => "secured",
        BleEvent::AccessRefused { .. } => "refused",
        BleEvent::BondLost { .. } => "bond-lost",
        BleEvent::Pairing { .. } => "pairing",
        BleEvent::PasskeyWanted { .. } => "passkey-wanted",
        BleEvent::Paired { .. } => "paired",
        BleEvent::Ready { .. } => "ready",
        BleEvent::Disconnected { .. } => "disconnected",
        BleEvent::BondStoreFailed => "bond-not-stored",
        _ => "trouble",
    };
    output.note(format!("bluetooth: {event}"));
    output.timed("bluetooth", json!({ "step": step, "text": event.to_string() }));
}

impl Link for AnyLink {
    fn transport(&self) -> Transport {
        match self {
            Self::Udp(link) => link.transport(),
            Self::Serial(link) => link.transport(),
            Self::Ble(link) => link.transport(),
        }
    }

    fn max_frame(&self) -> usize {
        match self {
            Self::Udp(link) => link.max_frame(),
            Self::Serial(link) => link.max_frame(),
            Self::Ble(link) => link.max_frame(),
        }
    }

    fn single_frame(&self) -> usize {
        match self {
            Self::Udp(link) => link.single_frame(),
            Self::Serial(link) => link.single_frame(),
            Self::Ble(link) => link.single_frame(),
        }
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        match self {
            Self::Udp(link) => link.connect().await,
            Self::Serial(link) => link.connect().await,
            Self::Ble(link) => link.connect().await,
        }
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        match self {
            Self::Udp(link) => link.send(frame).await,
            Self::Serial(link) => link.send(frame).await,
            Self::Ble(link) => link.send(frame).await,
        }
    }

    async fn receive(&mut self) -> Result<&[u8], LinkError> {
        match self {
            Self::Udp(link) => link.receive().await,
            Self::Serial(link) => link.receive().await,
            Self::Ble(link) => link.receive().await,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let (exit, code) = match &error {
            ClientError::Link(LinkError::Absent { .. }) => (Exit::Link, "link.absent"),
            ClientError::Link(LinkError::Lost { .. }) => (Exit::Link, "link.lost"),
            ClientError::Link(LinkError::Unpaired { .. }) => (Exit::Refused, "link.unpaired"),
            ClientError::Link(LinkError::PairingFailed { .. }) => (Exit::Refused, "link.pairing"),
            ClientError::Link(LinkError::PairingDelayed { .. }) => (Exit::Refused, "link.pairing-delayed"),
            ClientError::Link(LinkError::TooWeak { .. }) => (Exit::Refused, "link.too-weak"),
            ClientError::Silent { .. } | ClientError::Stalled(_) => (Exit::TimedOut, "device.silent"),
            ClientError::Refused { .. } | ClientError::Upload(UploadError::Refused(_)) => {
                (Exit::Refused, "device.refused")
            }
            ClientError::Unreadable { .. } => (Exit::Link, "device.unreadable"),
            ClientError::TooLong { .. } => (Exit::Usage, "request.too-long"),
            ClientError::FileTooLong { .. } => (Exit::Usage, "file.too-long"),
            ClientError::Upload(UploadError::Mismatch { .. }) => (Exit::Verification, "upload.mismatch"),
            ClientError::Upload(UploadError::NoProgress { .. }) => (Exit::TimedOut, "upload.no-progress"),
            ClientError::Upload(_) => (Exit::Link, "upload.failed"),
            _ => (Exit::Defect, "client.defect"),
        };
        Self::new(exit, code, error.to_string(), error.next_step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_then_their_parts() {
        let udp = |device: &str| Destination::Udp { device: device.into() };
        let serial = |path: &str, baud| Destination::Serial { path: path.into(), baud };
        let h4 = |controller: &str, name: &str| Destination::H4 { controller: controller.into(), name: name.into() };
        for (to, wanted) in [
            ("udp:192.0.2.1", udp("192.0.2.1:1337")),
            ("udp:lock.local:4000", udp("lock.local:4000")),
            ("udp:::1", udp("[::1]:1337")),
            ("udp:[::1]:4000", udp("[::1]:4000")),
            ("serial:/dev/ttyACM0", serial("/dev/ttyACM0", 115_200)),
            ("serial:/dev/ttyACM0@1000000", serial("/dev/ttyACM0", 1_000_000)),
            ("h4:127.0.0.1:9000/lock", h4("127.0.0.1:9000", "lock")),
            ("h4:localhost:9000/C0:01:02:03:04:05", h4("localhost:9000", "C0:01:02:03:04:05")),
        ] {
            assert_eq!(parse(to).unwrap(), wanted, "{to}");
        }
    }

    #[test]
    fn names_that_are_none_then_how_to_write_them() {
        let bad =
            ["", "udp", "udp:", "lock", "tcp:host", "serial:/dev/tty@fast", "h4:host:1", "h4:host/lock", "ble:lock"];
        let said: String = bad.iter().map(|to| format!("{}\n", parse(to).unwrap_err())).collect();
        insta::assert_snapshot!(said, @r#"
        error: --to "" names no device
         next: write it as udp:HOST[:1337], serial:PATH[@115200] or h4:HOST:PORT/NAME
         code: to.invalid (exit status 2)
        error: --to "udp" names no device
         next: write it as udp:HOST[:1337], serial:PATH[@115200] or h4:HOST:PORT/NAME
         code: to.invalid (exit status 2)
        error: --to "udp:" names no device
         next: write it as udp:HOST[:1337], serial:PATH[@115200] or h4:HOST:PORT/NAME
         code: to.invalid (exit status 2)
        error: --to "lock" names no device
         next: write it as udp:HOST[:1337], serial:PATH[@115200] or h4:HOST:PORT/NAME
         code: to.invalid (exit status 2)
        error: --to "tcp:host": "tcp" is no kind of link
         next: write it as udp:HOST[:1337], serial:PATH[@115200] or h4:HOST:PORT/NAME
         code: to.invalid (exit status 2)
        error: --to "serial:/dev/tty@fast": "fast" is no baud rate
         next: write it as serial:PATH@115200
         code: to.invalid (exit status 2)
        error: --to "h4:host:1" does not say where the controller is and which device is meant
         next: write it as h4:HOST:PORT/NAME, as in h4:127.0.0.1:9000/lock
         code: to.invalid (exit status 2)
        error: --to "h4:host/lock" does not say where the controller is and which device is meant
         next: write it as h4:HOST:PORT/NAME, as in h4:127.0.0.1:9000/lock
         code: to.invalid (exit status 2)
        error: --to "ble:lock": this machine's own Bluetooth adapter cannot be used yet
         next: use a controller over TCP (h4:HOST:PORT/NAME), or UDP or serial if the device has them
         code: to.ble (exit status 2)
        "#);
    }
}
