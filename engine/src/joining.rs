//! Bringing in a member that is not there yet: a new one, or one whose token was replaced by an empty one.
//!
//! The ring goes there by the recovery's shares, is tried there as pairing tries it, and only then the log counts the
//! member. From there it follows the log like any other that was away. Each step can be interrupted and is taken again,
//! so whoever runs it again goes on where it stopped. Until the log counts the member no process uses it.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::fault::Fault;
use crate::heads;
use crate::health::Health;
use crate::journal::{Chooses, Entry, Still};
use crate::log::Position;
use crate::login::Login;
use crate::member::User;
use crate::pair;
use crate::report::{JoinReport, Progress};
use crate::ring::{Joined, Paired, Ring, RingHandles};
use crate::roll::Roster;
use crate::rotation::lacking_keys;
use crate::settings::{Duty, Role};
use crate::standing::Standing;
use crate::station::{Lease, Station};
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// How often another process that brings the member up may seem to stand still, each time for as long as a lease is
/// waited for, before it is given up.
const STILL_MAX: usize = 30;

/// How a member is brought in.
pub struct Bringing<'a> {
    /// Shares of the recovery; none are needed where the token holds the ring already.
    pub shares: &'a [Secret],
    /// What the token holds that is not Tandem's stays there, and is not shown.
    pub keep_foreign: bool,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
}

/// What the operator thinks the member is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coming {
    /// New.
    Added,
    /// One whose token was replaced.
    Replaced,
}

impl Token {
    /// Brings in a member that the configuration names and the log doesn't. Run again it goes on where it stopped.
    pub fn add_member(
        self: &Arc<Self>,
        pin: &Secret,
        name: &str,
        bringing: &Bringing<'_>,
    ) -> Result<JoinReport> {
        self.bring_in(pin, name, Coming::Added, bringing)
    }

    /// Brings in a member anew whose token was replaced. Nothing of the old token counts as held by the new one. Run
    /// again it goes on where it stopped.
    pub fn replace_member(
        self: &Arc<Self>,
        pin: &Secret,
        name: &str,
        bringing: &Bringing<'_>,
    ) -> Result<JoinReport> {
        self.bring_in(pin, name, Coming::Replaced, bringing)
    }

    /// Does something as the user, with no application's session, and logs out again.
    pub(crate) fn as_user<T>(
        self: &Arc<Self>,
        pin: &Secret,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let _turn = self.login_turn.lock();
        if self.login.read().user().is_some() {
            return Err(CKR_USER_ALREADY_LOGGED_IN.into());
        }
        // The members are to judge this PIN.
        self.end_rest();
        *self.login.write() = Login::user_with(pin, self.clock.steady_ms());
        let done = work();
        self.end_login();
        done
    }

    /// The members that hold the ring, of a token that is paired.
    pub(crate) fn paired(&self) -> Result<Arc<Roster>> {
        self.roster()?.ok_or_else(|| {
            Error::new(
                CKR_FUNCTION_FAILED,
                format!(
                    "token {} is not paired: `tandem pair --token {}` makes its key ring on every member of the configuration",
                    self.settings.label, self.settings.label
                ),
            )
        })
    }

    fn bring_in(
        self: &Arc<Self>,
        pin: &Secret,
        name: &str,
        coming: Coming,
        bringing: &Bringing<'_>,
    ) -> Result<JoinReport> {
        let station = Arc::clone(self.named_station(name)?);
        self.as_user(pin, || {
            let roster = self.paired()?;
            self.is_sensible(name, coming, &roster)?;
            Self::set_aside(&station);
            let done = self.bring_aside(&station, pin, coming, &roster, bringing);
            self.settle(&station);
            done
        })
    }

    fn is_sensible(&self, name: &str, coming: Coming, roster: &Roster) -> Result {
        let known = roster.since.contains_key(name) || roster.left.contains(name);
        if coming == Coming::Added || known {
            return Ok(());
        }
        let message = format!(
            "token {}: {name} was never one of its members, so there is nothing to replace; `tandem member add {name} --shares DIR` \
             brings in a new one",
            self.settings.label
        );
        Err(Error::new(CKR_ARGUMENTS_BAD, message))
    }

    /// Brings in a member that is set aside.
    fn bring_aside(
        self: &Arc<Self>,
        station: &Arc<Station>,
        pin: &Secret,
        coming: Coming,
        roster: &Roster,
        bringing: &Bringing<'_>,
    ) -> Result<JoinReport> {
        let name = station.name();
        if self.enter_members(User::User, Some(pin))?.is_none() {
            self.use_ring(&roster.ring);
        } else {
            log::warn!(
                "token {}: none of its other members answers; {name} is brought in with the log and the shares alone",
                self.settings.label
            );
            *self.ring.write() = Some(Arc::clone(&roster.ring));
        }
        if self.seal.read().is_some() {
            self.take_in_log()?;
            self.review()?;
            self.look_at_heads();
            self.is_borne_out()?;
        }
        let lease = self.reach(station, pin)?;
        self.bring_to(station, lease, coming, roster, bringing)
    }

    /// The same, with the seal open where it can be, and at a member that lets us in.
    pub(crate) fn bring_to(
        self: &Arc<Self>,
        station: &Arc<Station>,
        lease: Lease,
        coming: Coming,
        roster: &Roster,
        bringing: &Bringing<'_>,
    ) -> Result<JoinReport> {
        let name = station.name();
        let serial = lease.desk().member.token().map_err(|fault| unwell(name, fault))?.serial;
        let found = pair::find(&lease.desk(), &roster.ring);
        let holds = found.is_ok();
        let known = roster.ring.member(name);
        let is_behind = |known: &Paired| {
            known.serial == serial
                && known.generation < roster.ring.newest()
                && coming == Coming::Added
        };
        let (member, routes, changed) = match known {
            Some(known) if is_behind(known) && !(holds && bringing.shares.is_empty()) => {
                if bringing.shares.is_empty() {
                    return Err(lacking_keys(name, &roster.ring));
                }
                self.give_newest(station, &lease, bringing)?;
                let roster = self.paired()?;
                let since = roster.since.get(name).copied().unwrap_or_default();
                self.seat(station, &roster.ring, since)?;
                (known.clone(), Vec::new(), true)
            }
            Some(known) if holds && known.serial == serial => {
                let since = roster.since.get(name).copied().unwrap_or_default();
                self.seat(station, &roster.ring, since)?;
                (known.clone(), Vec::new(), false)
            }
            Some(known) if coming == Coming::Added => {
                return Err(match found {
                    // It is the one, and can't be asked now.
                    Err(error)
                        if known.serial == serial && error.rv.0 != CKR_TOKEN_NOT_RECOGNIZED =>
                    {
                        error
                    }
                    _ => self.is_another(name, known, &serial),
                });
            }
            _ => {
                self.is_nobody_elses(name, &serial, holds, &roster.ring)?;
                let Joined { member, routes } =
                    self.carry_ring(station, &lease, holds, roster, bringing)?;
                (member, routes, true)
            }
        };
        drop(lease);
        let ours = self.bring_up(station, bringing.progress)?;
        // The log has grown by what it says of the member.
        self.catch_up();
        self.report_joined(station, member, routes, (changed, ours))
    }

    /// A session on a member that is set aside, with the user logged in.
    pub(crate) fn reach(&self, station: &Arc<Station>, pin: &Secret) -> Result<Lease> {
        let name = station.name();
        station.start().map_err(|fault| unwell(name, fault))?;
        // The operator brings it: what another token of this name refused says nothing.
        self.store.set_note(&note::member(name, note::REFUSED_PIN), None)?;
        if let Err(fault) = self.enter_other(station, User::User, Some(pin)) {
            let (_, reason) = station.health(|health| health.observed());
            let message = format!(
                "member {name}: its token does not let us log in ({fault}{}{reason}): give it the PIN of the other members, or a \
                 pin_source of its own in the configuration; `tandem doctor` looks at it closer",
                if reason.is_empty() { "" } else { "; " }
            );
            return Err(Error::new(fault.rv.0, message));
        }
        self.note_abilities(station);
        station.lease().map_err(|fault| unwell(name, fault))
    }

    /// Adding a member that is one already, on another token.
    fn is_another(&self, name: &str, known: &Paired, serial: &str) -> Error {
        Error::new(
            CKR_ARGUMENTS_BAD,
            format!(
                "token {}: {name} is one of its members already, on the token {}; the token that answers now is {serial} or does not \
                 hold the key ring. Put the old one back, or run `tandem member replace {name} --shares DIR`",
                self.settings.label, known.serial
            ),
        )
    }

    /// Two sections of the configuration must not name one token: what one destroys the other would lose.
    fn is_nobody_elses(&self, name: &str, serial: &str, holds: bool, ring: &Ring) -> Result {
        let other =
            ring.members.iter().find(|member| member.serial == serial && member.name != name);
        match other {
            Some(other) if holds => Err(Error::new(
                CKR_ARGUMENTS_BAD,
                format!(
                    "token {}: the token {serial} that the section of {name} names is the one of member {}; name another in the \
                     configuration, or take {} out first",
                    self.settings.label, other.name, other.name
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Gives the member the ring, tries it there, and has the log count it.
    fn carry_ring(
        self: &Arc<Self>,
        station: &Arc<Station>,
        lease: &Lease,
        holds: bool,
        roster: &Roster,
        bringing: &Bringing<'_>,
    ) -> Result<Joined> {
        let (name, desk, ring) = (station.name(), lease.desk(), &roster.ring);
        pair::tidy(&desk, Some(&ring.id), &[])?;
        let sealed = self.seal.read().is_some();
        let mut ours = sealed && self.examine(lease, bringing)?;
        // A generator counts all the while: nothing is taken for held there, and keys are not to be made elsewhere meanwhile.
        let counted = sealed && !station.does(Duty::Making) && roster.since.contains_key(name);
        // What it was told of the log it was told as somebody else's, or before it left.
        heads::remove(&desk, &ring.id).map_err(|fault| unwell(name, fault))?;
        let handles = self.give_ring(&desk, ring, (holds, counted), bringing)?;
        self.look_for_ring(station, ring)?;
        if !sealed {
            self.take_in_log()?;
            ours = self.examine(lease, bringing).inspect_err(|_| {
                if !holds {
                    let _ = pair::remove(&desk, &ring.id);
                }
            })?;
        }
        if ours {
            self.store.set_note(&note::member(name, note::LOOK), Some(b"1"))?;
        }
        let joined = self.try_there(station, ring, (lease, handles), bringing.progress)?;
        let since = self.append(Event::Joined(Box::new(joined.clone())))?;
        self.seat(station, ring, since)?;
        Ok(joined)
    }

    /// Tries the ring there, with every other member that is ready.
    fn try_there(
        &self,
        station: &Arc<Station>,
        ring: &Ring,
        (lease, handles): (&Lease, RingHandles),
        progress: &dyn Progress,
    ) -> Result<Joined> {
        let others = self.members().filter(|other| !Arc::ptr_eq(other, station));
        let others: Vec<_> = others
            .filter(|other| other.is_ready())
            .filter_map(|other| other.lease().ok())
            // One that was away for a rotation lacks the newest keys.
            .filter_map(|lease| pair::find_all(&lease.desk(), ring).ok().map(|it| (lease, it)))
            .collect();
        let places: Vec<_> = others.iter().map(|(lease, it)| (lease.desk(), *it)).collect();
        pair::join((lease.desk(), handles), &places, &*self.entropy, progress)
    }

    /// The member counts, for this process too.
    fn seat(&self, station: &Arc<Station>, ring: &Ring, since: Position) -> Result {
        if !station.has_ring() {
            self.look_for_ring(station, ring)?;
        }
        if self.shelf.is_empty() {
            self.take_in_log()?;
        }
        station.health(Health::renew);
        station.set_standing(Standing::Member(since));
        self.heed_roster();
        Ok(())
    }

    /// Checks the log and takes it in, with the seal open.
    pub(crate) fn take_in_log(&self) -> Result {
        self.check_log_since()?;
        self.shelf.refresh()
    }

    /// Appends one event, and answers where.
    pub(crate) fn append(&self, event: Event) -> Result<Position> {
        self.append_all(vec![Entry::from(event)], Vec::new())
    }

    /// Appends events in one durable transaction, and erases wrapped bytes. Answers where the first is. Refused while the log
    /// is in doubt: what grew from an older copy would be a second history.
    pub(crate) fn append_all(&self, entries: Vec<Entry>, erase: Vec<Position>) -> Result<Position> {
        self.is_borne_out()?;
        let (seal, site) = (self.seal()?, self.site()?);
        self.batches.write(entries, erase, |entries, erase| {
            let in_force = self.in_force(entries)?;
            let still = |news: &[_]| in_force.still(news);
            self.journal.append(&seal, site, (entries, erase), (in_force.seen, &still))
        })
    }

    /// The same, alone, and only if it still may be, by what the log says after a position.
    pub(crate) fn append_if(
        &self,
        entries: &[Entry],
        erase: &[Position],
        still: (Position, &Still<'_>),
    ) -> Result<Position> {
        self.is_borne_out()?;
        self.journal.append(&self.seal()?, self.site()?, (entries, erase), still)
    }

    /// The same of events that are chosen when nobody else can append any more, by what the log says after a position.
    pub(crate) fn append_decided(&self, seen: Position, decide: &mut Chooses<'_>) -> Result {
        self.is_borne_out()?;
        let (seal, site) = (self.seal()?, self.site()?);
        self.journal.append_decided(&seal, site, seen, decide)
    }

    /// Forgets all that was known of a member's token: where it was in the log, what it could not take, what was noted.
    pub(crate) fn forget_follower(&self, name: &str) -> Result {
        self.store.forget(name)?;
        for what in note::OF_MEMBER {
            let note = note::member(name, what);
            if self.store.note(&note)?.is_some() {
                self.store.set_note(&note, None)?;
            }
        }
        Ok(())
    }

    /// Has a member take over everything that the log holds. Answers false if another process did it.
    fn bring_up(&self, station: &Arc<Station>, progress: &dyn Progress) -> Result<bool> {
        let name = station.name();
        let mut at = self.following(station)?.position;
        let mut still = 0_usize;
        let missed = self.store.head()?.position.saturating_sub(at);
        progress.stage(&format!("bringing {name} what the token holds"), missed);
        station.try_again_at_once();
        loop {
            let followed = self.follow(station, &mut Vec::new(), progress);
            followed.map_err(|error| stopped(name, &error.to_string()))?;
            let reached = self.following(station)?.position;
            if reached >= self.store.head()?.position {
                return Ok(still == 0);
            }
            if !station.is_ready() {
                return Err(stopped(name, &station.condition().1));
            }
            still = if reached > at { 1 } else { still.saturating_add(1) };
            if still > STILL_MAX {
                return Err(stopped(name, "another process writes to it and does not get on"));
            }
            at = reached;
        }
    }

    fn report_joined(
        &self,
        station: &Arc<Station>,
        member: Paired,
        routes: Vec<crate::ring::Route>,
        (changed, alone): (bool, bool),
    ) -> Result<JoinReport> {
        let statuses = self.statuses(std::slice::from_ref(station))?;
        let Some(status) = statuses.into_iter().next() else { return Err(self.nobody()) };
        match status.role {
            Role::Generator => {
                log::info!("member {} holds the key ring and makes keys", station.name());
            }
            _ => log::info!(
                "member {} holds the key ring and {} objects, proven",
                station.name(),
                status.proven
            ),
        }
        Ok(JoinReport { member, routes, changed, alone, status })
    }
}

/// The member does not answer as it should.
pub(crate) fn unwell(name: &str, fault: Fault) -> Error {
    let message = format!(
        "member {name}: its token can't be reached ({fault}): look at its section in the configuration and at the HSM; \
         `tandem doctor` says more"
    );
    Error::new(fault.rv.0, message)
}

/// It stopped on the way.
fn stopped(name: &str, why: &str) -> Error {
    let message = format!(
        "member {name} holds the key ring now, but was not brought everything ({why}): run the same command again, it goes on where it \
         stopped"
    );
    Error::new(CKR_DEVICE_ERROR, message)
}
