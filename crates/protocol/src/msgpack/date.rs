//! Dates as JSON would carry them, so that a handler's type does not depend on the parser.     [ECMA-262 "toISOString"]

const DAY: i64 = 86_400_000;
/// What lies further from 1970 is an invalid date.                                           [ECMA-262 "TimeClip"]
const MOST: u64 = 8_640_000_000_000_000;

/// `1970-01-01T00:00:00.000Z` for 0. Years of more than four digits have a sign and six. `None` for an invalid date, which
/// JSON carries as `null`.
pub(super) fn iso(milliseconds: i64) -> Option<String> {
    if !is_valid(milliseconds) {
        return None;
    }
    let (days, time) = (milliseconds.div_euclid(DAY), milliseconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (hour, minute, second, rest) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60, time % 1000);
    let year = if (0..=9999).contains(&year) { format!("{year:04}") } else { format!("{year:+07}") };
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z"))
}

pub(super) fn is_valid(milliseconds: i64) -> bool {
    milliseconds.unsigned_abs() <= MOST
}

/// Year, month and day of a day since 1970. Counts in years that begin in March, so that leap days come last, and in
/// cycles of 400 years, which all have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::iso;

    #[test]
    fn dates_look_as_in_javascript() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
            (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
        ] {
            assert_eq!(iso(milliseconds).as_deref(), Some(text));
        }
        for invalid in [8_640_000_000_000_001, -8_640_000_000_000_001, i64::MIN, i64::MAX] {
            assert_eq!(iso(invalid), None);
        }
    }
}
