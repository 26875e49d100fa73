use core::fmt;
use core::str::FromStr;

use crate::{Cut, Partial};

/// What one power-up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Power was cut.
    Cut(Cut),
    /// It ran to its end.
    Whole,
}

/// The power-ups that led to a flash content, in order: enough to come to it again.
///
/// As text, steps are joined by dots: `-` is a whole power-up, and a cut is the number of the operation it fell into
/// and the letter of what it left of it ([`Partial::letter`]): `17f.-.3a`. No step at all is `start`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(pub Vec<Step>);

/// A text is no history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {step} is neither `-` nor an operation number with one of the letters {letters}", letters = letters())]
pub struct BadHistory {
    /// Which step, from 1.
    pub step: usize,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(START);
        }
        for (index, step) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match step {
                Step::Whole => write!(f, "{dot}-")?,
                Step::Cut(cut) => write!(f, "{dot}{}{}", cut.op, cut.leaves.letter())?,
            }
        }
        Ok(())
    }
}

impl FromStr for History {
    type Err = BadHistory;

    fn from_str(text: &str) -> Result<Self, BadHistory> {
        if text == START {
            return Ok(Self::default());
        }
        let steps = text.split('.').enumerate();
        steps
            .map(|(index, step)| parse_step(step).ok_or(BadHistory { step: index + 1 }))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn parse_step(text: &str) -> Option<Step> {
    if text == "-" {
        return Some(Step::Whole);
    }
    let letter = text.chars().next_back()?;
    let op = text.strip_suffix(letter)?.parse().ok().filter(|&op| op > 0)?;
    Some(Step::Cut(Cut { op, leaves: Partial::from_letter(letter)? }))
}

fn letters() -> String {
    Partial::EVERY.into_iter().map(Partial::letter).collect()
}

const START: &str = "start";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_comes_back_from_its_text() {
        for text in ["start", "-", "17f", "17f.-.3a.1n.999g"] {
            assert_eq!(text.parse::<History>().map(|history| history.to_string()).as_deref(), Ok(text));
        }
        for letter in letters().chars() {
            assert!(format!("1{letter}").parse::<History>().is_ok(), "{letter}");
        }
    }

    #[test]
    fn a_text_that_is_none_names_the_step() {
        for (text, step) in [("", 1), ("12", 1), ("f", 1), ("0f", 1), ("3a.-.", 3), ("3a.x", 2), ("3a.9z", 2)] {
            assert_eq!(text.parse::<History>(), Err(BadHistory { step }), "{text:?}");
        }
        insta::assert_snapshot!(
            BadHistory { step: 3 },
            @"step 3 is neither `-` nor an operation number with one of the letters nfseovdtmpga"
        );
    }
}
