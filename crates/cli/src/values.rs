//! Values of options, as they are written.

use std::str::FromStr;
use std::time::Duration;

/// So many per second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rate, burst) = text.split_once('/').unwrap_or((text, text));
        match (rate.trim().parse(), burst.trim().parse()) {
            (Ok(0), _) | (_, Ok(0)) => Err("zero would let nobody do anything"),
            (Ok(per_second), Ok(burst)) => Ok(Self { per_second, burst }),
            _ => Err("write a number such as 100, or two such as 100/500"),
        }
    }
}

/// A bound in one unit, and perhaps in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair(pub(crate) usize, pub(crate) Option<usize>);

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, second) = text.split_once('/').map_or((text, None), |(first, second)| (first, Some(second)));
        match (first.trim().parse(), second.map(|second| second.trim().parse()).transpose()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err("write a number such as 100000, or two such as 100000/500"),
        }
    }
}

/// A time in seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 25 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_one_number_or_two() {
        assert_eq!("100".parse(), Ok(Rate { per_second: 100, burst: 100 }));
        assert_eq!("100/500".parse(), Ok(Rate { per_second: 100, burst: 500 }));
        for wrong in ["", "x", "1/", "/1", "1/2/3", "-1", "0", "1/0"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bounds_are_one_number_or_two() {
        assert_eq!(("9".parse(), "9/ 8".parse()), (Ok(Pair(9, None)), Ok(Pair(9, Some(8)))));
        for wrong in ["", "x", "1/", "/1", "1/2/3", "-1"] {
            assert!(wrong.parse::<Pair>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn seconds_may_have_fractions_but_a_time_must_exist() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "1s", "-1", "NaN", "inf", "1e300"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }
}
