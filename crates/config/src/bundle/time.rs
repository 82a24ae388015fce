//! Whole seconds since 1970 in UTC: the only notion of time a bundle has.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A point in time, in whole seconds since 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This many seconds later; the end of time where that can't be counted.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl fmt::Display for UnixTime {
    /// As `2026-01-31T12:00:00Z`; a year beyond 9999 as the bare number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const END_OF_9999: u64 = 253_402_300_799;
        if self.0 > END_OF_9999 {
            return write!(f, "second {}", self.0);
        }
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        let (year, month, day) = date_of(days);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
    }
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that the leap day comes last and
/// the lengths of months follow one formula.
fn date_of(days: u64) -> (u64, u64, u64) {
    let since_march_0000 = days + 719_468;
    let (era, day_of_era) = (since_march_0000 / 146_097, since_march_0000 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::UnixTime;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (1_764_093_661, "2025-11-25T18:01:01Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(UnixTime(second).to_string(), text);
        }
        assert_eq!(UnixTime(u64::MAX).to_string(), "second 18446744073709551615");
    }
}
