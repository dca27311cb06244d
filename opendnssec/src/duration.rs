//! Durations as OpenDNSSEC understands them: a year has 365 days and a month 31, whatever the calendar says.

use jiff::Span;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Seconds of an ISO 8601 duration such as `P90D`. The error says what is wrong with it.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let example = "write, for example, P90D or PT4H";
    if text.starts_with('-') {
        return Err(format!("is negative; {example}"));
    }
    // The parser knows other ways of writing one, which OpenDNSSEC doesn't.
    let span: Span = text
        .strip_prefix('P')
        .and_then(|_| text.parse().ok())
        .ok_or_else(|| format!("is no duration; {example}"))?;
    let total = i64::from(span.get_years()) * 365 * DAY
        + i64::from(span.get_months()) * 31 * DAY
        + i64::from(span.get_weeks()) * 7 * DAY
        + i64::from(span.get_days()) * DAY
        + i64::from(span.get_hours()) * HOUR
        + span.get_minutes() * MINUTE
        + span.get_seconds();
    u64::try_from(total).map_err(|_| format!("is negative; {example}"))
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_come_out_as_the_enforcer_has_them() {
        // The first three are what 2.1.12 wrote into its database.
        for (text, expected) in [
            ("P90D", 7_776_000),
            ("P1Y", 31_536_000),
            ("P3M", 8_035_200),
            ("PT4H", 14_400),
            ("PT3600S", 3_600),
            ("P2W", 1_209_600),
            ("P1Y2M3DT4H5M6S", 31_536_000 + 5_356_800 + 259_200 + 14_706),
            ("PT0S", 0),
            ("P0D", 0),
            ("P60000D", 5_184_000_000), // longer than 32 bits: its log says so
            ("P19998Y", 630_656_928_000),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for (text, says) in [
            ("-P1D", "is negative"),
            ("P-1D", "is no duration"),
            ("90 days", "is no duration"),
            ("90D", "is no duration"),
            ("P", "is no duration"),
            ("PD", "is no duration"),
            ("P1D ", "is no duration"),
            ("P99999999999999999999D", "is no duration"),
            ("P19999Y", "is no duration"),
            ("", "is no duration"),
        ] {
            let refused = seconds(text).expect_err(text);
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}
