//! Every key of the file, read off the types themselves, so that there is no second list of them.

use crate::typed::File;
use serde::de::value::{Error, MapDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::collections::BTreeMap;

/// The keys of every table, by the table's path: `""`, `token`, `token.member`, …
pub(crate) fn tables() -> BTreeMap<String, &'static [&'static str]> {
    let mut found = BTreeMap::new();
    // It fails for no type of ours; if it did, the tests of the documentation would say so.
    let _ = File::deserialize(Probe { path: String::new(), found: &mut found });
    found
}

/// The full path of every key: `token.member.deadline_ms`, …
pub fn keys() -> Vec<String> {
    tables().iter().flat_map(|(table, keys)| keys.iter().map(|key| join(table, key))).collect()
}

/// A key inside a table.
pub(crate) fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Answers whatever a type asks for with something empty, and notes what it asked for.
struct Probe<'a> {
    path: String,
    found: &'a mut BTreeMap<String, &'static [&'static str]>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.found.insert(self.path.clone(), fields);
        visitor.visit_map(Fields { of: self, rest: fields.iter(), key: "" })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(One(Some(self)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, &str)>()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let first: StrDeserializer<'_, Error> =
            variants.first().copied().unwrap_or_default().into_deserializer();
        visitor.visit_enum(first)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(false)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(0)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str("")
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct tuple tuple_struct identifier ignored_any
    }
}

struct Fields<'a> {
    of: Probe<'a>,
    rest: std::slice::Iter<'static, &'static str>,
    key: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.rest.next() else { return Ok(None) };
        self.key = key;
        let key: StrDeserializer<'_, Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Probe { path: join(&self.of.path, self.key), found: &mut *self.of.found })
    }
}

struct One<'a>(Option<Probe<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|probe| seed.deserialize(probe)).transpose()
    }
}

/// What an operator who typed an unknown key most likely wants: said as a remedy.
pub(crate) fn instead_of(table: &str, key: &str) -> String {
    let tables = tables();
    let here = tables.get(table).copied().unwrap_or_default();
    if let Some(elsewhere) = tables.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("{key} belongs under {}", header(elsewhere.0));
    }
    let nearest = here
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, key), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= known.len().max(key.len()) / 2);
    match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None => format!("known here are {}", here.join(", ")),
    }
}

/// How a table is begun in the file.
fn header(table: &str) -> String {
    match table {
        "" => "no table, at the top of the file".to_owned(),
        "token" | "token.member" | "token.stock.key" => format!("[[{table}]]"),
        "token.member.token" => "token = { … } of a member".to_owned(),
        _ => format!("[{table}]"),
    }
}
