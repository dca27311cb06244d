//! When backups are made and keys are replaced, for `tandem runway`.

use super::Check;
use crate::Error;
use crate::document::Path;
use crate::typed;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use std::fmt;

/// The shortest time between two backups, and the shortest life of a key, in seconds: less is a mistake of units.
const SHORTEST_S: i64 = 3_600;
/// The longest of both: a hundred years.
const LONGEST_S: i64 = 100 * 366 * 86_400;
/// The most keys of one kind.
const KEYS_MAX: u64 = 1_000_000;
/// Most bytes of a name or a label.
pub(super) const TEXT_BYTES_MAX: usize = 255;

/// How intervals are written, for whoever wrote something else.
const INTERVALS: &str = "write, for example, \"6mo\" (months), \"180d\", \"26w\" or \"P6M\"";
/// How lifetimes are written.
const LIFETIMES: &str = "write, for example, \"90d\", \"13w\" or \"P90D\"";
/// How dates are written.
const DATES: &str = "write, for example, \"2027-01-15\" or \"2027-01-15T09:30:00Z\"";

/// The time from one backup to the next, by the calendar: a month after the last of January is the last of February.
#[derive(Clone, Debug)]
pub struct Interval {
    span: Span,
    typed: String,
}

impl Interval {
    /// So many intervals after a moment, both in milliseconds since the Unix epoch. `None` if that is out of all reach.
    pub fn after(&self, ms: u64, times: u32) -> Option<u64> {
        let begin = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        // Counted from the beginning each time: from the 31st on months would drift.
        let span = self.span.checked_mul(times.into()).ok()?;
        let end = begin.to_zoned(TimeZone::UTC).checked_add(span).ok()?;
        u64::try_from(end.timestamp().as_millisecond()).ok()
    }
}

/// As it was typed: from that follows the rest.
impl PartialEq for Interval {
    fn eq(&self, other: &Self) -> bool {
        self.typed == other.typed
    }
}

impl Eq for Interval {}

/// As it was typed.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// Reads the time from one backup to the next. The error says what is wrong with it and what to write.
pub fn interval(typed: &str) -> Result<Interval, String> {
    let span: Span =
        typed.parse().map_err(|_| format!("{typed:?} is no length of time; {INTERVALS}"))?;
    let found = Interval { span, typed: typed.to_owned() };
    let seconds = found.after(0, 1).and_then(|ms| i64::try_from(ms / 1000).ok());
    match seconds {
        Some(SHORTEST_S..=LONGEST_S) => Ok(found),
        Some(0..SHORTEST_S) => Err(format!("{typed:?} is shorter than an hour; {INTERVALS}")),
        _ => Err(format!("{typed:?} is negative, or longer than a hundred years; {INTERVALS}")),
    }
}

/// A day, or a moment: from its first to its last millisecond since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its beginning.
    pub begins_ms: u64,
    /// Its end.
    pub ends_ms: u64,
}

/// Reads a day of the calendar, in UTC, or a moment. The error says what to write.
pub fn day(typed: &str) -> Result<Day, String> {
    let unfit = || format!("{typed:?} is no date after 1970; {DATES}");
    let ms = |time: Timestamp| u64::try_from(time.as_millisecond()).map_err(|_| unfit());
    if let Ok(moment) = typed.parse::<Timestamp>() {
        let at = ms(moment)?;
        return Ok(Day { begins_ms: at, ends_ms: at });
    }
    // What looks like a moment and is none is not taken for its day.
    let date: Date = if typed.contains(['T', 't', ' ']) {
        Err(unfit())
    } else {
        typed.parse().map_err(|_| unfit())
    }?;
    let begin = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp());
    let tomorrow = date.checked_add(1.day()).ok().and_then(begin).ok_or_else(unfit)?;
    Ok(Day {
        begins_ms: ms(begin(date).ok_or_else(unfit)?)?,
        ends_ms: ms(tomorrow)?.checked_sub(1).ok_or_else(unfit)?,
    })
}

/// Keys of one kind, each of which is replaced by an unused one when it has been in use for its lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollover {
    /// What people call them.
    pub name: String,
    /// Their type, as it was typed.
    pub kind: String,
    /// Their labels, with `*` for anything; `None`: any.
    pub label: Option<String>,
    /// How many are in use at once; at least 1.
    pub count: u64,
    /// How long each is in use, in seconds; at least an hour.
    pub lifetime_s: u64,
    /// How many unused ones must be left over, all together.
    pub standby: u64,
    /// How long before its use a key is taken, in seconds; less than the lifetime.
    pub lead_s: u64,
    /// When those that are in use, or any before them, were first used; `None`: nobody knows.
    pub since_ms: Option<u64>,
}

impl Check<'_> {
    pub(super) fn backup_every(
        &self,
        at: &Path,
        typed: Option<typed::Backup>,
    ) -> Result<Option<Interval>, Error> {
        let every = typed.and_then(|backup| backup.every);
        every.map(|every| self.said(&at.key("every"), interval(&every))).transpose()
    }

    /// What a reader of text says, as an error of the file.
    fn said<T>(&self, at: &Path, read: Result<T, String>) -> Result<T, Error> {
        read.map_err(|said| {
            let (problem, remedy) = said.split_once("; ").unwrap_or((&said, "see the guide"));
            self.error(at, problem, remedy)
        })
    }

    /// The rollovers, none of them called as another.
    pub(super) fn rollovers(
        &self,
        at: &Path,
        typed: Vec<typed::Rollover>,
    ) -> Result<Vec<Rollover>, Error> {
        let mut found: Vec<Rollover> = Vec::new();
        for (index, rollover) in typed.into_iter().enumerate() {
            let at = at.item(index);
            let rollover = self.rollover(&at, rollover)?;
            if found.iter().any(|other| other.name == rollover.name) {
                return Err(self.taken(&at.key("name"), "rollover", &rollover.name));
            }
            found.push(rollover);
        }
        Ok(found)
    }

    fn rollover(&self, at: &Path, typed: typed::Rollover) -> Result<Rollover, Error> {
        let name = self.required(&at.key("name"), typed.name, "name = \"zsk\"")?;
        self.text(&at.key("name"), &name, TEXT_BYTES_MAX)?;
        let kind = self.required(&at.key("type"), typed.kind, "type = \"ec:p256\"")?;
        self.text(&at.key("type"), &kind, TEXT_BYTES_MAX)?;
        if let Some(label) = &typed.label {
            self.text(&at.key("label"), label, TEXT_BYTES_MAX)?;
        }
        let at_lifetime = at.key("lifetime");
        let lifetime = self.required(&at_lifetime, typed.lifetime, "lifetime = \"90d\"")?;
        let lifetime_s = self.said(&at_lifetime, seconds(&lifetime, SHORTEST_S))?;
        let at_lead = at.key("lead");
        let lead = typed.lead.map(|lead| self.said(&at_lead, seconds(&lead, 0))).transpose()?;
        let lead_s = lead.unwrap_or(0);
        if lead_s >= lifetime_s {
            let remedy = "a key is taken while the one before it is in use";
            return Err(self.error(&at_lead, "it is not shorter than the lifetime", remedy));
        }
        let since =
            typed.since.map(|since| self.said(&at.key("since"), day(&since))).transpose()?;
        let count = self.number(&at.key("count"), typed.count, 1, 1..=KEYS_MAX)?;
        let standby = self.number(&at.key("standby"), typed.standby, 0, 0..=KEYS_MAX)?;
        Ok(Rollover {
            name,
            kind,
            label: typed.label,
            count,
            lifetime_s,
            standby: standby.saturating_mul(count),
            lead_s,
            since_ms: since.map(|since| since.begins_ms),
        })
    }
}

/// A length of time that is the same in every year, in seconds.
fn seconds(typed: &str, shortest_s: i64) -> Result<u64, String> {
    let span: Span =
        typed.parse().map_err(|_| format!("{typed:?} is no length of time; {LIFETIMES}"))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(format!("{typed:?} has years or months, which differ; {LIFETIMES}"));
    }
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    let hours = days * 24 + i64::from(span.get_hours());
    let total = hours * 3600 + span.get_minutes() * 60 + span.get_seconds();
    match u64::try_from(total) {
        Ok(seconds) if (shortest_s..=LONGEST_S).contains(&total) => Ok(seconds),
        Ok(_) if total < shortest_s => {
            Err(format!("{typed:?} is shorter than an hour; {LIFETIMES}"))
        }
        _ => Err(format!("{typed:?} is negative, or longer than a hundred years; {LIFETIMES}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(date: &str) -> u64 {
        day(date).unwrap().begins_ms
    }

    #[test]
    fn intervals_go_by_the_calendar() {
        for (every, from, times, to) in [
            ("6mo", "2027-01-15", 1, "2027-07-15"),
            ("P6M", "2027-01-15", 2, "2028-01-15"),
            ("6 months", "2027-07-31T09:30:00Z", 1, "2028-01-31T09:30:00Z"),
            ("1mo", "2027-01-31", 1, "2027-02-28"),
            ("1mo", "2027-01-31", 2, "2027-03-31"),
            ("1mo", "2028-01-31", 1, "2028-02-29"),
            ("1y", "2028-02-29", 1, "2029-02-28"),
            ("1y", "2028-02-29", 4, "2032-02-29"),
            // Half a year of a leap year, and of another.
            ("182d", "2028-01-01", 1, "2028-07-01"),
            ("181d", "2027-01-01", 1, "2027-07-01"),
            ("26w", "2027-01-01", 1, "2027-07-02"),
            ("365d", "2028-01-01", 1, "2028-12-31"),
        ] {
            let found = interval(every).unwrap().after(ms(from), times);
            assert_eq!(found, Some(ms(to)), "{every} {from} {times}");
        }
    }

    #[test]
    fn intervals_that_are_none_are_refused() {
        for (typed, says) in [
            ("", "is no length of time; write, for example, \"6mo\""),
            ("half a year", "is no length of time"),
            ("180", "is no length of time"),
            ("6m", "is shorter than an hour"),
            ("P0D", "is shorter than an hour"),
            ("0d", "is shorter than an hour"),
            ("-6mo", "is negative"),
            ("101y", "longer than a hundred years"),
            ("9999y", "longer than a hundred years"),
            ("99999999999999999999d", "is no length of time"),
        ] {
            let refused = interval(typed).unwrap_err();
            assert!(refused.contains(says), "{typed}: {refused}");
        }
    }

    #[test]
    fn what_is_out_of_reach_is_no_date() {
        let every = interval("100y").unwrap();
        assert_eq!(every.after(u64::MAX, 1), None);
        assert_eq!(every.after(ms("2027-01-01"), u32::MAX), None);
        assert_eq!(every.after(ms("9999-01-01"), 1), None);
    }

    #[test]
    fn a_date_is_a_whole_day_and_a_moment_is_one() {
        let found = day("2028-02-29").unwrap();
        assert_eq!(found.begins_ms, 1_835_395_200_000);
        assert_eq!(found.ends_ms, found.begins_ms + 86_400_000 - 1);
        let found = day("2028-02-29T12:00:00+01:00").unwrap();
        assert_eq!((found.begins_ms, found.ends_ms), (1_835_434_800_000, 1_835_434_800_000));
        for unfit in [
            "2027-02-29",
            "2027-13-01",
            "15.01.2027",
            "2027-01-15T25:00:00Z",
            "2027-01-15T10:00",
            "1969-12-31",
            "",
            "now",
            "99999-01-01",
        ] {
            assert!(day(unfit).unwrap_err().contains("write, for example"), "{unfit}");
        }
    }

    #[test]
    fn lifetimes_are_the_same_in_every_year() {
        assert_eq!(seconds("90d", SHORTEST_S), Ok(7_776_000));
        assert_eq!(seconds("P90D", SHORTEST_S), Ok(7_776_000));
        assert_eq!(seconds("13w 1d 2h 3m 4s", SHORTEST_S), Ok(92 * 86_400 + 7_384));
        assert_eq!(seconds("0d", 0), Ok(0));
        for (typed, says) in [
            ("1y", "has years or months"),
            ("P3M", "has years or months"),
            ("59m", "is shorter than an hour"),
            ("-90d", "is negative"),
            ("7000000d", "longer than a hundred years"),
            ("ninety", "is no length of time"),
        ] {
            let refused = seconds(typed, SHORTEST_S).unwrap_err();
            assert!(refused.contains(says), "{typed}: {refused}");
        }
    }
}
