//! When the next two backups are.

use crate::error::{Error, Result};
use crate::report::date;
use jiff::Timestamp;
use tandem_config::meant::{self, Day, Interval};
use tandem_engine::runway::Schedule;

/// How many backups in a row may have been left out before nobody believes the schedule any more.
const LEFT_OUT_MAX: u32 = 1_000_000;

#[derive(clap::Args)]
pub(crate) struct Dates {
    /// A coming backup (2027-01-15, or with the time); may be given more than once: the next two count
    #[arg(long, value_name = "DATE")]
    next: Vec<String>,
    /// How long after a backup the next one is made (6mo, 180d) [default: `every` of the configuration]
    #[arg(long, value_name = "SPAN")]
    every: Option<String>,
    /// Reckon as if it were this date
    #[arg(long, value_name = "DATE")]
    now: Option<String>,
}

/// The same, understood.
#[derive(Debug)]
pub(super) struct Read {
    now_ms: u64,
    /// Ends of the days on which backups are to come, in order, none of them over.
    next_ms: Vec<u64>,
    every: Option<Interval>,
}

/// The schedule of backups.
#[derive(Debug)]
pub(super) struct Coming {
    pub(super) schedule: Schedule,
    /// When a backup was due that was not made.
    pub(super) overdue_ms: Option<u64>,
}

impl Dates {
    /// What was asked for; `configured` is the configuration's interval.
    pub(super) fn read(&self, configured: Option<&Interval>) -> Result<Read> {
        let typed = self.every.as_deref();
        let every =
            typed.map(|typed| meant::interval(typed).map_err(bad("--every"))).transpose()?;
        let every = every.or_else(|| configured.cloned());
        let now_ms = match &self.now {
            Some(typed) => meant::day(typed).map_err(bad("--now"))?.begins_ms,
            None => u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0),
        };
        let days = self.next.iter().map(|typed| meant::day(typed).map_err(bad("--next")));
        let days = days.collect::<Result<Vec<Day>>>()?;
        let mut next_ms: Vec<_> =
            days.iter().map(|day| day.ends_ms).filter(|ends| *ends >= now_ms).collect();
        next_ms.sort_unstable();
        next_ms.dedup();
        if next_ms.is_empty() && !days.is_empty() {
            return Err(Error::usage(format!("--next: every date is over on {}", date(now_ms))));
        }
        if every.is_none() && next_ms.len() < 2 {
            return Err(Error::usage(
                "nothing says when the next two backups are: write every = \"6mo\" under [token.backup], or give --every, or \
                 --next twice",
            ));
        }
        Ok(Read { now_ms, next_ms, every })
    }
}

/// An argument that can't be understood.
fn bad(argument: &'static str) -> impl Fn(String) -> Error {
    move |problem| Error::usage(format!("{argument}: {problem}"))
}

impl Read {
    /// The next two backups, when the last one of everything was at `last_ms`.
    pub(super) fn schedule(&self, last_ms: Option<u64>) -> Result<Coming> {
        if let Some(last) = last_ms.filter(|last| *last > self.now_ms) {
            return Err(Error::failed(format!(
                "it is {}, and the last backup was made later, on {}: set the clock, or give a later --now",
                crate::report::time(self.now_ms),
                crate::report::time(last)
            )));
        }
        let (next_ms, overdue_ms) = match self.next_ms.first() {
            Some(next) => (*next, None),
            None => self.due(last_ms)?,
        };
        let after_ms = match self.next_ms.get(1) {
            Some(after) => *after,
            None => self.later(next_ms, 1)?,
        };
        let schedule = Schedule::new(last_ms, self.now_ms, next_ms, after_ms);
        schedule.map(|schedule| Coming { schedule, overdue_ms }).ok_or_else(out_of_reach)
    }

    /// So many intervals after a moment.
    fn later(&self, from_ms: u64, times: u32) -> Result<u64> {
        let every = self.every.as_ref();
        every.and_then(|every| every.after(from_ms, times)).ok_or_else(out_of_reach)
    }

    /// The next backup, counted from the last one, and the one that was due and not made. Where one was left out, the next is
    /// the one that would have followed it: whoever leaves out one may leave it out to the end.
    fn due(&self, last_ms: Option<u64>) -> Result<(u64, Option<u64>)> {
        let Some(last) = last_ms else { return Ok((self.later(self.now_ms, 1)?, None)) };
        let first = self.later(last, 1)?;
        for times in 1..LEFT_OUT_MAX {
            let next = self.later(last, times)?;
            if next >= self.now_ms {
                return Ok((next, (times > 1).then_some(first)));
            }
        }
        Err(out_of_reach())
    }
}

fn out_of_reach() -> Error {
    Error::failed(
        "the next backups would be further away than any calendar goes: look at the clock",
    )
}

impl Coming {
    /// What the operator should know.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.schedule.last_ms().is_none() {
            notes.push(
                "no backup of everything counts: none of the keys can be relied on".to_owned(),
            );
        }
        if let Some(due) = self.overdue_ms {
            notes.push(format!(
                "the backup of {} was not made: until it is, the next is taken to be that of {}",
                date(due),
                date(self.schedule.next_ms())
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(date: &str) -> u64 {
        meant::day(date).unwrap().begins_ms
    }

    fn dates(now: &str, every: Option<&str>, next: &[&str]) -> Dates {
        Dates {
            next: next.iter().map(|date| (*date).to_owned()).collect(),
            every: every.map(str::to_owned),
            now: Some(now.to_owned()),
        }
    }

    /// The next two backups and what is overdue, as dates.
    fn coming(dates: &Dates, last: Option<&str>) -> Result<(String, String, Option<String>)> {
        let coming = dates.read(None)?.schedule(last.map(ms))?;
        let schedule = coming.schedule;
        Ok((date(schedule.next_ms()), date(schedule.after_ms()), coming.overdue_ms.map(date)))
    }

    fn expected(
        next: &str,
        after: &str,
        overdue: Option<&str>,
    ) -> (String, String, Option<String>) {
        (next.to_owned(), after.to_owned(), overdue.map(str::to_owned))
    }

    #[test]
    fn backups_are_counted_from_the_last_one() {
        for (now, every, last, next, after, overdue) in [
            ("2027-03-01", "6mo", "2027-01-15", "2027-07-15", "2028-01-15", None),
            ("2027-01-15", "6mo", "2027-01-15", "2027-07-15", "2028-01-15", None),
            ("2027-07-15", "6mo", "2027-01-15", "2027-07-15", "2028-01-15", None),
            ("2027-07-16", "6mo", "2027-01-15", "2028-01-15", "2028-07-15", Some("2027-07-15")),
            ("2030-01-01", "6mo", "2027-01-15", "2030-01-15", "2030-07-15", Some("2027-07-15")),
            // A leap year is a day longer.
            ("2028-01-02", "180d", "2028-01-01", "2028-06-29", "2028-12-26", None),
            ("2027-01-02", "180d", "2027-01-01", "2027-06-30", "2027-12-27", None),
            ("2028-03-01", "1y", "2028-02-29", "2029-02-28", "2030-02-28", None),
        ] {
            let found = coming(&dates(now, Some(every), &[]), Some(last)).unwrap();
            assert_eq!(found, expected(next, after, overdue), "{now} {every} {last}");
        }
    }

    #[test]
    fn dates_that_are_given_are_whole_days_and_those_that_are_over_are_passed_over() {
        let given = ["2028-01-15", "2027-01-15", "2027-07-15", "2027-07-15"];
        let of = |now| coming(&dates(now, None, &given), Some("2026-12-31"));
        assert_eq!(of("2027-01-01").unwrap(), expected("2027-01-15", "2027-07-15", None));
        assert_eq!(of("2027-01-15T23:00:00Z").unwrap(), expected("2027-01-15", "2027-07-15", None));
        assert_eq!(of("2027-01-16").unwrap(), expected("2027-07-15", "2028-01-15", None));
        assert!(of("2027-07-16").unwrap_err().to_string().contains("--next twice"));
        assert!(of("2028-01-16").unwrap_err().to_string().contains("every date is over"));
        let read = dates("2027-01-01", None, &given).read(None).unwrap();
        let schedule = read.schedule(Some(0)).unwrap().schedule;
        assert_eq!(schedule.next_ms(), ms("2027-01-16") - 1, "to the end of the day");
        // One date, and the interval from there on.
        let one = dates("2027-01-01", Some("6mo"), &["2027-02-01"]);
        assert_eq!(
            coming(&one, Some("2026-01-01")).unwrap(),
            expected("2027-02-01", "2027-08-01", None)
        );
    }

    #[test]
    fn without_a_backup_the_first_is_an_interval_away() {
        let found = coming(&dates("2027-01-01", Some("6mo"), &[]), None).unwrap();
        assert_eq!(found, expected("2027-07-01", "2028-01-01", None));
        let coming =
            dates("2027-01-01", Some("6mo"), &[]).read(None).unwrap().schedule(None).unwrap();
        assert!(coming.notes()[0].contains("no backup of everything counts"));
    }

    #[test]
    fn a_clock_before_the_last_backup_is_told() {
        let back = coming(&dates("2027-01-01", Some("6mo"), &[]), Some("2027-01-02"));
        let error = back.unwrap_err().to_string();
        assert!(
            error.contains("it is 2027-01-01T00:00:00Z, and the last backup was made later"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_date_or_span_says_which_argument_it_was() {
        let refused = |dates: &Dates| match dates.read(None) {
            Err(error @ Error::Usage(_)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        let of = |every, next: &[&str]| refused(&dates("2027-01-01", every, next));
        assert!(of(Some("-6mo"), &[]).starts_with("--every: \"-6mo\" is negative"));
        assert!(of(Some("6mo"), &["soon"]).starts_with("--next: \"soon\" is no date"));
        assert!(of(None, &["2027-07-01"]).contains("--next twice"));
        assert!(refused(&dates("yesterday", Some("6mo"), &[])).starts_with("--now: "));
        let far = coming(&dates("9999-06-30", Some("6mo"), &[]), None);
        assert!(far.unwrap_err().to_string().contains("further away"));
        // More backups left out than anybody counts.
        let old = coming(&dates("2200-01-01", Some("1h"), &[]), Some("1970-01-01"));
        assert!(old.is_err());
    }
}
