//! Schedules: cron expressions in a time zone.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use tributary_crds::Timestamp;

/// When runs are due.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Five fields, or `@daily` and its like; the zone by its IANA name, UTC without one.
    ///
    /// # Errors
    /// What is wrong with either, in words.
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|e| {
            format!("`{expression}` is no cron expression of five fields such as `30 2 * * 1-5`, nor one such as `@daily`: {e}")
        })?;
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZoneDatabase::bundled()
                .get(name)
                .map_err(|_| format!("`{name}` is no time zone such as `Europe/Berlin` or `UTC`"))?,
        };
        Ok(Self { cron, zone })
    }

    /// The first time after this one; `None` where there is none.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let zoned = after.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&zoned, false).ok().map(|z| z.timestamp())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn next(expression: &str, zone: Option<&str>, after: &str) -> String {
        Schedule::parse(expression, zone).unwrap().next(after.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn times_are_those_of_the_zone_and_of_its_daylight_saving() {
        assert_eq!(next("30 2 * * *", None, "2026-01-01T02:30:00Z"), "2026-01-02T02:30:00Z");
        assert_eq!(next("0 9 * * 1-5", Some("Europe/Berlin"), "2026-07-03T08:00:00Z"), "2026-07-06T07:00:00Z");
        assert_eq!(next("0 9 * * *", Some("America/New_York"), "2026-12-01T00:00:00Z"), "2026-12-01T14:00:00Z");
        // on the last Sunday of March there is no 02:30 in Berlin: it runs once all the same
        let gap = next("30 2 * * *", Some("Europe/Berlin"), "2026-03-28T12:00:00Z");
        assert!(gap.starts_with("2026-03-29T01:"), "{gap}");
        assert_eq!(next("@hourly", None, "2026-01-01T00:10:00Z"), "2026-01-01T01:00:00Z");
    }

    #[test]
    fn what_is_none_is_told() {
        for bad in ["", "* * * *", "* * * * * *", "61 * * * *", "often"] {
            let error = Schedule::parse(bad, None).unwrap_err();
            assert!(error.contains("no cron expression"), "{error}");
        }
        assert!(Schedule::parse("* * * * *", Some("Mars/Base")).unwrap_err().contains("Mars/Base"));
        assert_eq!(Schedule::parse("0 0 30 2 *", None).unwrap().next(Timestamp::UNIX_EPOCH), None);
    }
}
