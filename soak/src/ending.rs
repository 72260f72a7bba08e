//! How clients end.

use crate::carrier::Step;
use crate::random::Random;

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The server is asked to drop it, with or without the connection, amid its traffic.
    Dropped { whole: bool },
    /// All answers are waited for, then it says goodbye.
    Orderly,
    /// A FIN, whatever is under way.
    Fin,
    /// A RST.
    Reset,
    /// The connections stay open, and nothing is read or written any more.
    Silence,
    /// It never joins a namespace.
    Stranger,
    /// It goes in the middle of an upgrade.
    HalfUpgrade(Step),
}

impl Ending {
    /// One of them, some more often than others.
    pub(crate) fn choose(dice: &mut Random) -> Self {
        match dice.below(26) {
            0..9 => Self::Orderly,
            9..12 => Self::Fin,
            12..15 => Self::Reset,
            15 | 16 => Self::Silence,
            17 | 18 => Self::Stranger,
            19 => Self::HalfUpgrade(Step::Asked),
            20 => Self::HalfUpgrade(Step::Probed),
            21 => Self::HalfUpgrade(Step::Answered),
            22 | 23 => Self::HalfUpgrade(Step::Done),
            number => Self::Dropped { whole: number == 24 },
        }
    }
}
