//! The file as text: which line a key is on, and which key is at a place in the text.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step from a table or a list to what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Item(usize),
}

/// The way from the top of the file to a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    /// The key inside this table.
    pub(crate) fn key(&self, key: &str) -> Self {
        Self([self.0.as_slice(), &[Step::Key(key.to_owned())]].concat())
    }

    /// The item of this list.
    pub(crate) fn item(&self, index: usize) -> Self {
        Self([self.0.as_slice(), &[Step::Item(index)]].concat())
    }

    /// The table that this key is in.
    pub(crate) fn table(&self) -> Self {
        Self(self.0.split_last().map(|(_, table)| table.to_vec()).unwrap_or_default())
    }

    /// As people write it, without the numbers of list items: `token.member.name`. The line tells them apart.
    pub(crate) fn dotted(&self) -> String {
        self.keys().collect::<Vec<_>>().join(".")
    }

    /// True if it leads into the table or the value of this name.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        self.keys().any(|key| key == name)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        })
    }
}

/// The text and, if it is TOML, the tree in it.
pub(crate) struct Document<'a> {
    text: &'a str,
    tree: Option<Spanned<DeTable<'a>>>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, tree: DeTable::parse(text).ok() }
    }

    /// The line, from 1, of a place in the text.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The line of a key; if it is not there, of the nearest table above it that is.
    pub(crate) fn line_of(&self, path: &Path) -> Option<usize> {
        let mut at = None;
        let mut node = Node::Table(self.tree.as_ref()?.get_ref());
        for step in &path.0 {
            let Some((span, inner)) = node.get(step) else { break };
            at = Some(span.start);
            node = inner;
        }
        at.map(|at| self.line(at))
    }

    /// The deepest key whose name or value is at a place in the text.
    pub(crate) fn path_at(&self, place: &Range<usize>) -> Path {
        let mut path = Path::default();
        let mut node = match &self.tree {
            Some(tree) => Node::Table(tree.get_ref()),
            None => return path,
        };
        while let Some((step, inner)) = node.at(place) {
            path.0.push(step);
            node = inner;
        }
        path
    }
}

/// A table, or a value that may be one.
#[derive(Clone, Copy)]
enum Node<'t, 'a> {
    Table(&'t DeTable<'a>),
    Value(&'t DeValue<'a>),
}

impl<'t, 'a> Node<'t, 'a> {
    fn table(self) -> Option<&'t DeTable<'a>> {
        match self {
            Self::Table(table) => Some(table),
            Self::Value(value) => value.as_table(),
        }
    }

    fn get(self, step: &Step) -> Option<(Range<usize>, Self)> {
        match (step, self) {
            (Step::Item(index), Self::Value(value)) => {
                let item = value.as_array()?.get(*index)?;
                Some((item.span(), Self::Value(item.get_ref())))
            }
            (Step::Key(key), _) => {
                let (name, value) = self.table()?.iter().find(|(name, _)| name.get_ref() == key)?;
                Some((name.span(), Self::Value(value.get_ref())))
            }
            (Step::Item(_), Self::Table(_)) => None,
        }
    }

    fn at(self, place: &Range<usize>) -> Option<(Step, Self)> {
        if let Some(table) = self.table() {
            return table.iter().find_map(|(name, value)| {
                (within(place, &name.span()) || holds(value, place))
                    .then(|| (Step::Key(name.get_ref().to_string()), Self::Value(value.get_ref())))
            });
        }
        let Self::Value(value) = self else { return None };
        let mut items = value.as_array()?.iter().enumerate();
        items.find_map(|(index, item)| {
            holds(item, place).then(|| (Step::Item(index), Self::Value(item.get_ref())))
        })
    }
}

/// A table begun by a header spans its header only, so its content is looked at too.
fn holds(value: &Spanned<DeValue<'_>>, place: &Range<usize>) -> bool {
    within(place, &value.span()) || Node::Value(value.get_ref()).at(place).is_some()
}

fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
