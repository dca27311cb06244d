//! What a life says of what it does, before and after each call, in a file that outlives it.

use crate::common::World;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// How far a key got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Its making was begun.
    Making,
    /// Its making was acknowledged.
    Made,
    /// Its destruction was begun.
    Destroying,
    /// Its destruction was acknowledged.
    Destroyed,
}

const WORDS: [(&str, Stage); 4] = [
    ("making", Stage::Making),
    ("made", Stage::Made),
    ("destroying", Stage::Destroying),
    ("destroyed", Stage::Destroyed),
];

fn path(world: &World, life: usize) -> PathBuf {
    world.file(&format!("ledger-{life}"))
}

/// Where a life writes. Its threads share it: each line is one write.
pub(crate) struct Pen(File);

impl Pen {
    pub(crate) fn of(world: &World, life: usize) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path(world, life));
        Self(file.expect("a ledger"))
    }

    pub(crate) fn write(&self, stage: Stage, name: &str) {
        let (word, _) = WORDS.iter().find(|(_, other)| *other == stage).expect("a word");
        (&self.0).write_all(format!("{word} {name}\n").as_bytes()).expect("a line");
    }
}

/// What all lives have written.
pub(crate) struct Ledger {
    lives: usize,
    keys: BTreeMap<String, Stage>,
}

impl Ledger {
    /// What one life has written so far.
    pub(crate) fn read(world: &World, life: usize) -> String {
        fs::read_to_string(path(world, life)).unwrap_or_default()
    }

    /// What all lives have written, now that they are over.
    pub(crate) fn read_all(world: &World) -> Self {
        let mut all = Self { lives: 0, keys: BTreeMap::new() };
        while path(world, all.lives).exists() {
            for line in Self::read(world, all.lives).lines() {
                let (word, name) = line.split_once(' ').expect("a line of a ledger");
                let (_, stage) = WORDS.iter().find(|(other, _)| *other == word).expect("a word");
                let at = all.keys.entry(name.to_owned()).or_insert(*stage);
                *at = (*at).max(*stage);
            }
            all.lives += 1;
        }
        all
    }

    pub(crate) const fn lives(&self) -> usize {
        self.lives
    }

    fn at(&self, stage: Stage) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(move |(_, at)| **at == stage).map(|(name, _)| name.as_str())
    }

    /// Keys whose making was acknowledged, and which nobody began to destroy.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &str> {
        self.at(Stage::Made)
    }

    /// Keys whose destruction was acknowledged.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &str> {
        self.at(Stage::Destroyed)
    }

    /// Every key of which anything is known.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }
}
