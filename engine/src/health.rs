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
    drained: bool,
    outside: bool,
    suspect: Option<String>,
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
        self.down.is_none() && self.is_wanted()
    }

    /// True unless somebody must do something before it may be tried at all.
    const fn is_wanted(&self) -> bool {
        self.wrong_pin.is_none() && self.fenced.is_none() && !self.drained && !self.outside
    }

    /// True if it is down and its back-off is over: one caller may try it.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.is_wanted() && self.down.as_ref().is_some_and(|down| now_ms >= down.until_ms)
    }

    /// In how many milliseconds it may be tried; `None` if it is not down, or waits for something other than time.
    pub fn due_in_ms(&self, now_ms: u64) -> Option<u64> {
        let down = self.down.as_ref().filter(|_| self.is_wanted())?;
        Some(down.until_ms.saturating_sub(now_ms))
    }

    /// It failed. Answers true if it was up, so that a flap of many threads is logged and counted once. `chance`, any
    /// number, spreads out the attempts of many processes.
    pub fn fail(&mut self, now_ms: u64, chance: u64, reason: String) -> bool {
        if let Some(down) = &self.down
            && now_ms < down.until_ms
        {
            return false;
        }
        let first = self.down.is_none();
        let wait = self.wait_ms(chance);
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
    pub fn trying(&mut self, now_ms: u64, chance: u64) {
        let wait = self.wait_ms(chance);
        if let Some(down) = &mut self.down {
            down.until_ms = now_ms.saturating_add(wait);
        }
    }

    /// How long it is left alone now: its place on the ladder, and up to a tenth of that by chance.
    fn wait_ms(&self, chance: u64) -> u64 {
        let wait = BACK_OFF_MS.get(self.failures).or(BACK_OFF_MS.last()).copied().unwrap_or(1_000);
        wait.saturating_add(chance.checked_rem(wait / 10).unwrap_or(0))
    }

    /// True if it was down for more than having forgotten us: what it is may have changed meanwhile.
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// It works. Answers true if it was down.
    pub fn recover(&mut self) -> bool {
        self.failures = 0;
        self.suspect = None;
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

    /// What the operator wants: no work for it, and nothing else either.
    pub const fn drain(&mut self, drained: bool) {
        self.drained = drained;
    }

    /// True if the operator wants no work for it.
    pub const fn is_drained(&self) -> bool {
        self.drained
    }

    /// The log does not count it among the members that hold the key ring: it is left alone until it does.
    pub const fn set_outside(&mut self, outside: bool) {
        self.outside = outside;
    }

    /// True if the log does not count it among the members.
    pub const fn is_outside(&self) -> bool {
        self.outside
    }

    /// What was observed of it is of another token, or of before it was brought in.
    pub fn renew(&mut self) {
        *self = Self { outside: self.outside, ..Self::default() };
    }

    /// It answers, but something there is not as it should be: it works when nobody else can.
    pub fn suspect(&mut self, reason: String) {
        self.suspect = Some(reason);
    }

    /// What was suspect is as it should be.
    pub fn trust(&mut self) {
        self.suspect = None;
    }

    /// True if something there was not as it should be.
    pub const fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    /// True if another PIN, and nothing else, would make it fit for work.
    pub const fn wants_pin(&self) -> bool {
        self.wrong_pin.is_some()
            && self.down.is_none()
            && self.fenced.is_none()
            && !self.drained
            && !self.outside
    }

    /// What to show of it: its condition and why.
    pub fn condition(&self) -> (Condition, String) {
        if self.outside {
            return (Condition::Outside, String::new());
        }
        self.observed()
    }

    /// The same, whether it counts or not.
    pub fn observed(&self) -> (Condition, String) {
        match (&self.fenced, &self.wrong_pin, &self.down) {
            (Some(reason), ..) => (Condition::Fenced, reason.clone()),
            (None, Some(reason), _) => (Condition::WrongPin, reason.clone()),
            _ if self.drained => {
                (Condition::Drained, "by the operator, until `tandem member enable`".into())
            }
            (None, None, Some(down)) => (Condition::Down, down.reason.clone()),
            (None, None, None) => match &self.suspect {
                Some(reason) => (Condition::Suspect, reason.clone()),
                None => (Condition::Up, String::new()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_at_once_count_once() {
        let mut health = Health::default();
        assert!(health.fail(0, 0, "gone".into()));
        for _ in 0..10 {
            assert!(!health.fail(5, 0, "gone".into()));
        }
        assert!(!health.is_due(999) && health.is_due(1_000));
    }

    #[test]
    fn back_off_grows_and_recovery_ends_it() {
        let mut health = Health::default();
        let mut now = 0;
        for wait in BACK_OFF_MS.into_iter().chain([300_000]) {
            health.fail(now, 0, "gone".into());
            assert!(!health.is_due(now + wait - 1) && health.is_due(now + wait), "after {wait} ms");
            now += wait;
        }
        assert!(health.recover() && health.is_up() && !health.recover());
        health.fail(now, 0, "gone".into());
        assert!(health.is_due(now + 1_000), "a recovered member begins at the short end");
    }

    #[test]
    fn chance_puts_an_attempt_off_by_less_than_a_tenth() {
        for chance in [0, 1, 99, 100, u64::MAX] {
            let mut health = Health::default();
            health.fail(0, chance, "gone".into());
            let due = health.due_in_ms(0).unwrap();
            assert!((1_000..1_100).contains(&due), "{due}");
        }
    }

    #[test]
    fn a_drained_member_is_left_alone_until_it_is_enabled() {
        let mut health = Health::default();
        health.drain(true);
        health.fail(0, 0, "gone".into());
        assert!(!health.is_up() && !health.is_due(u64::MAX));
        assert_eq!(health.condition().0, Condition::Drained);
        health.drain(false);
        assert!(health.is_due(u64::MAX));
    }

    #[test]
    fn a_member_outside_the_ring_is_left_alone_until_it_joins() {
        let mut health = Health::default();
        health.refuse_pin("CKR_PIN_INCORRECT".into());
        health.set_outside(true);
        assert!(!health.is_up() && !health.wants_pin() && !health.is_due(u64::MAX));
        assert_eq!(health.condition().0, Condition::Outside);
        health.set_outside(false);
        health.forgive_pin();
        assert!(health.is_up());
    }

    #[test]
    fn a_suspect_member_works_and_recovers_its_name() {
        let mut health = Health::default();
        health.suspect("an object is missing".into());
        assert!(health.is_up() && health.condition().0 == Condition::Suspect);
        health.trust();
        assert_eq!(health.condition().0, Condition::Up);
    }

    #[test]
    fn a_wrong_pin_is_not_healed_by_time() {
        let mut health = Health::default();
        health.refuse_pin("CKR_PIN_INCORRECT".into());
        health.fail(0, 0, "gone".into());
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
        health.fail(0, 0, "gone".into());
        assert!(!health.is_due(u64::MAX));
        health.unfence();
        assert!(health.is_due(u64::MAX));
    }
}
