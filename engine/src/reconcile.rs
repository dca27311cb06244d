//! What must be done so that members hold what the log says, and nothing else of ours: a plan, made of what was looked at
//! and nothing else, to be read before it is followed.

use crate::object::ObjectId;
use std::collections::{BTreeMap, BTreeSet};

/// An object as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its identity.
    pub id: ObjectId,
    /// False once it is destroyed.
    pub alive: bool,
    /// False if it is held on demand: then no member has it as a token object.
    pub resident: bool,
    /// The members on which it was found before Tandem came, if it can't be copied; `None`: every member is to hold it.
    pub holders: Option<Vec<String>>,
}

/// How an object was found on a member. What is not there was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there and was proven.
    Proven,
    /// It is there and was proven, as it was before it was changed.
    Stale,
    /// Something of its name is there, and is not it.
    Another,
}

/// What a member holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Its name.
    pub member: String,
    /// Objects of the log that it could not take, as far as its follower knows.
    pub exceptions: BTreeSet<ObjectId>,
    /// Objects of the log that are beyond it: it is not to hold them.
    pub beyond: BTreeSet<ObjectId>,
    /// Objects of the log that were looked for and found.
    pub found: BTreeMap<ObjectId, Found>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The object is brought there, and proven.
    Bring,
    /// What is there is proven again, and set to what it was changed to.
    Prove,
    /// It was destroyed and goes there too.
    Remove,
    /// Nothing: somebody must look.
    Look,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The member.
    pub member: String,
    /// What is to be done there.
    pub action: Action,
    /// The object.
    pub object: ObjectId,
    /// Why.
    pub reason: &'static str,
}

/// The steps for every member, in order of member, action and object.
pub fn plan(wanted: &[Wanted], inventories: &[Inventory]) -> Vec<Step> {
    let mut steps: Vec<_> = inventories
        .iter()
        .flat_map(|inventory| {
            wanted.iter().filter_map(move |object| {
                let (action, reason) = step(object, inventory)?;
                let member = inventory.member.clone();
                Some(Step { member, action, object: object.id, reason })
            })
        })
        .collect();
    steps.sort();
    steps
}

fn step(object: &Wanted, inventory: &Inventory) -> Option<(Action, &'static str)> {
    let found = inventory.found.get(&object.id);
    let excepted = inventory.exceptions.contains(&object.id);
    if !object.alive || !object.resident {
        let there = matches!(found, Some(Found::Proven | Found::Stale));
        let why = if object.alive {
            "it is held on demand, and stands there"
        } else {
            "it was destroyed, and is still there"
        };
        return there.then_some((Action::Remove, why));
    }
    if let Some(holders) = &object.holders {
        if !holders.contains(&inventory.member) {
            return None;
        }
        if found.is_none() {
            return Some((
                Action::Look,
                "it was there before Tandem, can't be copied, and is gone",
            ));
        }
    }
    match found {
        None if inventory.beyond.contains(&object.id) => None,
        None => Some((Action::Bring, "it is missing there")),
        Some(Found::Another) => {
            Some((Action::Look, "what bears its name and class there is another object"))
        }
        Some(Found::Stale) => {
            Some((Action::Prove, "it was changed, and is there as it was before"))
        }
        Some(Found::Proven) if excepted => {
            Some((Action::Prove, "it is there, and counts as not taken"))
        }
        Some(Found::Proven) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(number: u8) -> ObjectId {
        ObjectId([number; 16])
    }

    fn wanted(number: u8) -> Wanted {
        Wanted { id: id(number), alive: true, resident: true, holders: None }
    }

    fn holding(found: &[(u8, Found)], exceptions: &[u8]) -> Inventory {
        Inventory {
            member: "a".into(),
            exceptions: exceptions.iter().map(|number| id(*number)).collect(),
            beyond: BTreeSet::from([id(9)]),
            found: found.iter().map(|(number, found)| (id(*number), *found)).collect(),
        }
    }

    fn actions(wanted: &[Wanted], inventory: Inventory) -> Vec<(Action, ObjectId)> {
        plan(wanted, &[inventory]).into_iter().map(|step| (step.action, step.object)).collect()
    }

    #[test]
    fn a_member_that_holds_what_it_should_has_nothing_to_do() {
        let dead = Wanted { alive: false, ..wanted(2) };
        let elsewhere = Wanted { holders: Some(vec!["b".into()]), ..wanted(3) };
        let inventory = holding(&[(1, Found::Proven)], &[3]);
        let beyond = wanted(9);
        assert!(actions(&[wanted(1), dead, elsewhere, beyond], inventory).is_empty());
    }

    #[test]
    fn each_departure_has_its_step() {
        let all = [
            wanted(1),
            wanted(2),
            wanted(3),
            wanted(4),
            Wanted { alive: false, ..wanted(5) },
            Wanted { holders: Some(vec!["a".into()]), ..wanted(6) },
            Wanted { resident: false, ..wanted(7) },
            Wanted { resident: false, ..wanted(8) },
        ];
        let found = [
            (2, Found::Another),
            (3, Found::Stale),
            (4, Found::Proven),
            (5, Found::Stale),
            (7, Found::Proven),
        ];
        let expected = [
            (Action::Bring, id(1)),
            (Action::Prove, id(3)),
            (Action::Prove, id(4)),
            (Action::Remove, id(5)),
            (Action::Remove, id(7)),
            (Action::Look, id(2)),
            (Action::Look, id(6)),
        ];
        assert_eq!(actions(&all, holding(&found, &[4])), expected);
    }

    #[test]
    fn what_was_done_is_not_planned_again() {
        let all = [wanted(1), Wanted { alive: false, ..wanted(2) }];
        let before = holding(&[(2, Found::Proven)], &[]);
        assert_eq!(plan(&all, &[before]).len(), 2);
        assert!(plan(&all, &[holding(&[(1, Found::Proven)], &[])]).is_empty());
    }
}
