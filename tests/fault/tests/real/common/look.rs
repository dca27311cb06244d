//! What is on a token, as an application sees it there: by Tandem, or by the vendor's own module.

use super::World;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

/// An object, by what is the same wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object {
    pub(crate) class: String,
    pub(crate) key_type: String,
    pub(crate) id: Vec<u8>,
    pub(crate) label: Vec<u8>,
    /// The modulus or the point of a key that shows one.
    pub(crate) public: Vec<u8>,
}

/// What is on a token, in an order of its own: an object that is there twice is here twice.
pub(crate) type View = Vec<Object>;

/// What Tandem shows.
pub(crate) fn look_at_token(session: &Session) -> View {
    view(session)
}

/// What a member holds, but for the key ring that no application sees.
pub(crate) fn look_at_member(world: &World, member: &str) -> View {
    view(&world.demo.direct(member))
}

fn view(session: &Session) -> View {
    let found = session.find_objects(&[]).expect("a search");
    let mut objects: View = found.into_iter().map(|object| look(session, object)).collect();
    // Some modules show what they can do as objects.
    let built_in = |object: &Object| {
        matches!(&*object.class, "CKO_MECHANISM" | "CKO_PROFILE" | "CKO_HW_FEATURE")
    };
    objects.retain(|object| !object.label.starts_with(b"tandem:") && !built_in(object));
    objects.sort();
    objects
}

fn look(session: &Session, object: ObjectHandle) -> Object {
    let read =
        |kind| session.get_attributes(object, &[kind]).unwrap_or_default().into_iter().next();
    let mut seen = Object {
        class: String::new(),
        key_type: String::new(),
        id: Vec::new(),
        label: Vec::new(),
        public: Vec::new(),
    };
    if let Some(Attribute::Class(class)) = read(AttributeType::Class) {
        seen.class = class.to_string();
    }
    if let Some(Attribute::KeyType(key_type)) = read(AttributeType::KeyType) {
        seen.key_type = key_type.to_string();
    }
    if let Some(Attribute::Id(id)) = read(AttributeType::Id) {
        seen.id = id;
    }
    if let Some(Attribute::Label(label)) = read(AttributeType::Label) {
        seen.label = label;
    }
    if let Some(Attribute::Modulus(modulus)) = read(AttributeType::Modulus) {
        seen.public = modulus;
    }
    if seen.class.contains("PUBLIC")
        && let Some(Attribute::EcPoint(point)) = read(AttributeType::EcPoint)
    {
        seen.public = point;
    }
    seen
}

/// Every member must hold what the token shows: nothing less, nothing else, nothing twice.
#[track_caller]
pub(crate) fn same(when: &str, token: &View, members: &[(&'static str, View)]) {
    for (name, member) in members {
        let missing: Vec<_> = token.iter().filter(|object| !member.contains(object)).collect();
        let orphans: Vec<_> = member.iter().filter(|object| !token.contains(object)).collect();
        assert!(
            token == member,
            "{when}: member {name} does not hold what the token shows\nmissing there: {missing:#?}\nonly there: {orphans:#?}\n\
             {} on the token, {} there",
            token.len(),
            member.len()
        );
    }
}
