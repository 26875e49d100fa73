//! A pseudo terminal of this machine as a device's serial port.

use crate::port::{ByteSink, SerialPort};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// How long output waits for a reader before it is lost.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Both ends. The device holds the slave open as well, so that clients may close and reopen it.
#[derive(Debug)]
struct Pty {
    master: File,
    _slave: OwnedFd,
}

impl ByteSink for Arc<Pty> {
    fn send(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match (&self.master).write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(e) if e.kind() == ErrorKind::WouldBlock && wait(&self.master, PollFlags::OUT, Some(&PATIENCE)) => {}
                Err(_) => return,
            }
        }
    }
}

/// Creates a pseudo terminal in raw mode and starts the thread that listens on it. Returns the port and the path that
/// clients open.
///
/// # Errors
/// The system has no pseudo terminals left, or none at all.
pub fn create() -> io::Result<(SerialPort, PathBuf)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    ioctl_fionbio(&master, true)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?.into_string().map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
    let slave = open(path.as_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = tcgetattr(&slave)?;
    settings.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &settings)?;

    let pty = Arc::new(Pty { master: master.into(), _slave: slave });
    let (port, incoming) = SerialPort::new(Box::new(Arc::clone(&pty)));
    std::thread::Builder::new().name("serial".into()).spawn(move || {
        let mut buffer = [0; 4096];
        while !incoming.is_closed() {
            match (&pty.master).read(&mut buffer) {
                Ok(len) => _ = incoming.send(buffer[..len].to_vec()),
                Err(e) if e.kind() == ErrorKind::WouldBlock && wait(&pty.master, PollFlags::IN, None) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })?;
    Ok((port, path.into()))
}

/// Waits until `file` can be read or written; false if that did not happen in time.
fn wait(file: &File, what: PollFlags, patience: Option<&Timespec>) -> bool {
    match poll(&mut [PollFd::new(file, what)], patience) {
        Ok(ready) => ready > 0,
        Err(error) => error == Errno::INTR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_sim_rt::{ClockMode, run};
    use std::fs::OpenOptions;

    #[test]
    fn bytes_pass_unchanged_and_clients_may_reopen() {
        let (port, path) = create().unwrap();
        // Everything a terminal would touch: control characters, line ends, the high half.
        let all: Vec<u8> = (0..=255).collect();
        for round in 0..2 {
            let mut client = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            client.write_all(&all).unwrap();
            let mut heard = Vec::new();
            while heard.len() < all.len() {
                heard.extend(run(ClockMode::Real, port.incoming.receive()));
            }
            assert_eq!(heard, all, "round {round}");
            port.output.send(&all);
            let mut answer = vec![0; all.len()];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, all, "round {round}");
        }
    }

    #[test]
    fn output_that_nobody_reads_is_lost_and_holds_nobody_up() {
        let (port, _path) = create().unwrap();
        port.output.send(&[0x55; 1 << 20]);
    }
}
