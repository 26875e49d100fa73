//! The passkey that a device shows, from wherever the user gives it.

use crate::failure::{Exit, Failure};
use crate::output::Output;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use otaru_ble::central::PasskeySource;
use otaru_ble::{Address, Passkey};
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

/// Asks for passkeys the way that was asked for.
pub(super) struct Asking<'a> {
    way: Way,
    output: &'a Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Known(Passkey),
    /// A line from stdin.
    Stdin,
    /// A line from stdin, after a question.
    Prompt,
    Nobody,
}

impl<'a> Asking<'a> {
    /// As `--passkey` says; without it, a prompt if somebody is there.
    pub(super) fn new(passkey: Option<&str>, output: &'a Output) -> Result<Self, Failure> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Ok(Self { way: way(passkey, terminal)?, output })
    }
}

fn way(passkey: Option<&str>, terminal: bool) -> Result<Way, Failure> {
    match passkey {
        Some("-") => Ok(Way::Stdin),
        Some("prompt") => Ok(Way::Prompt),
        Some(text) => parse(text).map(Way::Known).ok_or_else(|| {
            let message = format!("--passkey {text:?} is no passkey, which has six digits");
            Failure::new(Exit::Usage, "passkey.invalid", message, "give the number that the device shows")
        }),
        None if terminal => Ok(Way::Prompt),
        None => Ok(Way::Nobody),
    }
}

/// Six digits; leading zeros may be left out.
fn parse(text: &str) -> Option<Passkey> {
    let text = text.trim();
    let digits = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Passkey::new(text.parse().ok()?) } else { None }
}

impl PasskeySource for Asking<'_> {
    async fn passkey(&mut self, device: &Address) -> Option<Passkey> {
        match self.way {
            Way::Known(passkey) => return Some(passkey),
            Way::Nobody => return None,
            Way::Prompt => self.output.note(format!("{device} shows a passkey. Enter it here:")),
            Way::Stdin => {}
        }
        let line = line_from_stdin().await?;
        let passkey = parse(&line);
        if passkey.is_none() {
            self.output.note(format!("{:?} is no passkey, which has six digits", line.trim()));
        }
        passkey
    }
}

/// A line from stdin, waited for on a thread of its own: the radio goes on meanwhile.
async fn line_from_stdin() -> Option<String> {
    let line = Arc::new(Signal::<CriticalSectionRawMutex, Option<String>>::new());
    let theirs = Arc::clone(&line);
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_line(&mut text);
        theirs.signal(read.is_ok_and(|len| len > 0).then_some(text));
    });
    line.wait().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_six_digits() {
        let value = |text| parse(text).map(Passkey::value);
        assert_eq!(value("123456"), Some(123_456));
        assert_eq!(value(" 000042\n"), Some(42));
        assert_eq!(value("42"), Some(42));
        for text in ["", "1234567", "12a456", "-1", "+12345"] {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    #[test]
    fn nobody_is_there_then_nobody_is_asked() {
        assert_eq!(way(None, false).unwrap(), Way::Nobody);
        assert_eq!(way(None, true).unwrap(), Way::Prompt);
        assert_eq!(way(Some("-"), false).unwrap(), Way::Stdin);
        insta::assert_snapshot!(way(Some("12345x"), true).unwrap_err(), @r#"
        error: --passkey "12345x" is no passkey, which has six digits
         next: give the number that the device shows
         code: passkey.invalid (exit status 2)
        "#);
    }
}
