//! Another namespace on the same connection: in and out, questions, and their answers in order.

use std::collections::VecDeque;

use crate::random::Random;

/// How its packets go on behind their type.
pub(crate) const PATH: &str = "/side,";

/// One client of the other namespace.
#[derive(Debug, Default)]
pub(crate) struct Side {
    stage: Stage,
    asks: u64,
    asked: VecDeque<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    In,
    Knocking,
    #[default]
    Out,
}

impl Side {
    /// What is said next, if anything.
    pub(crate) fn speak(&mut self, dice: &mut Random) -> Option<String> {
        match self.stage {
            Stage::Out => {
                self.stage = Stage::Knocking;
                Some(format!("40{PATH}"))
            }
            Stage::Knocking => None,
            Stage::In if self.asked.is_empty() && dice.below(4) == 0 => {
                self.stage = Stage::Out;
                Some(format!("41{PATH}"))
            }
            Stage::In => {
                self.asks += 1;
                self.asked.push_back(self.asks);
                Some(format!("42{PATH}{0}[\"echo\",{0}]", self.asks))
            }
        }
    }

    /// A packet for it: its type, and what is behind the path. Whether it was an answer.
    pub(crate) fn hear(&mut self, kind: u8, rest: &str) -> Result<bool, String> {
        match (kind, self.stage) {
            (b'0', Stage::Knocking) => {
                self.stage = Stage::In;
                Ok(false)
            }
            (b'3', Stage::In) => match self.asked.pop_front() {
                Some(asked) if rest == format!("{asked}[{asked}]") => Ok(true),
                asked => Err(format!("asked {asked:?} aside, and was told {rest}")),
            },
            (kind, stage) => Err(format!("aside, {stage:?}: {} {rest}", char::from(kind))),
        }
    }

    /// Whether nothing is waited for.
    pub(crate) fn is_settled(&self) -> bool {
        self.asked.is_empty() && self.stage != Stage::Knocking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_missing_or_of_nobody_are_found() {
        let (mut side, mut dice) = (Side::default(), Random::new(1, 1));
        assert_eq!(side.speak(&mut dice).unwrap(), "40/side,");
        assert!(side.speak(&mut dice).is_none() && side.hear(b'3', "1[1]").is_err());
        assert!(!side.hear(b'0', "{}").unwrap());
        side.stage = Stage::In;
        side.asked = [1, 2].into();
        assert!(side.hear(b'3', "1[1]").unwrap() && !side.is_settled());
        assert!(side.hear(b'3', "3[3]").is_err() && side.hear(b'2', "[\"x\"]").is_err());
    }
}
