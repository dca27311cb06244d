//! What operators ask: how is it, what is there, is it still the same?

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::health::Health;
use crate::held::Held;
use crate::log::Following;
use crate::member::User;
use crate::prove::{Failure, says_beyond};
use crate::report::{
    BackupToken, Condition, MemberStatus, ObjectReport, Progress, Replica, Status,
};
use crate::session::Session;
use crate::settings::Duty;
use crate::shelf::Entry;
use crate::station::Station;
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tandem_values::{Secret, Template, ck::*, keytype};

impl Token {
    /// Logs in as the user without an application's session: for the operator's tool. The login ends with the session
    /// that is answered.
    pub fn login(self: &Arc<Self>, pin: &Secret) -> Result<Arc<Session>> {
        let session = self.open(true)?;
        match session.login(User::User, Some(pin)) {
            Ok(()) => Ok(session),
            Err(error) => {
                session.close();
                Err(error)
            }
        }
    }

    /// How the token and its members are. Needs no login.
    pub fn status(&self) -> Result<Status> {
        self.shelf.refresh()?;
        let members = self.statuses(&self.stations)?;
        Ok(Status {
            label: self.label(),
            serial: self.serial()?,
            ring: self.known_ring()?.map(Arc::unwrap_or_clone),
            head: self.store.head()?.position,
            doubt: self.doubt()?,
            objects: u64::try_from(self.shelf.len()).unwrap_or(u64::MAX),
            apart: self.apart()?,
            members,
            backup_tokens: self.backup_tokens_known()?,
        })
    }

    /// Objects that are beyond some members, by their type and by who holds them.
    fn apart(&self) -> Result<BTreeMap<(String, Vec<String>), u64>> {
        let followings = self
            .keepers()
            .map(|station| Ok((station, self.store.following(station.name())?)))
            .collect::<Result<Vec<_>>>()?;
        let exceptions = followings.iter().flat_map(|(_, following)| &following.exceptions);
        let ids: BTreeSet<_> = exceptions
            .filter(|(_, reason)| says_beyond(reason).is_some())
            .map(|(id, _)| *id)
            .collect();
        let mut apart = BTreeMap::<_, u64>::new();
        for id in ids {
            let Some(entry) = self.shelf.by_id(id)? else { continue };
            let on = followings.iter().filter(|(station, known)| is_on(station, &entry, known));
            let holders = on.map(|(station, _)| station.name().to_owned()).collect();
            let kind = keytype::of(&entry.object.template).unwrap_or_default();
            let count = apart.entry((kind, holders)).or_default();
            *count = count.saturating_add(1);
        }
        Ok(apart)
    }

    /// What the log tells of the backup tokens. They are not asked.
    fn backup_tokens_known(&self) -> Result<Vec<BackupToken>> {
        let roster = self.roster()?;
        let known = |vault: &Arc<Station>| {
            let name = vault.name();
            let paired = roster.as_ref().and_then(|roster| roster.ring.member(name));
            Ok(BackupToken {
                name: name.to_owned(),
                serial: paired.map(|paired| paired.serial.clone()),
                position: paired
                    .map_or(Ok(0), |_| Ok::<_, Error>(self.store.following(name)?.position))?,
                filled: roster.as_ref().and_then(|roster| roster.filled.get(name).copied()),
            })
        };
        self.vaults.iter().map(known).collect()
    }

    /// How these members are. Each object is read once, whatever their number is, and none is kept.
    pub(crate) fn statuses(&self, stations: &[Arc<Station>]) -> Result<Vec<MemberStatus>> {
        let known = |station: &Arc<Station>| {
            // What was known of a token that has left says nothing of the one that is there now.
            let counts = station.counts();
            Ok(if counts { self.following(station)? } else { Following::default() })
        };
        let followings = stations.iter().map(known).collect::<Result<Vec<_>>>()?;
        let mut proven = vec![0_u64; stations.len()];
        self.shelf.each(&Template::new(), |entry| {
            for ((station, following), proven) in stations.iter().zip(&followings).zip(&mut proven)
            {
                *proven = proven.saturating_add(u64::from(is_on(station, &entry, following)));
            }
            Ok(())
        })?;
        let each = stations.iter().zip(followings).zip(proven);
        each.map(|((station, following), proven)| self.member_status(station, following, proven))
            .collect()
    }

    fn member_status(
        &self,
        station: &Arc<Station>,
        following: Following,
        proven: u64,
    ) -> Result<MemberStatus> {
        let head = self.store.head()?.position;
        // Asked anew: a member that has gone since is not shown as if it were there.
        let (mut condition, mut reason) = station.condition();
        let token = match station.is_up().then(|| station.member.token()) {
            Some(Ok(token)) => Some(token),
            Some(Err(fault)) => {
                station.judge(fault);
                (condition, reason) = (Condition::Down, fault.to_string());
                None
            }
            None => None,
        };
        if condition == Condition::Up && following.position < head {
            condition = Condition::Recovering;
        }
        if let Some(token) = &token
            && let Some(why) = self.is_another_token(station, &token.serial)?
        {
            (condition, reason) = (Condition::Suspect, why);
        }
        let (mut exceptions, mut beyond) = (Vec::new(), BTreeMap::<String, u64>::new());
        for (id, reason) in following.exceptions {
            match says_beyond(&reason) {
                None => exceptions.push((id, reason)),
                Some(why) => {
                    let count = beyond.entry(why.to_owned()).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        Ok(MemberStatus {
            name: station.name().to_owned(),
            role: station.settings.role,
            condition,
            reason,
            position: following.position,
            proven,
            exceptions,
            beyond,
            library: station.is_up().then(|| station.member.library().ok()).flatten(),
            token,
        })
    }

    /// Why a member's token does not seem to be the one that was paired. Without a login its serial number is all there is to
    /// see; where the ring has been found on it, it is the one.
    fn is_another_token(&self, station: &Station, serial: &str) -> Result<Option<String>> {
        if !station.counts() || station.has_ring() {
            return Ok(None);
        }
        let name = station.name();
        let ring = self.known_ring()?;
        let paired = ring.as_ref().and_then(|ring| ring.member(name));
        Ok(paired.filter(|paired| paired.serial != serial).map(|paired| {
            format!(
                "its token has the serial number {serial}, and the one that was paired has {}: put that one back, or \
                 `tandem member replace {name} --shares DIR`",
                paired.serial
            )
        }))
    }

    /// Every object the token holds (public ones only unless logged in), with its replicas as the followers' positions
    /// tell.
    pub fn objects(&self) -> Result<Vec<ObjectReport>> {
        let mut objects = Vec::new();
        self.each_object(|object| objects.push(object))?;
        Ok(objects)
    }

    /// Visits what [`Self::objects`] answers, for whoever needs not all of it at once.
    pub fn each_object(&self, mut visit: impl FnMut(ObjectReport)) -> Result {
        self.shelf.refresh()?;
        let user = self.login.read().is_user();
        let followings = self
            .keepers()
            .map(|station| Ok((station, self.store.following(station.name())?)))
            .collect::<Result<Vec<_>>>()?;
        self.shelf.each(&Template::new(), |entry| {
            if user || !entry.object.is_private() {
                let replicas = followings.iter().map(|(station, following)| {
                    (station.name().to_owned(), replica(station, &entry, following))
                });
                visit(report(self, &entry, replicas.collect()));
            }
            Ok(())
        })
    }

    /// Proves every replica anew, on every member that holds it. Needs a login.
    pub fn verify(self: &Arc<Self>, progress: &dyn Progress) -> Result<Vec<ObjectReport>> {
        self.seal()?;
        self.shelf.refresh()?;
        self.try_again();
        self.catch_up();
        let entries = self.shelf.find(&Template::new())?;
        let members: Vec<_> = self
            .keepers()
            .map(|station| (Arc::clone(station), directory(station, progress)))
            .collect();
        let steps = entries.len().saturating_mul(members.len());
        progress.stage("proving every replica", u64::try_from(steps).unwrap_or(0));
        let mut reports = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut replicas = Vec::with_capacity(members.len());
            for (station, directory) in &members {
                let following = self.store.following(station.name())?;
                let known = replica(station, &entry, &following);
                let found = match known {
                    Replica::Proven | Replica::OnDemand => {
                        self.prove_there(station, directory, &entry)
                    }
                    known => known,
                };
                replicas.push((station.name().to_owned(), found));
                progress.step();
            }
            reports.push(report(self, &entry, replicas));
        }
        for (station, _) in &members {
            let sound = reports.iter().all(|report| {
                let own = report.replicas.iter().find(|(name, _)| name == station.name());
                own.is_none_or(|(_, found)| {
                    matches!(found, Replica::Proven | Replica::NotHeld | Replica::Beyond(_))
                })
            });
            if sound {
                station.health(Health::trust);
            }
        }
        Ok(reports)
    }

    /// Proves the replica on a member anew.
    pub(crate) fn prove_there(
        &self,
        station: &Arc<Station>,
        directory: &Directory,
        entry: &Arc<Entry>,
    ) -> Replica {
        if self.prove_seen(station, directory, entry) {
            Replica::Proven
        } else {
            self.prove_anew(station, entry)
        }
    }

    /// Proves the replica that was seen on a member. False if there is none, or if it does not prove itself: then it is
    /// looked for afresh.
    fn prove_seen(
        &self,
        station: &Arc<Station>,
        directory: &Directory,
        entry: &Arc<Entry>,
    ) -> bool {
        let Some(spot) = directory.only(&entry.object).filter(|_| station.is_ready()) else {
            return false;
        };
        station.lease().is_ok_and(|lease| {
            let Some(handle) = spot.within(lease.life()) else { return false };
            let proven = self.prove_whole(&lease, handle, entry).is_ok();
            if proven {
                station.set_replica(lease.life(), entry.object.id, handle);
            } else {
                lease.spoil();
            }
            proven
        })
    }

    /// Looks for a replica afresh and proves it; what this process remembers doesn't count.
    fn prove_anew(&self, station: &Arc<Station>, entry: &Arc<Entry>) -> Replica {
        if !station.is_ready() {
            return Replica::Away;
        }
        if entry.object.is_on_demand() {
            return self.prove_on_demand(station, entry);
        }
        station.forget_replica(entry.object.id);
        let placed = station.lease().and_then(|lease| {
            let handle = self.place(&lease, &Held::Token(Arc::clone(entry)))?;
            Ok((lease, handle))
        });
        let (lease, handle) = match placed {
            Ok(placed) => placed,
            Err(fault) => {
                station.judge(fault);
                return if station.is_up() {
                    Replica::Failed(
                        "it is not there, or what is there under its name is another key".into(),
                    )
                } else {
                    Replica::Away
                };
            }
        };
        match self.prove_whole(&lease, handle, entry) {
            Ok(()) => Replica::Proven,
            Err(failure) => Replica::Failed(failure.to_string()),
        }
    }

    /// Proves that a member can use a key that is held on demand.
    fn prove_on_demand(&self, station: &Arc<Station>, entry: &Arc<Entry>) -> Replica {
        match self
            .retry_lost(station, &mut |lease| self.try_out_each(lease, std::slice::from_ref(entry)))
        {
            Ok(None) => Replica::Proven,
            Ok(Some(failure)) => {
                self.except(station, entry.object.id, &failure);
                Replica::Failed(failure.to_string())
            }
            Err(fault) => {
                station.judge(fault);
                if station.is_up() { Replica::Failed(fault.to_string()) } else { Replica::Away }
            }
        }
    }

    /// Proves a replica with all that is known of it, its wrapped bytes included.
    fn prove_whole(
        &self,
        lease: &crate::station::Lease,
        handle: tandem_values::Handle,
        entry: &Entry,
    ) -> std::result::Result<(), Failure> {
        let (object, desk) = (&entry.object, lease.desk());
        if object.kek.is_none() || lease.ring().is_err() {
            return self.prove_in_place(&desk, handle, object);
        }
        if !matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
            return self.prove_in_place(&desk, handle, object);
        }
        let wrapped =
            self.wrapped(object).map_err(|error| Failure::Different(error.to_string()))?;
        let kek = self.kek_at(&desk, lease.station(), wrapped.under)?;
        self.prove_replica(&desk, &desk, handle, object, kek, &wrapped.bytes)
    }
}

/// What stands on a member that can be asked; nothing where it can't.
pub(crate) fn directory(station: &Arc<Station>, progress: &dyn Progress) -> Directory {
    if !station.is_ready() {
        return Directory::default();
    }
    let read = station.lease().and_then(|lease| Directory::read(&lease.desk(), progress));
    read.inspect_err(|fault| {
        station.judge(*fault);
    })
    .unwrap_or_default()
}

fn is_on(station: &Station, entry: &Entry, following: &Following) -> bool {
    matches!(replica(station, entry, following), Replica::Proven | Replica::OnDemand)
}

fn replica(station: &Station, entry: &Entry, following: &Following) -> Replica {
    let held = entry
        .object
        .holders
        .as_ref()
        .is_none_or(|holders| holders.iter().any(|name| name == station.name()));
    if !held || station.does(Duty::Making) {
        return Replica::NotHeld;
    }
    if following.position < entry.object.born && !entry.object.is_on_demand() {
        return Replica::Behind;
    }
    match following.exception(entry.object.id) {
        Some(reason) => match says_beyond(reason) {
            Some(why) => Replica::Beyond(why.to_owned()),
            None => Replica::Failed(reason.to_owned()),
        },
        None if entry.object.is_on_demand() => Replica::OnDemand,
        None => Replica::Proven,
    }
}

fn report(token: &Token, entry: &Arc<Entry>, replicas: Vec<(String, Replica)>) -> ObjectReport {
    ObjectReport {
        handle: entry.handle,
        id: entry.object.id,
        template: entry.object.template.clone(),
        adopted: entry.object.holders.is_some(),
        hold: entry.object.hold,
        stock: entry.object.stock.clone(),
        created_at_ms: entry.object.created_at_ms,
        backed_up: token.backed_up(&Held::Token(Arc::clone(entry))).is_some(),
        replicas,
    }
}
