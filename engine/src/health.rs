//! Whether a member is fit for work: what was observed, apart from what the operator wants.

use crate::report::Condition;

/// How long a member that failed is left alone, in milliseconds, by how often it failed in a row.
const BACK_OFF_MS: [u64; 7] = [1_000, 1_000, 2_000, 5_000, 10_000, 60_000, 300_000];

/// The health of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    down: Option<Down>,
    wrong_pin: Option<String>,
    fenced: Option<String>,
    failures: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Down {
    until_ms: u64,
    reason: String,
}

impl Health {
    /// True if work may be given to it.
    pub const fn is_up(&self) -> bool {
        self.down.is_none() && self.wrong_pin.is_none() && self.fenced.is_none()
    }

    /// True if it is down and its back-off is over: one caller may try it.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.wrong_pin.is_none()
            && self.fenced.is_none()
            && self.down.as_ref().is_some_and(|down| now_ms >= down.until_ms)
    }

    /// It failed. Answers true if it was up, so that a flap of many threads is logged and counted once.
    pub fn fail(&mut self, now_ms: u64, reason: String) -> bool {
        if let Some(down) = &self.down
            && now_ms < down.until_ms
        {
            return false;
        }
        let first = self.down.is_none();
        let wait = BACK_OFF_MS.get(self.failures).or(BACK_OFF_MS.last()).copied().unwrap_or(1_000);
        self.failures = self.failures.saturating_add(1);
        self.down = Some(Down { until_ms: now_ms.saturating_add(wait), reason });
        first
    }

    /// It has forgotten us: it is down, and may be tried at once.
    pub fn lose(&mut self, now_ms: u64, reason: String) {
        if self.down.is_none() {
            self.down = Some(Down { until_ms: now_ms, reason });
        }
    }

    /// Somebody tries it now: nobody else does until the back-off is over again.
    pub fn trying(&mut self, now_ms: u64) {
        if let Some(down) = &mut self.down {
            let wait =
                BACK_OFF_MS.get(self.failures).or(BACK_OFF_MS.last()).copied().unwrap_or(1_000);
            down.until_ms = now_ms.saturating_add(wait);
        }
    }

    /// It works. Answers true if it was down.
    pub fn recover(&mut self) -> bool {
        self.failures = 0;
        self.down.take().is_some()
    }

    /// It refused our PIN: it is left alone until another is brought.
    pub fn refuse_pin(&mut self, reason: String) {
        self.wrong_pin = Some(reason);
    }

    /// Another PIN has been brought.
    pub fn forgive_pin(&mut self) {
        self.wrong_pin = None;
    }

    /// It is kept out until the operator, or an initialisation, brings it back.
    pub fn fence(&mut self, reason: String) {
        self.fenced = Some(reason);
    }

    /// What kept it out is done with.
    pub fn unfence(&mut self) {
        self.fenced = None;
    }

    /// True if another PIN, and nothing else, would make it fit for work.
    pub const fn wants_pin(&self) -> bool {
        self.wrong_pin.is_some() && self.down.is_none() && self.fenced.is_none()
    }

    /// What to show of it: its condition and why.
    pub fn condition(&self) -> (Condition, String) {
        match (&self.fenced, &self.wrong_pin, &self.down) {
            (Some(reason), ..) => (Condition::Fenced, reason.clone()),
            (None, Some(reason), _) => (Condition::WrongPin, reason.clone()),
            (None, None, Some(down)) => (Condition::Down, down.reason.clone()),
            (None, None, None) => (Condition::Up, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_at_once_count_once() {
        let mut health = Health::default();
        assert!(health.fail(0, "gone".into()));
        for _ in 0..10 {
            assert!(!health.fail(5, "gone".into()));
        }
        assert!(!health.is_due(999) && health.is_due(1_000));
    }

    #[test]
    fn back_off_grows_and_recovery_ends_it() {
        let mut health = Health::default();
        let mut now = 0;
        for wait in BACK_OFF_MS.into_iter().chain([300_000]) {
            health.fail(now, "gone".into());
            assert!(!health.is_due(now + wait - 1) && health.is_due(now + wait), "after {wait} ms");
            now += wait;
        }
        assert!(health.recover() && health.is_up() && !health.recover());
        health.fail(now, "gone".into());
        assert!(health.is_due(now + 1_000), "a recovered member begins at the short end");
    }

    #[test]
    fn a_wrong_pin_is_not_healed_by_time() {
        let mut health = Health::default();
        health.refuse_pin("CKR_PIN_INCORRECT".into());
        health.fail(0, "gone".into());
        assert!(!health.is_due(u64::MAX) && health.condition().0 == Condition::WrongPin);
        health.forgive_pin();
        assert!(health.is_due(u64::MAX));
    }

    #[test]
    fn a_fenced_member_stays_out_whatever_else_becomes_of_it() {
        let mut health = Health::default();
        health.fence("C_InitPIN failed half-way".into());
        health.forgive_pin();
        assert!(
            !health.is_up() && !health.wants_pin() && health.condition().0 == Condition::Fenced
        );
        health.fail(0, "gone".into());
        assert!(!health.is_due(u64::MAX));
        health.unfence();
        assert!(health.is_due(u64::MAX));
    }
}
