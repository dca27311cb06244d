//! XML as OpenDNSSEC writes it, with the line in every complaint.

use crate::duration;
use crate::{Error, Result};
use roxmltree::{Document, Node};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

/// The longest file that is read, in bytes: a list of a hundred thousand zones has 50 MB.
const BYTES_MAX: u64 = 256 << 20;

/// The text of a file.
pub(crate) fn text(file: &Path) -> Result<String> {
    let mut text = String::new();
    let read = File::open(file).and_then(|open| open.take(BYTES_MAX + 1).read_to_string(&mut text));
    let bytes = read.map_err(|error| Error::unread(file, &error))?;
    if u64::try_from(bytes).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(Error::new(file, 0, "is longer than any file of OpenDNSSEC's"));
    }
    Ok(text)
}

/// The document in a text. Declarations of types and entities are refused: OpenDNSSEC's files have none.
pub(crate) fn document<'t>(file: &Path, text: &'t str) -> Result<Document<'t>> {
    // The parser's own message may repeat a piece of the file, and with it of a PIN.
    Document::parse(text)
        .map_err(|error| Error::new(file, error.pos().row, "is no well-formed XML"))
}

/// An element of a file.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    file: &'a Path,
    node: Node<'a, 'a>,
}

impl<'a> Element<'a> {
    /// The outermost element, which must have this name.
    pub(crate) fn root(file: &'a Path, document: &'a Document<'_>, name: &str) -> Result<Self> {
        let root = Self { file, node: document.root_element() };
        if root.node.tag_name().name() == name {
            return Ok(root);
        }
        Err(root.error(format!("is not the file of OpenDNSSEC that is meant: it has no <{name}>")))
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> Error {
        let line = self.node.document().text_pos_at(self.node.range().start).row;
        Error::new(self.file, line, problem)
    }

    fn name(&self) -> &'a str {
        self.node.tag_name().name()
    }

    /// The elements of this name in it.
    pub(crate) fn all(self, name: &'static str) -> impl Iterator<Item = Self> {
        let elements = self.node.children().filter(move |node| node.has_tag_name(name));
        elements.map(move |node| Self { file: self.file, node })
    }

    /// The first element of this name in it.
    pub(crate) fn first(self, name: &'static str) -> Option<Self> {
        self.all(name).next()
    }

    /// An element that must be there.
    pub(crate) fn one(self, name: &'static str) -> Result<Self> {
        self.first(name).ok_or_else(|| self.error(format!("<{}> has no <{name}>", self.name())))
    }

    /// An attribute that must be there.
    pub(crate) fn attribute(self, name: &str) -> Result<&'a str> {
        self.node
            .attribute(name)
            .ok_or_else(|| self.error(format!("<{}> has no {name}=\"…\"", self.name())))
    }

    /// Its text without the blanks around it, comments left out. It must not be empty.
    pub(crate) fn text(self) -> Result<String> {
        let parts = self.node.children().filter(Node::is_text).filter_map(|node| node.text());
        let text = parts.collect::<String>().trim().to_owned();
        if text.is_empty() {
            return Err(self.error(format!("<{}> is empty", self.name())));
        }
        Ok(text)
    }

    /// A number that is not negative.
    pub(crate) fn number<N: FromStr>(self) -> Result<N> {
        let text = self.text()?;
        self.parsed(&text, "number")
    }

    /// The same in an attribute.
    pub(crate) fn attribute_number<N: FromStr>(self, name: &str) -> Result<N> {
        let text = self.attribute(name)?;
        self.parsed(text, "number")
    }

    fn parsed<N: FromStr>(self, text: &str, what: &str) -> Result<N> {
        text.parse().map_err(|_| {
            self.error(format!("<{}>: {text:?} is no {what} that fits here", self.name()))
        })
    }

    /// A duration in seconds.
    pub(crate) fn seconds(self) -> Result<u64> {
        let text = self.text()?;
        duration::seconds(&text)
            .map_err(|why| self.error(format!("<{}>: {text:?} {why}", self.name())))
    }
}
