//! `otaru device`: a virtual device, in real time, until it is killed.

mod tell;

use super::host::{parse, read, shown};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use embassy_futures::select::{Either3, select3};
use otaru_ble::Passkey;
use otaru_crypto::Scheme;
use otaru_device_sim::{Bonds, Config, Device, Pace, udp};
use otaru_flash::{FlashAddr, Geometry, ReadFlash};
use otaru_layout::{Layout, Slot};
use otaru_nor_sim::{NorError, NorFlash, Timing};
use otaru_radio_sim::{Air, AirConfig, H4Server};
use otaru_sign::key::SigningKey;
use otaru_sign::project::{FILE_NAME, Project, create};
use otaru_sim_rt::ClockMode;
use std::convert::Infallible;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tell::Teller;

/// Run a virtual device: bootloader, application and flash, in real time. Stop it with Ctrl-C, which is a power cut.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --project it makes a throw-away project beside FILE: sign for it with --project FILE.project.\n\
    UDP and serial carry no authentication: bound to this machine they may do everything, bound elsewhere what the image allows.\n\n\
    Examples:\n  otaru device --flash lock.flash --project lock --image app.bin --udp 127.0.0.1:1337\n  \
    otaru device --flash lock.flash --project lock --serial --ble 127.0.0.1:9000 --name lock\n  \
    otaru device --flash lock.flash --udp 127.0.0.1:0 --flash-timing nrf52840 --json"
)]
pub(crate) struct DeviceArgs {
    /// The flash: made, all erased, if it is not there. Each write goes to it at once.
    #[arg(long, value_name = "FILE")]
    flash: PathBuf,
    /// The project whose key the device trusts and whose layout it has.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// A signed image to put into the primary slot if that is empty.
    #[arg(long, value_name = "SIGNED")]
    image: Option<PathBuf>,
    /// The board: one of the project's layouts.
    #[arg(long, value_name = "NAME")]
    layout: Option<String>,
    /// What the device calls itself; over Bluetooth up to 22 bytes.
    #[arg(long, value_name = "NAME", default_value = "otaru")]
    name: String,
    /// Answer datagrams there. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT")]
    udp: Option<String>,
    /// Answer on a pseudo terminal of its own.
    #[arg(long)]
    serial: bool,
    /// Let Bluetooth hosts connect there by TCP (H4): each gets a controller on the same virtual air.
    #[arg(long, value_name = "ADDR:PORT")]
    ble: Option<String>,
    /// The passkey to show when a central pairs: a new one each time, or always the same six digits.
    #[arg(long, value_name = "random|N", default_value = "random", value_parser = passkey)]
    passkey: Shown,
    /// How long flash is busy.
    #[arg(long, value_enum, default_value_t)]
    flash_timing: FlashTiming,
    /// Exit at the first reset instead of starting again.
    #[arg(long)]
    once: bool,
}

/// What `--passkey` says.
#[derive(Clone, Copy, Debug)]
struct Shown(Option<Passkey>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum FlashTiming {
    /// Not at all.
    #[default]
    Instant,
    /// 85 ms to erase a page, 41 µs to write a word.
    Nrf52840,
    /// RRAM: 22 µs to write a word, nothing to erase.
    Nrf54l15,
}

/// Runs `otaru device`.
pub(crate) fn run(args: &DeviceArgs, output: &Output) -> Result<(), Failure> {
    let project = match &args.project {
        Some(folder) => Project::load(folder)?,
        None => throw_away_project(&args.flash, output)?,
    };
    let (_, layout) = project.layout(args.layout.as_deref())?;
    let flash = flash(args, &project, &layout, output)?;
    let bonds = beside(&args.flash, ".bonds");
    let bonds = Bonds::in_file(&bonds).map_err(|error| {
        let message = format!("{}: {error}", bonds.display());
        Failure::new(Exit::Usage, "file.format", message, "take the file away: then every central has to pair again")
    })?;
    let config = Config {
        layout,
        keys: vec![project.verifying_key()?.to_der().to_vec()],
        name: args.name.clone(),
        passkey: args.passkey.0,
        pace: Pace::Live,
    };
    let device = Device::new(flash, bonds, config).map_err(|error| {
        Failure::new(Exit::Usage, "key.unusable", error.to_string(), "make a key with otaru key gen")
    })?;
    plug_in(args, device, Teller::new(output))
}

/// Connects the device to the world and runs it.
fn plug_in(args: &DeviceArgs, mut device: Device, mut teller: Teller<'_>) -> Result<(), Failure> {
    if let Some(address) = &args.udp {
        let (port, bound) = udp::bind(address).map_err(|error| no_port("--udp", address, &error))?;
        if bound.ip().is_loopback() {
            teller.note("UDP is bound to this machine, whose programs may do everything: it carries no authentication");
        } else {
            let what = "other machines can reach it: requests get what the image asks of Bluetooth";
            teller.warn(format!("{bound} carries no authentication and {what}"));
        }
        teller.ready("udp", bound.to_string());
        device = device.with_datagrams(port);
    }
    if args.serial {
        device = with_terminal(device, &mut teller)?;
    }
    if let Some(passkey) = args.passkey.0 {
        teller.warn(format!("the passkey is always {passkey}: whoever saw it once, or tries 20 times, can pair"));
    }
    let Some(address) = &args.ble else {
        otaru_sim_rt::run(ClockMode::Real, life(args, &device, &teller));
        teller.done();
        return Ok(());
    };
    otaru_sim_rt::run(ClockMode::Real, async {
        let air = Air::new(AirConfig::default());
        let mut hosts = H4Server::bind(&air, address).map_err(|error| no_port("--ble", address, &error))?;
        if !hosts.address().ip().is_loopback() {
            teller.warn(format!("{} can be reached by other machines: all of them may use the air", hosts.address()));
        }
        teller.ready("ble", hosts.address().to_string());
        let device = device.with_bluetooth(&air, radio_address(&args.flash)).map_err(|error| {
            Failure::new(Exit::Usage, "usage", error.to_string(), "give the device a shorter --name")
        })?;
        match select3(life(args, &device, &teller), air.drive(), hosts.serve()).await {
            Either3::First(()) => teller.done(),
            Either3::Second(never) | Either3::Third(never) => match never {},
        }
        Ok(())
    })
}

/// Runs the device: until its first reset if that was asked for, else for ever.
async fn life(args: &DeviceArgs, device: &Device, teller: &Teller<'_>) {
    let tell = |event| teller.event(&event);
    if args.once {
        let _ = device.run_once(&tell).await;
    } else {
        match device.run::<Infallible>(&tell).await {}
    }
}

#[cfg(unix)]
fn with_terminal(device: Device, teller: &mut Teller<'_>) -> Result<Device, Failure> {
    let (port, path) = otaru_device_sim::pty::create().map_err(|error| {
        let message = format!("no pseudo terminal can be made: {error}");
        Failure::new(Exit::Usage, "device.serial", message, "use --udp instead")
    })?;
    teller.note("programs on this machine may do everything over the pseudo terminal: it carries no authentication");
    teller.ready("serial", shown(&path));
    Ok(device.with_serial(port))
}

#[cfg(not(unix))]
fn with_terminal(_device: Device, _teller: &mut Teller<'_>) -> Result<Device, Failure> {
    let message = "this system has no pseudo terminals";
    Err(Failure::new(Exit::Usage, "device.serial", message, "use --udp instead"))
}

/// The project beside the flash, made if it is not there.
fn throw_away_project(flash: &Path, output: &Output) -> Result<Project, Failure> {
    let folder = beside(flash, ".project");
    if !folder.join(FILE_NAME).is_file() {
        create(&folder, SigningKey::generate(Scheme::EcdsaP256)?)?;
        output.note(format!("made a throw-away project: sign for it with --project {}", folder.display()));
    }
    Ok(Project::load(&folder)?)
}

/// The flash, with the image in it if there was none.
fn flash(args: &DeviceArgs, project: &Project, layout: &Layout, output: &Output) -> Result<NorFlash, Failure> {
    let failed = |error: &dyn Error| {
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        let message = format!("{}: {error}{cause}", args.flash.display());
        Failure::new(Exit::Usage, "device.flash", message, "name another file, or take this one away to begin erased")
    };
    let devices: Vec<Geometry> = layout.devices().collect();
    let timing = match args.flash_timing {
        FlashTiming::Instant => Timing::Instant,
        FlashTiming::Nrf52840 => Timing::Nrf52840,
        FlashTiming::Nrf54l15 => Timing::Nrf54l15,
    };
    let mut flash = NorFlash::open(&args.flash, &devices).map_err(|error| failed(&error))?.with_timing(timing);
    let Some(file) = &args.image else { return Ok(flash) };
    let contents = read(file)?;
    let image = parse(file, &contents)?;
    if !primary_is_erased(&mut flash, layout).map_err(|error| failed(&error))? {
        output.note(format!(
            "the primary slot is not empty: {} is not put there; take {} away to begin with it",
            file.display(),
            args.flash.display()
        ));
        return Ok(flash);
    }
    let slot = layout.area(Slot::Primary);
    if u32::try_from(contents.bytes.len()).map_or(true, |len| len > slot.len) {
        let message =
            format!("{}: {} bytes do not fit a primary slot of {}", file.display(), contents.bytes.len(), slot.len);
        return Err(Failure::new(Exit::Usage, "image.malformed", message, "sign it for this layout with otaru sign"));
    }
    image.verify(&[project.verifying_key()?]).map_err(|error| super::verify::refused(file, &error))?;
    flash.load(FlashAddr::new(slot.device, slot.offset), &contents.bytes).map_err(|error| failed(&error))?;
    Ok(flash)
}

/// Whether all of the primary slot is erased. Its beginning alone tells nothing: killed within a swap, a device leaves
/// a first sector that is erased and not written yet.
fn primary_is_erased(flash: &mut NorFlash, layout: &Layout) -> Result<bool, NorError> {
    let slot = layout.area(Slot::Primary);
    let mut bytes = vec![0; usize::try_from(slot.len).unwrap_or(usize::MAX)];
    flash.read(FlashAddr::new(slot.device, slot.offset), &mut bytes)?;
    Ok(bytes.iter().all(|byte| *byte == layout.erased(Slot::Primary)))
}

/// A file named after the flash file.
fn beside(flash: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(flash);
    name.push(suffix);
    name.into()
}

/// The device's Bluetooth address, the same for the same flash file: clients know their bonds by it. Least significant
/// byte first, within the range of locally administered addresses.
fn radio_address(flash: &Path) -> [u8; 6] {
    let path = std::path::absolute(flash).unwrap_or_else(|_| flash.into());
    // FNV-1a: any spread will do.
    let hash =
        path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let [a, b, c, d, e, ..] = hash.to_le_bytes();
    [a, b, c, d, e, 0x06]
}

fn no_port(option: &str, address: &str, error: &std::io::Error) -> Failure {
    let message = format!("{option} {address}: {error}");
    Failure::new(Exit::Usage, "device.address", message, "name a free address of this machine, as in 127.0.0.1:0")
}

fn passkey(text: &str) -> Result<Shown, String> {
    if text == "random" {
        return Ok(Shown(None));
    }
    let value = text.parse().ok().filter(|_| text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit()));
    let passkey = value.and_then(Passkey::new).ok_or("a passkey is `random` or up to six digits, as in 012345")?;
    Ok(Shown(Some(passkey)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_random_or_six_digits() {
        assert!(passkey("random").unwrap().0.is_none());
        assert_eq!(passkey("012345").unwrap().0, Passkey::new(12_345));
        for wrong in ["", "1000000", "0000001", "12a", "+12345", "-1", "Random"] {
            assert!(passkey(wrong).is_err(), "{wrong:?}");
        }
        insta::assert_snapshot!(passkey("12a").unwrap_err(), @"a passkey is `random` or up to six digits, as in 012345");
    }

    #[test]
    fn swap_that_is_under_way_then_the_primary_slot_is_not_empty() {
        let layout = otaru_sign::project::built_in("nrf52840dk").unwrap();
        let devices: Vec<Geometry> = layout.devices().collect();
        let mut flash = NorFlash::erased(&devices);
        assert!(primary_is_erased(&mut flash, &layout).unwrap());
        let slot = layout.area(Slot::Primary);
        // The last byte of the trailer's magic: the first sector is erased, the swap is to go on.
        flash.load(FlashAddr::new(slot.device, slot.offset + slot.len - 1), &[0]).unwrap();
        assert!(!primary_is_erased(&mut flash, &layout).unwrap());
    }

    #[test]
    fn a_device_keeps_its_address_and_two_do_not_share_one() {
        let address = |path: &str| radio_address(Path::new(path));
        assert_eq!(address("/a/flash"), address("/a/flash"));
        assert_ne!(address("/a/flash"), address("/b/flash"));
    }
}
